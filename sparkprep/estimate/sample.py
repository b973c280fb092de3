"""A sample of an input: windows of consecutive documents, one drawn in each of equal strata, read by PyArrow alone.

Of Parquet a window is a run of rows, and the strata are of rows: the footers tell how many there are. Of JSON Lines it
is a run of bytes (`lines`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.documents.parquet.pieces import Documents, Piece, Span
from sparkprep.io.arrow import plain

WINDOWS = 64
_READERS = 8
_BLANK = r"^\s*$"

T = TypeVar("T")


@dataclass(frozen=True)
class Window:
    """What was counted in a window. size: rows of Parquet, or bytes of files as they lie.

    rejected: lines that are no documents. words: documents with anything but blanks in them.
    """

    size: float
    documents: int
    text_bytes: int
    words: int
    rejected: int = 0


@dataclass(frozen=True)
class Sample:
    """Windows of an input, and the size of the whole in the same unit."""

    windows: tuple[Window, ...]
    whole: float

    @property
    def documents(self) -> int:
        """How many were read."""
        return sum(window.documents for window in self.windows)

    @property
    def is_whole(self) -> bool:
        """Whether everything was read."""
        return sum(window.size for window in self.windows) >= self.whole

    def column(self, of: Callable[[Window], float]) -> tuple[list[float], list[float], float]:
        """Return what `ratio.total` takes: sizes, values, whole."""
        return [window.size for window in self.windows], [float(of(window)) for window in self.windows], self.whole


@dataclass(frozen=True)
class Windowed:
    """Windows of Parquet. starts, ends: rows of each, int64 (windows,).

    documents: a piece for each row group with windows in it, from the first of these to the end of the last, so that
    what lies before a window is decoded once for all windows behind it.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    documents: Documents

    def batches(self, columns: Sequence[str], piece: int | None = None) -> Iterator[tuple[int, int, pa.RecordBatch]]:
        """Yield (window, key of the first row, rows) of the windows of a piece, None: of all of them, in order."""
        for number in range(len(self.documents.pieces)) if piece is None else [piece]:
            key = self.documents.pieces[number].first_key
            for batch in self.documents.batches(number, columns):
                first = int(np.searchsorted(self.ends, key, side="right"))
                last = int(np.searchsorted(self.starts, key + batch.num_rows, side="left"))
                for window in range(first, last):
                    start = max(key, int(self.starts[window]))
                    end = min(key + batch.num_rows, int(self.ends[window]))
                    yield window, start, batch.slice(start - key, end - start)
                key += batch.num_rows


def plan_windows(summary: InputSummary, sample: int, seed: int) -> Windowed:
    """Return the windows of a sample of Parquet: all rows, where these are no more."""
    rows = summary.rows
    count = min(WINDOWS, rows)
    edges = [rows * number // count for number in range(count + 1)]
    length = rows if rows <= sample else max(1, sample // count)
    draws = np.random.default_rng(seed).random(count).tolist()
    windows = []
    for (start, end), draw in zip(pairwise(edges), draws, strict=True):
        wide = min(length, end - start)
        first = start + int(draw * (end - start - wide + 1))
        windows.append((first, first + wide))
    starts, ends = np.array(windows, np.int64).reshape(-1, 2).T
    return Windowed(starts, ends, Documents(summary, tuple(_pieces(summary, windows))))


def sample_parquet(windowed: Windowed, text_column: str, look: Callable[[float], object]) -> Sample:
    """Read the windows' texts in threads and count. look: called with the share that is done."""
    totals = np.zeros((len(windowed.starts), 3), np.int64)

    def count(piece: int) -> list[tuple[int, tuple[int, int, int]]]:
        batches = windowed.batches([text_column], piece)
        return [(window, counted(batch[text_column])) for window, _, batch in batches]

    for found in in_threads(count, range(len(windowed.documents.pieces)), look):
        for window, counts in found:
            totals[window] += counts
    sizes = (windowed.ends - windowed.starts).tolist()
    windows = [Window(size, *counts) for size, counts in zip(sizes, totals.tolist(), strict=True)]
    return Sample(tuple(windows), windowed.documents.summary.rows)


def counted(texts: pa.Array) -> tuple[int, int, int]:
    """Return (documents, bytes of their texts, documents with anything but blanks) of a column of texts."""
    values = plain(texts)
    values = values.cast(pa.string()) if pa.types.is_null(values.type) else values
    blank = pc.fill_null(pc.match_substring_regex(values, _BLANK), True)
    return len(values), pc.sum(pc.binary_length(values)).as_py() or 0, len(values) - pc.sum(blank).as_py()


def _pieces(summary: InputSummary, windows: Sequence[tuple[int, int]]) -> Iterator[Piece]:
    """Yield a piece for each row group in which windows, (first row, end), lie."""
    begin, at = 0, 0
    for file, groups in enumerate(summary.row_groups):
        for number, group in enumerate(groups):
            end = begin + group.rows
            while at < len(windows) and windows[at][1] <= begin:
                at += 1
            inside = [each for each in windows[at : at + WINDOWS] if each[0] < end and each[1] > begin]
            if inside:
                first, last = max(begin, inside[0][0]), min(end, inside[-1][1])
                span = Span(file, number, 1, first - begin, last - first)
                yield Piece(first, last - first, group.bytes, (span,))
            begin = end


def in_threads(count: Callable[[int], T], numbers: range, look: Callable[[float], object]) -> Iterator[T]:
    """Yield what `count` returns for each of the numbers, in their order; look: called with the share that is done."""
    with ThreadPoolExecutor(_READERS) as pool:
        for done, found in enumerate(pool.map(count, numbers), 1):
            yield found
            look(done / len(numbers))
