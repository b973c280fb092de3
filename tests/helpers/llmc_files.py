"""llm.c's model and state files read and written a second time, from their description alone.

Nothing of the trainer is imported here: what these functions and the trainer agree on is not one misunderstanding
shared. Only struct and NumPy, and plain loops where the format's order is the point.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HEADER = 256 * 4


@dataclass(frozen=True)
class Sizes:
    """What a model file's header tells of the model."""

    max_seq_len: int
    vocab: int
    layers: int
    heads: int
    channels: int

    @property
    def padded(self) -> int:
        return (self.vocab + 127) // 128 * 128


def tensor_shapes(sizes: Sizes) -> list[tuple[str, tuple[int, ...]]]:
    """The 16 tensors in the file's order, each contiguous over all layers."""
    L, C = sizes.layers, sizes.channels
    return [
        ("wte", (sizes.padded, C)),
        ("wpe", (sizes.max_seq_len, C)),
        ("ln1w", (L, C)),
        ("ln1b", (L, C)),
        ("qkvw", (L, 3 * C, C)),
        ("qkvb", (L, 3 * C)),
        ("attprojw", (L, C, C)),
        ("attprojb", (L, C)),
        ("ln2w", (L, C)),
        ("ln2b", (L, C)),
        ("fcw", (L, 4 * C, C)),
        ("fcb", (L, 4 * C)),
        ("fcprojw", (L, C, 4 * C)),
        ("fcprojb", (L, C)),
        ("lnfw", (C,)),
        ("lnfb", (C,)),
    ]


def count(sizes: Sizes) -> int:
    """Parameters, padded rows included."""
    return sum(int(np.prod(shape)) for _, shape in tensor_shapes(sizes))


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 -> the upper 16 bits, rounded to nearest, ties to even; finite values only."""
    bits = values.astype("<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def from_bfloat16(halves: np.ndarray) -> np.ndarray:
    """The float32 values that 16 upper bits stand for."""
    return (halves.astype("<u4") << 16).view("<f4")


def write_model(path: Path, sizes: Sizes, tensors: dict[str, np.ndarray], version: int, **fields: int) -> None:
    """A model file; `fields` (magic, version, padded) put something else into the header."""
    head = struct.pack(
        "<8i",
        fields.get("magic", 20240326),
        fields.get("version", version),
        sizes.max_seq_len,
        sizes.vocab,
        sizes.layers,
        sizes.heads,
        sizes.channels,
        fields.get("padded", sizes.padded),
    )
    with open(path, "wb") as file:
        file.write(head.ljust(HEADER, b"\0"))
        for name, shape in tensor_shapes(sizes):
            values = np.ascontiguousarray(tensors[name], "<f4").reshape(shape)
            file.write(values.tobytes() if version == 3 else to_bfloat16(values).tobytes())


def read_model(path: Path) -> tuple[int, Sizes, dict[str, np.ndarray]]:
    """Version, sizes and tensors, as float32 whatever the version; asserts that every byte has its place."""
    data = path.read_bytes()
    magic, version, positions, vocab, layers, heads, channels, padded, *rest = struct.unpack_from("<256i", data)
    sizes = Sizes(positions, vocab, layers, heads, channels)
    assert magic == 20240326
    assert version in (3, 5)
    assert padded == sizes.padded
    assert not any(rest)
    kind, width = ("<f4", 4) if version == 3 else ("<u2", 2)
    at, tensors = HEADER, {}
    for name, shape in tensor_shapes(sizes):
        size = int(np.prod(shape))
        values = np.frombuffer(data, kind, size, at)
        tensors[name] = (values if version == 3 else from_bfloat16(values)).reshape(shape)
        at += width * size
    assert at == len(data)
    return version, sizes, tensors


@dataclass
class Twister:
    """MT19937 in plain Python with llm.c's own fields: `left` draws until the next refill, `next` word to use."""

    state: list[int] = field(default_factory=list)
    left: int = 1
    next: int = 0

    @classmethod
    def seeded(cls, seed: int) -> Twister:
        state = [seed & 0xFFFFFFFF]
        for i in range(1, 624):
            state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
        return cls(state)

    def draw(self) -> int:
        """The next uint32."""
        self.left -= 1
        if self.left <= 0:
            self.refill()
        y = self.state[self.next]
        self.next += 1
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C5680
        y ^= (y << 15) & 0xEFC60000
        return y ^ (y >> 18)

    def refill(self) -> None:
        s = self.state
        for k in range(624):
            mixed = (s[k] & 0x80000000) | (s[(k + 1) % 624] & 0x7FFFFFFF)
            s[k] = s[(k + 397) % 624] ^ (mixed >> 1) ^ (0x9908B0DF if mixed & 1 else 0)
        self.left, self.next = 624, 0

    def shuffle(self, items: list[int]) -> None:
        """In place, from the last item down."""
        for i in range(len(items) - 1, 0, -1):
            j = self.draw() % (i + 1)
            items[i], items[j] = items[j], items[i]

    def permutation(self, n: int) -> list[int]:
        items = list(range(n))
        self.shuffle(items)
        return items

    def pack(self, seed: int = 0) -> bytes:
        """The struct as it lies in memory; llm.c leaves `seed` unset, so any value must do."""
        constants = struct.pack("<2I", 0, 0x9908B0DF)
        return struct.pack("<QiI", seed, self.left, self.next) + struct.pack("<624I", *self.state) + constants

    @classmethod
    def unpack(cls, data: bytes) -> Twister:
        assert len(data) == 2520
        assert struct.unpack_from("<2I", data, 2512) == (0, 0x9908B0DF)
        left, following = struct.unpack_from("<iI", data, 8)
        return cls(list(struct.unpack_from("<624I", data, 16)), left, following)


