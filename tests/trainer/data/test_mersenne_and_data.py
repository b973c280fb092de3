"""The order of the data is llm.c's, on any shards, and goes on identically from any moment at which it was saved."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llmc_files import Twister

from sparkprep.errors import UserError
from sparkprep.llmc import header, shard
from sparkprep.llmc.shard import ShardFile, ShardHeader
from trainer.data.loader import Loader, LoaderState, open_shards, rows_from_start
from trainer.data.mersenne import STRUCT_BYTES, MersenneTwister


def shard_of(tokens: np.ndarray, name: str = "train_000001.bin") -> ShardFile:
    """A shard that lies on no disk."""
    return ShardFile(name, ShardHeader(1, len(tokens)), tokens)


def numbered(sizes: list[int]) -> list[ShardFile]:
    """Shards whose tokens count on from 0 through all of them, so that a token tells its place."""
    ends = np.cumsum(sizes)
    return [
        shard_of(np.arange(end - size, end).astype(np.uint16), f"train_{number:06d}.bin")
        for number, (size, end) in enumerate(zip(sizes, ends.tolist(), strict=True))
    ]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """(tokens of each shard, rows, seq_len), every shard long enough for a window."""
    rows, seq_len = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    sizes = draw(st.lists(st.integers(rows * seq_len + 1, 6 * rows * seq_len + 3), min_size=1, max_size=5))
    return sizes, rows, seq_len


def starts_of_plain_loader(sizes: list[int], window: int, seed: int, draws: int) -> list[int]:
    """Where each window begins in the shards laid end to end: the loader as its description has it."""
    twister, order = Twister.seeded(seed), list(range(len(sizes)))
    found: list[int] = []
    while len(found) < draws:
        twister.shuffle(order)
        for number in order:
            begin = sum(sizes[:number])
            found += [begin + sample * window for sample in twister.permutation((sizes[number] - 1) // window)]
            if len(found) >= draws:  # the next shard's order is drawn only when its first window is asked for
                break
    return found[:draws]


@pytest.mark.parametrize("seed", [0, 42, 1337, 2**32 - 1])
def test_the_stream_is_that_of_torch_numpy_and_the_published_algorithm(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    numpy = np.random.RandomState(seed)
    plain = Twister.seeded(seed)
    of_torch, of_numpy = list(range(1500)), list(range(1500))
    for i in range(1499, 0, -1):
        j = int(torch.randint(i + 1, (1,), generator=generator))
        of_torch[i], of_torch[j] = of_torch[j], of_torch[i]
        j = int(numpy.randint(0, 1 << 32, dtype=np.uint32)) % (i + 1)
        of_numpy[i], of_numpy[j] = of_numpy[j], of_numpy[i]
    assert MersenneTwister(seed).permutation(1500).tolist() == of_torch == of_numpy == plain.permutation(1500)


@given(seed=st.integers(0, 2**32 - 1), drawn=st.integers(0, 2000), more=st.integers(1, 700))
@settings(max_examples=25)
def test_the_struct_is_that_of_a_plain_twister_after_any_number_of_draws(seed: int, drawn: int, more: int) -> None:
    ours, plain = MersenneTwister(seed), Twister.seeded(seed)
    ours.permutation(drawn + 1)
    plain.permutation(drawn + 1)
    if drawn:
        assert ours.pack() == plain.pack()
    garbage = plain.pack(seed=0xDEADBEEF_12345678)  # llm.c never sets this field
    restored, copied = MersenneTwister(1), Twister.unpack(ours.pack())
    restored.unpack(garbage)
    expected = plain.permutation(more)
    assert restored.permutation(more).tolist() == expected
    assert copied.permutation(more) == expected


@pytest.mark.parametrize("n", [0, 1])
def test_an_order_of_nothing_draws_nothing(n: int) -> None:
    twister = MersenneTwister(42)
    before = twister.pack()
    assert twister.permutation(n).tolist() == list(range(n))
    assert twister.pack() == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:],
        lambda data: data[:12] + b"\x71\x02\x00\x00" + data[16:],
        lambda data: data[:-4] + bytes(4),
        lambda data: bytes(STRUCT_BYTES),
    ],
)
def test_what_is_no_twister_is_refused(spoil: object) -> None:
    twister = MersenneTwister(42)
    twister.permutation(9)
    with pytest.raises(ValueError, match=r"instead of|do not fit together"):
        MersenneTwister(1).unpack(spoil(twister.pack()))  # type: ignore[operator]


def test_the_order_of_tiny_shakespeare_is_llmcs() -> None:
    # of the length of tiny_shakespeare_train.bin; a token tells its window
    tokens = (np.arange(305_260) // 256).astype(np.uint16)
    loader = Loader([shard_of(tokens)], rows=4, seq_len=64, seed=42, flag="-i")
    assert loader.windows == 1192
    first, second = ([int(loader.next()[0]) for _ in range(1192)] for _ in range(2))
    assert first[:8] == [408, 791, 914, 1057, 81, 450, 299, 907]
    assert second[:8] == [820, 64, 871, 704, 140, 802, 136, 893]
    assert sorted(first) == sorted(second) == list(range(1192))


def test_the_order_of_26_shards_of_fineweb_is_llmcs() -> None:
    tokens = np.broadcast_to(np.uint16(1), 100_000_000)
    loader = Loader([shard_of(tokens)] * 26, rows=32, seq_len=1024, seed=42, flag="-i")
    state = loader.state
    assert state.shard_order is not None
    assert state.sample_order is not None
    assert state.shard_order[:6].tolist() == [10, 13, 15, 8, 9, 1]
    assert len(state.sample_order) == 3051
    assert state.sample_order[:3].tolist() == [2128, 2060, 1829]
    assert loader.tokens == 2_600_000_000


@given(layout=layouts(), seed=st.integers(0, 2**32 - 1), epochs=st.integers(1, 3))
def test_windows_come_in_the_order_of_the_description(
    layout: tuple[list[int], int, int], seed: int, epochs: int
) -> None:
    sizes, rows, seq_len = layout
    loader = Loader(numbered(sizes), rows, seq_len, seed, "-i")
    draws = epochs * loader.windows + 1
    for start in starts_of_plain_loader(sizes, rows * seq_len, seed, draws):
        assert loader.next().tolist() == list(range(start, start + rows * seq_len + 1))


@given(layout=layouts(), seed=st.none() | st.integers(0, 2**32 - 1))
def test_an_epoch_reads_every_whole_window_once_and_no_tail(
    layout: tuple[list[int], int, int], seed: int | None
) -> None:
    sizes, rows, seq_len = layout
    window = rows * seq_len
    loader = Loader(numbered(sizes), rows, seq_len, seed, "-i")
    starts, begin = [], 0
    for size in sizes:
        starts += [begin + window * sample for sample in range((size - 1) // window)]
        begin += size
    for _ in range(2):
        seen = [int(loader.next()[0]) for _ in range(loader.windows)]
        assert (sorted(seen) if seed is not None else seen) == starts  # unshuffled: in order, and round again


@given(
    layout=layouts(),
    seed=st.none() | st.integers(0, 2**32 - 1),
    drawn=st.integers(0, 70),
    more=st.integers(1, 70),
)
def test_a_loader_goes_on_identically_from_any_moment(
    layout: tuple[list[int], int, int], seed: int | None, drawn: int, more: int
) -> None:
    sizes, rows, seq_len = layout
    loader = Loader(numbered(sizes), rows, seq_len, seed, "-i")
    for _ in range(drawn):
        loader.next()
    state = loader.state
    expected = [loader.next().tolist() for _ in range(more)]  # which must not change the state that was taken
    other = Loader(numbered(sizes), rows, seq_len, seed, "-i")
    other.restore(state)
    assert [other.next().tolist() for _ in range(more)] == expected
    end, end_of_other = loader.state, other.state
    assert (end.shard, end.used, end.twister) == (end_of_other.shard, end_of_other.used, end_of_other.twister)
    assert np.array_equal(end.shard_order, end_of_other.shard_order)
    assert np.array_equal(end.sample_order, end_of_other.sample_order)


def test_a_reset_unshuffled_begins_anew() -> None:
    loader = Loader(numbered([30, 20]), 2, 3, None, "-j")
    first = [loader.next().tolist() for _ in range(5)]
    loader.reset()
    assert [loader.next().tolist() for _ in range(5)] == first


def _state(**fields: object) -> LoaderState:
    """A state of the shuffling loader that the next test restores, with some fields changed."""
    known = Loader(numbered([31, 25]), 2, 3, 42, "-i").state
    return LoaderState(**{**known.__dict__, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (LoaderState(0, 0), "shuffles"),
        (_state(shard=2), "stands in shard 2 and there are 2"),
        (_state(shard=-1), "stands in shard -1"),
        (_state(shard_order=np.arange(3, dtype=np.int32)), "knows 3 shards and there are 2"),
        (_state(shard_order=np.array([1, 1], np.int32)), "no permutation"),
        (_state(sample_order=np.arange(9, dtype=np.int32)), "knows 9 micro-batches"),
        (_state(sample_order=np.array([0, 1, 2, 2, 4], np.int32), shard_order=np.arange(2, dtype=np.int32)), "no perm"),
        (_state(used=6), "used 6 of"),
        (_state(used=-1), "used -1 of"),
        (_state(twister=b"short"), "5 bytes instead of 2,520"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state: LoaderState, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Loader(numbered([31, 25]), 2, 3, 42, "-i").restore(state)


def test_a_state_of_another_micro_batch_is_refused() -> None:
    state = Loader(numbered([310, 250]), 2, 3, 42, "-i").state
    with pytest.raises(ValueError, match="micro-batches in train_"):
        Loader(numbered([310, 250]), 4, 3, 42, "-i").restore(state)


def test_a_shard_shorter_than_a_window_is_named() -> None:
    Loader(numbered([40, 25]), 4, 6, 42, "-i")
    with pytest.raises(UserError, match=r"train_000001\.bin: 24 tokens are fewer than the 25 .*-b 4 times -t 6"):
        Loader(numbered([40, 24]), 4, 6, 42, "-i")


def test_a_pattern_without_a_shard_is_told_with_its_flag(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"-iv .*val_\*\.bin: no shard matches"):
        open_shards(str(tmp_path / "val_*.bin"), "-iv")


def test_shards_are_opened_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        shard.write(str(tmp_path / f"train_{number:06d}.bin"), [number] * 10)
    (tmp_path / "val_000000.bin").write_bytes(b"not asked for")
    opened = open_shards(str(tmp_path / "train_*.bin"), "-i")
    assert [int(each.tokens[0]) for each in opened] == [1, 2, 3]
    loader = Loader(opened, 1, 4, None, "-i")
    assert [int(loader.next()[0]) for _ in range(6)] == [1, 1, 2, 2, 3, 3]


def test_a_file_that_is_no_shard_is_named(tmp_path: Path) -> None:
    shard.write(str(tmp_path / "train_1.bin"), [1] * 10)
    (tmp_path / "train_2.bin").write_bytes(header.pack(20240521, 1, 10) + bytes(20))
    with pytest.raises(UserError, match=r"train_2\.bin: not a token shard"):
        open_shards(str(tmp_path / "train_*.bin"), "-i")


def test_a_token_beyond_the_vocabulary_names_its_shard_and_place() -> None:
    tokens = np.full(41, 50256, np.uint16)
    tokens[17] = 50257
    loader = Loader([shard_of(tokens, "train_000007.bin")], 1, 4, None, "-i")
    for _ in range(4):
        loader.next()
    with pytest.raises(UserError, match=r"train_000007\.bin: the token at position 17 is 50,257"):
        loader.next()


@given(layout=layouts(), share=st.floats(0, 1.2))
def test_rows_from_the_start_are_those_of_any_micro_batch(layout: tuple[list[int], int, int], share: float) -> None:
    sizes, rows, seq_len = layout
    # as many windows of this micro-batch as all shards have: then both readings use the same tokens
    sizes = [(size - 1) // (rows * seq_len) * rows * seq_len + 1 for size in sizes]
    shards = numbered(sizes)
    windows = int(share * sum((size - 1) // (rows * seq_len) for size in sizes))
    found = [row.tolist() for row in rows_from_start(shards, windows * rows * seq_len, seq_len)]
    loader = Loader(shards, rows, seq_len, None, "-j")
    expected = []
    for _ in range(min(windows, loader.windows)):
        window = loader.next().tolist()
        expected += [window[row * seq_len : (row + 1) * seq_len + 1] for row in range(rows)]
    assert found == expected
