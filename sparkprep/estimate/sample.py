"""A sample of an input: windows of consecutive documents, one drawn in each of equal strata, read by PyArrow alone.

Of Parquet a window is a run of rows, and the strata are of rows: the footers tell how many there are. Of JSON Lines it
is a run of bytes of the files as they lie, and the documents are those whose lines begin in it. A packed file is read
from its beginning, as far as a window goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.documents.jsonl.lines import DamagedFile, Split, compressed_lines, plan_splits, read_lines
from sparkprep.documents.jsonl.tasks import JsonlSettings, judge
from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.documents.parquet.pieces import Documents, Piece, Span
from sparkprep.errors import UserError
from sparkprep.io.arrow import plain
from sparkprep.io.files import open_input
from sparkprep.io.formats import CODECS
from sparkprep.io.listing import DataFile

WINDOWS = 64
_READERS = 8
_LINES_BYTES = 4096
"""Of JSON Lines that are read for each document that the sample is to have, about."""
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

    for found in _in_threads(count, range(len(windowed.documents.pieces)), look):
        for window, counts in found:
            totals[window] += counts
    sizes = (windowed.ends - windowed.starts).tolist()
    windows = [Window(size, *counts) for size, counts in zip(sizes, totals.tolist(), strict=True)]
    return Sample(tuple(windows), windowed.documents.summary.rows)


def sample_lines(
    files: Sequence[DataFile], text_column: str, sample: int, seed: int, look: Callable[[float], object]
) -> Sample:
    """Read windows of JSON Lines in threads and count. Raises UserError where none of the lines is a document."""
    splits = _splits(files, sample, seed)
    settings, reasons = JsonlSettings(text_column=text_column), list[str]()

    def count(number: int) -> Window:
        window, reason = _of_lines(splits[number], text_column, settings)
        reasons.extend(filter(None, [reason]))
        return window

    windows = list(_in_threads(count, range(len(splits)), look))
    if not any(window.documents for window in windows):
        first = f"; the first line that is none: {reasons[0]}" if reasons else ""
        raise UserError(f"{files[0].path}: no line that was read is a document{first}")
    return Sample(tuple(windows), float(sum(file.size for file in files)))


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


def _splits(files: Sequence[DataFile], sample: int, seed: int) -> list[Split]:
    """Return the windows of JSON Lines: one in each stratum of the files' bytes; files that are small, whole."""
    whole = sum(file.size for file in files)
    wide = max(1, sample * _LINES_BYTES // WINDOWS)
    every = [split for group in plan_splits(files, 1 << 62) for split in group]
    if whole <= wide * WINDOWS:
        return every
    ends = list(accumulate(file.size for file in files))
    draws = np.random.default_rng(seed).random(WINDOWS)
    places = ((np.arange(WINDOWS) + draws) * whole / WINDOWS).astype(np.int64)
    chosen: dict[tuple[str, int], Split] = {}
    for place in places.tolist():
        file = int(np.searchsorted(ends, place, side="right"))
        split, size = every[file], files[file].size
        offset = min(place - (ends[file] - size), max(0, size - wide))
        start = offset if split.format == "jsonl" else 0  # a packed file is read from its beginning
        end = min(size, start + wide)
        chosen[split.path, start] = Split(split.path, split.format, start, end, split.folder_values)
    return list(chosen.values())


def _of_lines(split: Split, text_column: str, settings: JsonlSettings) -> tuple[Window, str]:
    """Return what a window of lines holds, and why the first of them that is no document is none."""
    documents = text_bytes = words = rejected = 0
    size, why = float(split.end - split.start), ""
    try:
        for line, length, read in _lines(split, settings.line_limit):
            record, reason = judge(split, line, length, settings)
            size = read or size
            if record is None:
                rejected, why = rejected + bool(reason), why or reason
                continue
            text = record.get(text_column) or ""
            documents, text_bytes = documents + 1, text_bytes + len(text.encode("utf-8", "surrogatepass"))
            words += bool(text.strip())
    except DamagedFile as error:
        raise UserError(f"{split.path}: {error}; restore it or leave it out") from error
    return Window(size, documents, text_bytes, words, rejected), why


def _lines(split: Split, limit: int) -> Iterator[tuple[bytes, int, float]]:
    """Yield (line, its length, bytes of the file that are read so far, 0 where a window's own size is meant)."""
    if split.format == "jsonl":
        yield from ((line, length, 0.0) for line, length in read_lines(split, limit))
        return
    with open_input(split.path) as stream:
        for line, length in compressed_lines(stream, CODECS[split.format], limit):
            yield line, length, float(stream.tell())
            if stream.tell() >= split.end:
                return


def _in_threads(count: Callable[[int], T], numbers: range, look: Callable[[float], object]) -> Iterator[T]:
    with ThreadPoolExecutor(_READERS) as pool:
        for done, found in enumerate(pool.map(count, numbers), 1):
            yield found
            look(done / len(numbers))
