"""Rows of a finished result by a value in one of their columns: found without Spark, by reading that column alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.documents.lookup import rows_of_group
from sparkprep.io.arrow import plain
from sparkprep.io.parquet import open_parquet
from sparkprep.io.paths import join_path

_AT_ONCE = 8
"""Parts that are read at the same time: on S3 each takes some round trips."""
_ROWS = 8_192
_TEXTS = 256

Matches = Callable[[pa.Array], npt.NDArray[np.bool_]]
"""Tells which values of a column are meant: bool (n,)."""


@dataclass(frozen=True)
class Place:
    """Where a row lies: in which part, and as which row there, from 0."""

    path: str
    row: int


@dataclass(frozen=True)
class Places:
    """Rows that were found: how many there are, and the first of them in the order of the parts."""

    number: int
    first: tuple[Place, ...]

    def and_(self, others: Places, most: int) -> Places:
        """Return these and others behind them, so many of which are named."""
        return Places(self.number + others.number, (*self.first, *others.first)[:most])


def find_rows(
    folder: str, parts: Sequence[Mapping[str, Any]], column: str, matches: Matches, most: int, texts: bool = False
) -> Places:
    """Return the rows of a table of a result whose value in a column is meant.

    parts: as metrics.json lists them. most: of the rows that are named. texts: whether the column holds texts, which
    are read fewer at a time. Raises UserError naming a part that cannot be read.
    """

    def in_part(part: Mapping[str, Any]) -> Places:
        path, found, before = join_path(folder, part["name"]), Places(0, ()), 0
        with open_parquet(path) as file:
            for batch in file.iter_batches(_TEXTS if texts else _ROWS, columns=[column], use_threads=False):
                rows = np.flatnonzero(matches(plain(batch.column(0))))
                places = tuple(Place(path, before + row) for row in rows[:most].tolist())
                found = found.and_(Places(len(rows), places), most)
                before += batch.num_rows
        return found

    found = Places(0, ())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for each in pool.map(in_part, parts):
            found = found.and_(each, most)
    return found


def rows_at(places: Sequence[Place], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows at these places, with those of the columns that their part has."""
    for place in places:
        with open_parquet(place.path) as file:
            group, before = 0, 0
            while place.row >= before + file.metadata.row_group(group).num_rows:
                before += file.metadata.row_group(group).num_rows
                group += 1
            yield from (row for _, row in rows_of_group(file, group, [place.row - before], columns))
