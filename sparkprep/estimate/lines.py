"""A sample of JSON Lines: windows of bytes of the files as they lie, whose documents are the lines that begin there.

A packed file can only be read from its beginning: so far as its share of the sample goes, in windows one behind
another. What is behind that is taken to be as what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from sparkprep.documents.jsonl.lines import DamagedFile, Split, compressed_lines, plan_splits, read_lines
from sparkprep.documents.jsonl.tasks import JsonlSettings, judge
from sparkprep.errors import UserError, argument
from sparkprep.estimate.sample import WINDOWS, Sample, Window, in_threads
from sparkprep.io.files import open_input
from sparkprep.io.formats import CODECS
from sparkprep.io.listing import DataFile

BYTES_A_DOCUMENT = 4096
"""Of the files, that are read for each document that the sample is to have."""


@dataclass
class _Counted:
    """What is counted of lines. columns: of the documents. reason: why the first line that is no document is none."""

    settings: JsonlSettings
    windows: list[Window] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    reason: str = ""
    _open: list[int] = field(default_factory=lambda: [0, 0, 0, 0])

    def add(self, split: Split, line: bytes, length: int) -> None:
        """Count a line."""
        record, reason = judge(split, line, length, self.settings)
        if record is None:
            self._open[3] += bool(reason)
            self.reason = self.reason or reason
            return
        text = record.get(self.settings.text_column) or ""
        self._open[0] += 1
        self._open[1] += len(text.encode("utf-8", "surrogatepass"))
        self._open[2] += bool(text.strip())
        if len(self.columns) < 1000:
            self.columns.update(record)

    def close(self, size: float) -> None:
        """End a window of so many bytes."""
        if size > 0:
            self.windows.append(Window(size, *self._open))
            self._open = [0, 0, 0, 0]


def sample_lines(
    files: Sequence[DataFile], text_column: str, sample: int, seed: int, look: Callable[[float], object]
) -> tuple[Sample, set[str]]:
    """Read windows of JSON Lines in threads; return what was counted, and the columns that documents have there.

    Raises UserError where none of the lines is a document, or none has the text column.
    """
    splits = _splits(files, sample, seed)
    sizes, settings = {file.path: file.size for file in files}, JsonlSettings(text_column=text_column)

    def count(number: int) -> _Counted:
        return _count(splits[number], sizes[splits[number].path], settings)

    counted = list(in_threads(count, range(len(splits)), look))
    windows = [window for each in counted for window in each.windows]
    columns = set().union(*(each.columns for each in counted))
    if not any(window.documents for window in windows):
        reason = next((each.reason for each in counted if each.reason), "")
        first = f"; the first that is none: {reason}" if reason else ""
        raise UserError(f"{files[0].path}: no line that was read is a document{first}")
    if text_column not in columns:
        there = ", ".join(sorted(columns)) or "none"
        raise UserError(
            f"{files[0].path}: no column '{text_column}'; columns there are: {there}; name it by "
            f"{argument('text_column')}"
        )
    return Sample(tuple(windows), float(sum(file.size for file in files))), columns


def _splits(files: Sequence[DataFile], sample: int, seed: int) -> list[Split]:
    """Return what is read: all of small files, else a window in each stratum of the files' bytes.

    A packed file in which windows fall is read from its beginning for as many bytes as these have.
    """
    whole = sum(file.size for file in files)
    wide = max(1, sample * BYTES_A_DOCUMENT // WINDOWS)
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
        start = min(place - (ends[file] - size), max(0, size - wide))
        if split.format != "jsonl":
            start, before = 0, chosen.get((split.path, 0))
            end = min(size, (before.end if before else 0) + wide)
        else:
            end = min(size, start + wide)
        chosen[split.path, start] = Split(split.path, split.format, start, end, split.folder_values)
    return list(chosen.values())


def _count(split: Split, size: int, settings: JsonlSettings) -> _Counted:
    """Count what is read of a file of so many bytes."""
    counted = _Counted(settings)
    if split.format == "jsonl":
        for line, length in read_lines(split, settings.line_limit):
            counted.add(split, line, length)
        counted.close(split.end - split.start)
        return counted
    begun = 0.0
    step = max(1, (split.end - split.start) // WINDOWS)
    for line, length, read in _unpacked(split, settings.line_limit):
        if read - begun >= step and read < size:  # it is read ahead: at its end, lines of it are still to come
            counted.close(read - begun)
            begun = read
        if read >= split.end < size:
            return counted
        counted.add(split, line, length)
    counted.close(size - begun)
    return counted


def _unpacked(split: Split, limit: int) -> Iterator[tuple[bytes, int, float]]:
    """Yield (line, its length, bytes of the file that were read for it and those before). Raises UserError."""
    try:
        with open_input(split.path) as stream:
            for line, length in compressed_lines(stream, CODECS[split.format], limit):
                yield line, length, float(stream.tell())
    except DamagedFile as error:
        raise UserError(f"{split.path}: {error}; restore it or leave it out") from error
