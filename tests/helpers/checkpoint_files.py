"""Values of small models and states for files of llm.c."""

import math
from typing import Any

import numpy as np
import torch
from llmc_files import (
    Sizes,
    Twister,
    count,
    tensor_shapes,
)

from trainer.checkpoints.state_file import Moments
from trainer.data.loader import LoaderState
from trainer.models.gpt2 import GPT2Shape

TINY = Sizes(max_seq_len=3, vocab=5, layers=1, heads=1, channels=1)


def ours(sizes: Sizes) -> GPT2Shape:
    return GPT2Shape(sizes.layers, sizes.heads, sizes.channels, sizes.max_seq_len, sizes.vocab)


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
