"""Model and state files have llm.c's layout, checked by a reader and a writer made from the format's description."""

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llmc_files import (
    HEADER,
    Sizes,
    Twister,
    count,
    from_bfloat16,
    read_model,
    read_state,
    tensor_shapes,
    to_bfloat16,
    write_model,
    write_state,
)

from sparkprep.errors import UserError
from sparkprep.llmc.shard import ShardFile, ShardHeader
from trainer.checkpoints import model_file, state_file
from trainer.checkpoints.state_file import Moments, StateHeader
from trainer.data.loader import Loader, LoaderState
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.models.layout import views_of

TINY = Sizes(max_seq_len=3, vocab=5, layers=1, heads=1, channels=1)
U64 = st.integers(0, 2**64 - 1)


def ours(sizes: Sizes) -> GPT2Shape:
    return GPT2Shape(sizes.layers, sizes.heads, sizes.channels, sizes.max_seq_len, sizes.vocab)


@st.composite
def all_sizes(draw: st.DrawFn) -> Sizes:
    heads = draw(st.integers(1, 3))
    channels = heads * draw(st.integers(1, 3))
    return Sizes(draw(st.integers(1, 9)), draw(st.integers(1, 300)), draw(st.integers(1, 3)), heads, channels)


def values_of(size: int, seed: int) -> np.ndarray:
    """float32 values of all magnitudes, some zeros, subnormals and ties of bfloat16 among them."""
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal(size) * 10.0 ** rng.integers(-30, 30, size)).astype(np.float32)
    special = np.array([0x3F808000, 0x3F818000, 0xBF808000, 0x3F807FFF, 0x3F808001, 1, 0x80000000, 0], np.uint32)
    values[: len(special)] = special.view(np.float32)[:size]
    return values