def write_state(path: Path, state: dict[str, Any], **fields: int) -> None:
    """A state file of `state`: step, rng, rng_before, shard, used, m, v, masters or None, and if it shuffles
    shard_order, sample_order, twister (bytes). `fields` (magic, version, processes, rank) change the header."""
    shuffled = state.get("twister") is not None
    head = bytearray(HEADER)
    first = (fields.get("magic", 20240527), fields.get("version", 1), fields.get("processes", 1), fields.get("rank", 0))
    struct.pack_into("<6i", head, 0, *first, int(state["masters"] is not None), int(shuffled))
    struct.pack_into("<i", head, 4 * 10, state["step"])
    for slot, name in ((20, "rng"), (22, "rng_before"), (30, "shard"), (32, "used")):
        struct.pack_into("<Q", head, 4 * slot, state[name])
    with open(path, "wb") as file:
        file.write(head)
        for name in ("m", "v", "masters"):
            if state[name] is not None:
                file.write(np.asarray(state[name], "<f4").tobytes())
        if shuffled:
            for name in ("shard_order", "sample_order"):
                file.write(struct.pack("<Q", len(state[name])))
                file.write(struct.pack(f"<{len(state[name])}i", *state[name]))
            file.write(state["twister"])


def read_state(path: Path, parameters: int) -> dict[str, Any]:
    """A state file of so many parameters, as `write_state` takes it; asserts that every byte has its place."""
    data = path.read_bytes()
    slots = struct.unpack_from("<256i", data)
    assert slots[:4] == (20240527, 1, 1, 0)
    known = {0, 1, 2, 3, 4, 5, 10, 20, 21, 22, 23, 30, 31, 32, 33}
    assert not any(value for slot, value in enumerate(slots) if slot not in known)
    state: dict[str, Any] = {"step": slots[10]}
    for slot, name in ((20, "rng"), (22, "rng_before"), (30, "shard"), (32, "used")):
        state[name] = struct.unpack_from("<Q", data, 4 * slot)[0]
    at = HEADER
    for name in ("m", "v", "masters"):
        state[name] = None
        if name != "masters" or slots[4]:
            state[name] = np.frombuffer(data, "<f4", parameters, at)
            at += 4 * parameters
    if slots[5]:
        for name in ("shard_order", "sample_order"):
            (length,) = struct.unpack_from("<Q", data, at)
            state[name] = list(struct.unpack_from(f"<{length}i", data, at + 8))
            at += 8 + 4 * length
        state["twister"] = data[at : at + 2520]
        at += 2520
    assert at == len(data)
    return state
