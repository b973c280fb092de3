"""Shingle sets of many texts in one array, and how similar each is to some before it."""

import numpy as np
import numpy.typing as npt
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.arrays import F64, I64, U64
from sparkprep.dedup.kernels.shingles import document_shingles, jaccard_of_sets
from sparkprep.dedup.kernels.unicode import table


@njit(cache=KEPT)
def _drop_repeats(values, start, end):
    """Move the distinct values of values[start:end], which are sorted, to the front; return where they end."""
    kept = start
    for i in range(start, end):
        if i == start or values[i] != values[i - 1]:
            values[kept] = values[i]
            kept += 1
    return kept


@njit(cache=KEPT)
def _similarities(values, ends, keys, partners, out):
    """Write to `out` the Jaccard similarity of the last set, and of each partner's, whose place `keys` tells."""
    last = keys.size - 1
    own = values[ends[last] : ends[last + 1]]
    for i in range(partners.size):
        place = np.searchsorted(keys, partners[i])
        out[i] = jaccard_of_sets(own, values[ends[place] : ends[place + 1]])


class ShingleSets:
    """The sets of distinct shingle hashes of texts, sorted, one behind the other in one array.

    It grows with the sets that it holds, 8 bytes a hash, twice over for a moment; a place of 8 bytes for each byte of
    the next text is asked of the system besides, of which the text's shingles are used.
    """

    def __init__(self, width: int) -> None:
        """width: words of a shingle."""
        self._width, self._lookup = width, table()
        self._values, self._ends = np.empty(1 << 16, np.uint64), np.zeros(1 << 10, np.int64)
        self._count = 0

    def clear(self) -> None:
        """Forget all sets."""
        self._count = 0

    @property
    def runs(self) -> tuple[U64, I64]:
        """All sets as runs (values, offsets), until the next one is added."""
        return self._values[: self._ends[self._count]], self._ends[: self._count + 1]

    def add_text(self, data: npt.NDArray[np.uint8], start: int, end: int) -> None:
        """Add the set of the text data[start:end], of UTF-8 bytes."""
        used = self._room(end - start + 1)
        shingles, _ = document_shingles(data, start, end, self._lookup, self._width, self._values[used:])
        self._values[used : used + shingles].sort()
        self._add(_drop_repeats(self._values, used, used + shingles))

    def add_set(self, hashes: U64) -> None:
        """Add a set, sorted and without repeats."""
        used = self._room(hashes.size)
        self._values[used : used + hashes.size] = hashes
        self._add(used + hashes.size)

    def compare_last(self, keys: I64, partners: I64, out: F64) -> None:
        """Write to `out` the Jaccard similarity of the last set with the sets of its partners.

        keys: of all sets, ascending. partners: keys of some of them.
        """
        _similarities(self._values, self._ends, keys, partners, out)

    def _room(self, size: int) -> int:
        """Return where `size` more values may be written."""
        used = int(self._ends[self._count])
        if used + size > self._values.size:
            grown = np.empty(max(2 * used, used + size), np.uint64)
            grown[:used] = self._values[:used]
            self._values = grown
        return used

    def _add(self, end: int) -> None:
        self._count += 1
        if self._count == self._ends.size:
            self._ends = np.concatenate([self._ends, np.empty_like(self._ends)])
        self._ends[self._count] = end