def tensors_of(sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Random tensors; the padded rows of wte are zero."""
    flat, at, found = values_of(count(sizes), seed), 0, {}
    for name, shape in tensor_shapes(sizes):
        size = math.prod(shape)
        found[name] = flat[at : at + size].reshape(shape).copy()
        at += size
    found["wte"][sizes.vocab :] = 0
    return found


def flat_of(tensors: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([values.ravel() for values in tensors.values()])


def bits(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """Of float32, so that -0 and 0 differ."""
    return np.ascontiguousarray(values, np.float32).ravel().view(np.uint32)


@pytest.mark.parametrize("version", [3, 5])
@given(sizes=all_sizes(), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_a_model_file_of_ours_has_llmcs_layout(
    tmp_path_factory: pytest.TempPathFactory, version: int, sizes: Sizes, seed: int
) -> None:
    path, tensors = tmp_path_factory.mktemp("ours") / "model_00000001.bin", tensors_of(sizes, seed)
    written = model_file.write(str(path), ours(sizes), torch.from_numpy(flat_of(tensors)), version)
    found_version, found_sizes, found = read_model(path)
    assert (found_version, found_sizes, written.bytes) == (version, sizes, path.stat().st_size)
    for name, values in tensors.items():
        expected = values if version == 3 else from_bfloat16(to_bfloat16(values))
        assert np.array_equal(bits(found[name]), bits(expected)), name


@pytest.mark.parametrize("version", [3, 5])
@given(sizes=all_sizes(), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_a_model_file_of_llmcs_layout_is_read(
    tmp_path_factory: pytest.TempPathFactory, version: int, sizes: Sizes, seed: int
) -> None:
    path, tensors = tmp_path_factory.mktemp("theirs") / "model_00000001.bin", tensors_of(sizes, seed)
    write_model(path, sizes, tensors, version)
    model = model_file.open_model(str(path))
    assert model.shape == ours(sizes)
    assert model.dtype == (torch.float32 if version == 3 else torch.bfloat16)
    views = views_of(model.flat, model.shape.tensors())
    for (_, values), parts in zip(tensors.items(), views.values(), strict=True):
        expected = values if version == 3 else from_bfloat16(to_bfloat16(values))
        assert np.array_equal(bits(torch.stack(parts)), bits(expected))


def test_gpt2s_own_vocabulary_and_counts_are_those_of_llmc(tmp_path: Path) -> None:
    shape = GPT2Shape(1, 1, 64)
    assert (shape.vocab_size, shape.padded_vocab_size, shape.num_parameters) == (50257, 50304, 3_335_104)
    model = GPT2(shape)
    model.initialise()
    path = tmp_path / "model_00000000.bin"
    model_file.write(str(path), shape, model.flat, 5)
    assert path.stat().st_size == HEADER + 2 * 3_335_104
    _, sizes, tensors = read_model(path)
    assert sizes == Sizes(1024, 50257, 1, 1, 64)
    assert not tensors["wte"][50257:].any()
    assert (tensors["ln1w"] == 1).all()
    assert count(Sizes(1024, 50257, 12, 12, 768)) == GPT2Shape(12, 12, 768).num_parameters == 124_475_904


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_bfloat16_is_rounded_to_the_nearest_and_ties_to_even(values: list[float]) -> None:
    given_values = np.array(values, np.float32)
    found = torch.from_numpy(given_values).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(found, to_bfloat16(given_values))


def rest_of(sizes: Sizes, seed: int, masters: bool, shuffled: bool) -> dict[str, Any]:
    """A state as the second writer takes it."""
    rng, size = np.random.default_rng(seed), count(sizes)
    state: dict[str, Any] = {"m": values_of(size, seed), "v": np.abs(values_of(size, seed + 1))}
    state["masters"] = values_of(size, seed + 2) if masters else None
    if shuffled:
        twister = Twister.seeded(seed)
        state["shard_order"] = twister.permutation(int(rng.integers(1, 9)))
        state["sample_order"] = twister.permutation(int(rng.integers(1, 300)))
        state["twister"] = twister.pack(seed=0xCDCDCDCD_CDCDCDCD)
    return state


def loader_state(state: dict[str, Any]) -> LoaderState:
    if "twister" not in state:
        return LoaderState(state["shard"], state["used"])
    orders = (np.array(state[name], np.int32) for name in ("shard_order", "sample_order"))
    return LoaderState(state["shard"], state["used"], *orders, state["twister"])


def moments_of(sizes: Sizes, masters: bool = True) -> Moments:
    m, v, w = (torch.full((count(sizes),), 7.0) for _ in range(3))
    return Moments(m, v, w if masters else None)


state_fields = {
    "sizes": all_sizes(),
    "seed": st.integers(0, 1000),
    "masters": st.booleans(),
    "shuffled": st.booleans(),
    "step": st.integers(0, 2**31 - 1),
    "wide": st.tuples(U64, U64, U64, U64),
}


@given(**state_fields)
@settings(max_examples=30)
def test_a_state_file_of_ours_has_llmcs_layout(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: Sizes,
    seed: int,
    masters: bool,
    shuffled: bool,
    step: int,
    wide: tuple[int, int, int, int],
) -> None:
    path = tmp_path_factory.mktemp("ours") / "state_00000001_00000.bin"
    state = rest_of(sizes, seed, masters, shuffled)
    state.update(zip(("rng", "rng_before", "shard", "used"), wide, strict=True), step=step)
    arrays = [None if state[name] is None else torch.from_numpy(state[name]) for name in ("m", "v", "masters")]
    head = StateHeader(step, masters, shuffled, *wide)
    written = state_file.write(str(path), head, Moments(*arrays), loader_state(state))  # type: ignore[arg-type]
    found = read_state(path, count(sizes))
    assert written.bytes == path.stat().st_size
    assert found.keys() == state.keys()
    for name, value in state.items():
        same = np.array_equal(bits(found[name]), bits(value)) if isinstance(value, np.ndarray) else found[name] == value
        assert same, name


@given(**state_fields)
@settings(max_examples=30)
def test_a_state_file_of_llmcs_layout_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: Sizes,
    seed: int,
    masters: bool,
    shuffled: bool,
    step: int,
    wide: tuple[int, int, int, int],
) -> None:
    path, state = (
        tmp_path_factory.mktemp("theirs") / "state_00000001_00000.bin",
        rest_of(sizes, seed, masters, shuffled),
    )
    state.update(zip(("rng", "rng_before", "shard", "used"), wide, strict=True), step=step)
    write_state(path, state)
    moments = moments_of(sizes)
    head, loader = state_file.read(str(path), moments)
    assert head == StateHeader(step, masters, shuffled, *wide)
    assert np.array_equal(bits(moments.m), bits(state["m"]))
    assert np.array_equal(bits(moments.v), bits(state["v"]))
    assert moments.masters is not None
    assert np.array_equal(bits(moments.masters), bits(state["masters"])) if masters else (moments.masters == 7).all()
    expected = loader_state(state)
    assert (loader.shard, loader.used, loader.twister) == (expected.shard, expected.used, expected.twister)
    assert np.array_equal(loader.shard_order, expected.shard_order)
    assert np.array_equal(loader.sample_order, expected.sample_order)


def test_a_loader_goes_on_from_a_state_that_llmc_wrote(tmp_path: Path) -> None:
    tokens = [np.arange(start, start + 61).astype(np.uint16) for start in (0, 100, 200)]
    shards = [ShardFile(f"train_{k}.bin", ShardHeader(1, 61), each) for k, each in enumerate(tokens)]
    loader = Loader(shards, 2, 3, 42, "-i")
    twister, order = Twister.seeded(42), [0, 1, 2]
    twister.shuffle(order)
    for _ in range(2):  # llm.c has used one shard, and 4 windows of the next
        samples = twister.permutation(10)
    state = rest_of(TINY, 0, masters=True, shuffled=False) | {
        "step": 14,
        "rng": 1,
        "rng_before": 2,
        "shard": 1,
        "used": 4,
    }
    state |= {"shard_order": order, "sample_order": samples, "twister": twister.pack(seed=99)}
    path = tmp_path / "state_00000014_00000.bin"
    write_state(path, state)
    loader.restore(state_file.read(str(path), moments_of(TINY))[1])
    assert int(loader.next()[0]) == 100 * order[1] + 6 * samples[4]
    uninterrupted = Loader(shards, 2, 3, 42, "-i")
    for _ in range(15):
        uninterrupted.next()
    assert [loader.next().tolist() for _ in range(40)] == [uninterrupted.next().tolist() for _ in range(40)]


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "model_00000003.bin"
    write_model(path, TINY, tensors_of(TINY, 1), 3)
    return path


@pytest.fixture
def state_path(tmp_path: Path) -> Path:
    path = tmp_path / "state_00000003_00000.bin"
    numbers = {"step": 3, "rng": 1, "rng_before": 2, "shard": 0, "used": 1}
    write_state(path, rest_of(TINY, 1, masters=True, shuffled=True) | numbers)
    return path


def read_ours(path: Path) -> None:
    """As the trainer would read it, by its name."""
    if path.name.startswith("model"):
        model_file.open_model(str(path))
    else:
        state_file.read(str(path), moments_of(TINY))


def refused(path: Path, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        read_ours(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("kind", ["model", "state"])
def test_a_file_cut_short_at_any_byte_is_refused_by_name(kind: str, model_path: Path, state_path: Path) -> None:
    path = model_path if kind == "model" else state_path
    data = path.read_bytes()
    near = {edge + step for edge in (0, HEADER, len(data)) for step in range(-9, 10)}
    stride = 1 if kind == "model" else 7
    for length in sorted({*near, *range(0, len(data), stride)} & set(range(len(data)))):
        path.write_bytes(data[:length])
        refused(path, "cut short|it is (empty|of an unknown kind)")
    path.write_bytes(data)
    read_ours(path)


@pytest.mark.parametrize("kind", ["model", "state"])
def test_a_file_with_bytes_too_many_is_refused_by_name(kind: str, model_path: Path, state_path: Path) -> None:
    path = model_path if kind == "model" else state_path
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, "too long")


@pytest.mark.parametrize("kind", ["model", "state"])
@pytest.mark.parametrize("bit", range(32))
def test_a_file_of_another_magic_is_refused_by_name(kind: str, bit: int, model_path: Path, state_path: Path) -> None:
    path = model_path if kind == "model" else state_path
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    refused(path, "not a (model file|training state)")


def put(path: Path, slot: int, value: int) -> None:
    """Put another int32 into the header."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<i", data, 4 * slot, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("slot", "value", "said"),
    [
        (1, 4, "version 4, and only 3 and 5"),
        (1, 5, "too long"),
        (2, 4, "cut short"),
        (2, 0, "sizes that no GPT-2 has"),
        (3, -1, "sizes that no GPT-2 has"),
        (4, 1 << 30, "sizes that no GPT-2 has"),
        (5, 2, "1 channels do not divide into 2 heads"),
        (5, 0, "sizes that no GPT-2 has"),
        (6, 2, "cut short"),
        (7, 5, "padded to 5, and llm.c pads it to 128"),
    ],
)
def test_a_model_header_that_cannot_be_is_refused(model_path: Path, slot: int, value: int, said: str) -> None:
    put(model_path, slot, value)
    refused(model_path, said)


