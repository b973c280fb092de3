"""The Mersenne Twister (MT19937) as llm.c keeps it in its state file, on NumPy's generator of the same stream.

Matsumoto and Nishimura 1998. The struct, 2,520 bytes, little-endian: u64 seed (llm.c never sets it), int32 `left`,
u32 `next`, u32 state[624], u32 {0, 0x9908b0df}. NumPy's position p of 1 to 624 is next = p, left = 625 - p.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

WORDS = 624
STRUCT_BYTES = 16 + 4 * WORDS + 8

_XOR_CONSTANTS = (0, 0x9908B0DF)


class MersenneTwister:
    """A stream of uint32, the same as that of `torch.manual_seed(seed)` and llm.c's `manual_seed`."""

    def __init__(self, seed: int) -> None:
        # NumPy's constructor would hash the seed; this is the seeding that all others share.
        self._bits: Any = np.random.MT19937()
        self._bits._legacy_seeding(seed)

    def permutation(self, n: int) -> npt.NDArray[np.int32]:
        """Return a random order of 0 .. n-1, int32."""
        items = np.arange(n, dtype=np.int32)
        self.shuffle(items)
        return items

    def shuffle(self, items: npt.NDArray[np.int32]) -> None:
        """Shuffle in place as llm.c does: from the last item down, each swapped with one of those up to itself."""
        n = len(items)
        if n < 2:
            return
        others = self._bits.random_raw(n - 1) % np.arange(n, 1, -1, dtype=np.uint64)
        order = items.tolist()
        for i, j in zip(range(n - 1, 0, -1), others.tolist(), strict=True):
            order[i], order[j] = order[j], order[i]
        items[:] = order

    def pack(self) -> bytes:
        """Return llm.c's struct, with seed 0."""
        inner = self._bits.state["state"]
        position = int(inner["pos"])
        return (
            struct.pack("<QiI", 0, WORDS + 1 - position, position)
            + np.ascontiguousarray(inner["key"], "<u4").tobytes()
            + struct.pack("<II", *_XOR_CONSTANTS)
        )

    def unpack(self, data: bytes) -> None:
        """Take over the state of a struct. Raises ValueError where it cannot be one."""
        if len(data) != STRUCT_BYTES:
            raise ValueError(f"{len(data):,} bytes instead of {STRUCT_BYTES:,}")
        _, left, following = struct.unpack_from("<QiI", data)
        constants = struct.unpack_from("<II", data, STRUCT_BYTES - 8)
        # Freshly seeded, llm.c has left = 1 and next = 0, which like 624 means: all used up.
        position = WORDS if (left, following) == (1, 0) else following
        if not 1 <= position <= WORDS or left != WORDS + 1 - position or constants != _XOR_CONSTANTS:
            raise ValueError(f"left {left}, next {following}, constants {constants} do not fit together")
        key = np.frombuffer(data, "<u4", WORDS, 16).astype(np.uint32)
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}
