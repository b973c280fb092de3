"""Model and state files have llm.c's layout, checked by a reader and a writer made from the format's description."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import TINY, bits, flat_of, loader_state, moments_of, ours, rest_of, tensors_of
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
    to_bfloat16,
    write_model,
    write_state,
)

from sparkprep.llmc.shard import ShardFile, ShardHeader
from trainer.checkpoints import model_file, state_file
from trainer.checkpoints.state_file import Moments, StateHeader
from trainer.data.loader import Loader
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.models.layout import views_of

U64 = st.integers(0, 2**64 - 1)


@st.composite
def all_sizes(draw: st.DrawFn) -> Sizes:
    heads = draw(st.integers(1, 3))
    channels = heads * draw(st.integers(1, 3))
    return Sizes(draw(st.integers(1, 9)), draw(st.integers(1, 300)), draw(st.integers(1, 3)), heads, channels)


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