@pytest.mark.parametrize(
    ("slot", "value", "said"),
    [
        (1, 2, "version 2, and only 1"),
        (2, 8, "process 0 of 8"),
        (3, 1, "process 1 of 1"),
        (4, 0, "cut short or damaged|too long"),
        (5, 0, "too long"),
    ],
)
def test_a_state_header_that_cannot_be_is_refused(state_path: Path, slot: int, value: int, said: str) -> None:
    put(state_path, slot, value)
    refused(state_path, said)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["weights", "first moments", "second moments", "master weights"])
def test_a_value_that_is_not_finite_is_refused_with_its_place(
    part: str, value: float, model_path: Path, state_path: Path
) -> None:
    parts = ["first moments", "second moments", "master weights"]
    path = model_path if part == "weights" else state_path
    start = HEADER if part == "weights" else HEADER + 4 * count(TINY) * parts.index(part)
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, start + 4 * 11, value)
    path.write_bytes(data)
    refused(path, f"value 11 of its {part} is -?(nan|inf)")


@pytest.mark.parametrize("half", [0x7F80, 0xFF80, 0x7FC0])
def test_a_bfloat16_weight_that_is_not_finite_is_refused(tmp_path: Path, half: int) -> None:
    path = tmp_path / "model_00000003.bin"
    write_model(path, TINY, tensors_of(TINY, 1), 5)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, HEADER + 2 * 100, half)
    path.write_bytes(data)
    refused(path, "value 100 of its weights")


def test_a_negative_second_moment_is_refused(state_path: Path) -> None:
    data = bytearray(state_path.read_bytes())
    struct.pack_into("<f", data, HEADER + 4 * (count(TINY) + 5), -1e-20)
    state_path.write_bytes(data)
    refused(state_path, "second moment is negative")


@pytest.mark.parametrize("length", [0, 200, 1 << 31, 1 << 62, (1 << 64) - 1])
def test_an_order_of_another_length_is_refused(state_path: Path, length: int) -> None:
    data = bytearray(state_path.read_bytes())
    struct.pack_into("<Q", data, HEADER + 12 * count(TINY), length)
    state_path.write_bytes(data)
    refused(state_path, "cut short|too long|does not fit")


def test_a_state_of_another_shape_is_refused(state_path: Path) -> None:
    for other in (Sizes(3, 5, 1, 1, 2), Sizes(2, 5, 1, 1, 1)):
        with pytest.raises(UserError, match=rf"{state_path.name}: "):
            state_file.read(str(state_path), moments_of(other))


def test_a_model_of_another_shape_is_refused_with_both(model_path: Path) -> None:
    with pytest.raises(UserError, match=r"model_00000003\.bin: it has 1 layers, 1 channels.*2 layers, 4 channels"):
        model_file.load(str(model_path), GPT2(GPT2Shape(2, 1, 4, 3, 5)))


@pytest.mark.parametrize("version", [3, 5])
def test_padded_rows_that_are_not_zero_are_zeroed_and_told(
    tmp_path: Path, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = tensors_of(TINY, 1)
    tensors["wte"][TINY.vocab + 2] = 1.5
    path = tmp_path / "model_00000003.bin"
    write_model(path, TINY, tensors, version)
    wte = views_of(model_file.open_model(str(path)).flat, ours(TINY).tensors())["wte"][0]
    assert not wte[TINY.vocab :].any()
    assert wte[: TINY.vocab].any()
    assert f"{path}: the padded rows of wte are not zero" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("model_00000003.bin", "state_00000003_00000.bin"):
        refused(tmp_path / name, "cannot be read")


def test_a_file_is_never_seen_in_part(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model_path.read_bytes()

    def fail(*_: object) -> Callable[..., object]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match="No space left"):
        model_file.write(str(model_path), ours(TINY), torch.zeros(count(TINY)), 5)
    assert model_path.read_bytes() == before
    assert [each.name for each in model_path.parent.iterdir()] == [model_path.name]
