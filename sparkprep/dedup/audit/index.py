"""The decisions of a run, sorted and searched: an SQLite file in the temporary folder, which goes with its user."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.audit.finished import FinishedRun, Link, links_in
from sparkprep.dedup.columns import MISS
from sparkprep.dedup.contents import AUDIT_ROWS, KEPT
from sparkprep.io.arrow import python_values

Kind = Literal["removed", "near", "exact", "miss"]
Order = Literal["least", "most", "input"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ORDERS: tuple[Order, ...] = get_args(Order)
_OF_KIND = {"removed": "rule <> 'miss'", "near": "rule = 'near'", "exact": "rule = 'exact'", "miss": "rule = 'miss'"}
_SORTED = {"least": "jaccard, row, kept_row", "most": "jaccard DESC, row, kept_row", "input": "row, kept_row"}
_TABLES = """
CREATE TABLE link (row INTEGER, kept_row INTEGER, id TEXT, kept_id TEXT, jaccard REAL, rule TEXT, kept_crawl TEXT);
CREATE TABLE source (row INTEGER PRIMARY KEY, source TEXT);
"""
_INDEXES = """
CREATE INDEX by_row ON link (row);
CREATE INDEX by_kept_row ON link (kept_row);
CREATE INDEX by_jaccard ON link (jaccard, row, kept_row);
CREATE TABLE cluster AS
    SELECT kept_row, min(kept_id) AS kept_id, count(*) + 1 AS size FROM link WHERE rule <> 'miss' GROUP BY kept_row;
CREATE INDEX by_size ON cluster (size DESC, kept_row);
"""
_LINK = (
    "link.row, link.kept_row, link.id, link.kept_id, link.jaccard, link.rule, link.kept_crawl, "
    "(SELECT source FROM source WHERE source.row = link.row), "
    "(SELECT source FROM source WHERE source.row = link.kept_row)"
)


@dataclass(frozen=True)
class Listed:
    """A link as it stands in a list, with the sources of both documents where the input has such a column."""

    link: Link
    source: str | None
    kept_source: str | None


@dataclass(frozen=True)
class Cluster:
    """A kept document and how many there are with those removed for it."""

    kept_row: int
    kept_id: str
    size: int
    source: str | None


class Index:
    """The links of a finished run. Takes disk for each of them, and memory for each removed document: 8 bytes."""

    def __init__(self, run: FinishedRun, announce: Callable[[str], None] = lambda line: None) -> None:
        self._run = run
        self._folder = tempfile.TemporaryDirectory(prefix="sparkprep-browse-")
        # Pages are made in threads, one at a time.
        self._data = sqlite3.connect(os.path.join(self._folder.name, "links.sqlite"), check_same_thread=False)
        self._data.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
        counts = run.metrics["counts"]
        announce(f"reading what was decided about {counts['removed']:,} removed documents")
        self._fill()
        self._data.executescript(_INDEXES)
        if run.source_column is not None:
            announce(f"reading the column {run.source_column!r} of both")
            self._data.executemany("INSERT INTO source VALUES (?, ?)", self._sources(run.source_column))
        self._data.commit()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._data.close()
        self._folder.cleanup()

    def links(self, kind: Kind, order: Order, search: str, first: int, number: int) -> tuple[int, list[Listed]]:
        """Return how many links there are, and some of them from `first` on.

        search: what an identifier or a source of either document contains, in any case of ASCII letters; "" for all.
        """
        where, values = self._where(search)
        chosen = f"FROM link WHERE {_OF_KIND[kind]}{where}"
        (total,) = self._data.execute(f"SELECT count(*) {chosen}", values).fetchone()
        rows = self._data.execute(
            f"SELECT {_LINK} {chosen} ORDER BY {_SORTED[order]} LIMIT ? OFFSET ?", [*values, number, first]
        )
        return total, [_listed(row) for row in rows]

    def link(self, row: int, kept_row: int) -> Listed | None:
        """Return the link of two documents, or None."""
        found = self._data.execute(
            f"SELECT {_LINK} FROM link WHERE row = ? AND kept_row = ?", (row, kept_row)
        ).fetchone()
        return None if found is None else _listed(found)

    def clusters(self, first: int, number: int) -> tuple[int, list[Cluster]]:
        """Return how many clusters there are, and some of them from `first` on, the largest first."""
        (total,) = self._data.execute("SELECT count(*) FROM cluster").fetchone()
        rows = self._data.execute(
            "SELECT kept_row, kept_id, size, source FROM cluster LEFT JOIN source ON source.row = kept_row "
            "ORDER BY size DESC, kept_row LIMIT ? OFFSET ?",
            (number, first),
        )
        return total, [Cluster(*row) for row in rows]

    def members(self, kept_row: int, first: int, number: int) -> tuple[int, list[Listed]]:
        """Return how many documents were removed for a kept one, and some of them, the most similar first."""
        where = "FROM link WHERE kept_row = ? AND rule <> 'miss'"
        (total,) = self._data.execute(f"SELECT count(*) {where}", (kept_row,)).fetchone()
        rows = self._data.execute(
            f"SELECT {_LINK} {where} ORDER BY {_SORTED['most']} LIMIT ? OFFSET ?", (kept_row, number, first)
        )
        return total, [_listed(row) for row in rows]

    def texts_with(self, words: str, most: int) -> tuple[int, list[Listed]]:
        """Search the texts of all removed documents; return how many hold the words, and the links of the first.

        Every text is read, which takes about a second for some hundred megabytes.
        """
        places: list[int] = []
        total = 0
        column = self._run.text_column
        for here, batch in self._run.rows_of(AUDIT_ROWS, [column]):
            texts = batch[column].cast(pa.large_binary())
            hit = here[np.asarray(pc.fill_null(pc.match_substring(texts, words.encode()), False))]
            total += len(hit)
            places += hit[: max(0, most - len(places))].tolist()
        marks = ", ".join("?" * len(places))
        rows = self._data.execute(
            f"SELECT {_LINK} FROM link WHERE rule <> 'miss' AND row IN ({marks}) ORDER BY row", places
        )
        return total, [_listed(row) for row in rows]

    def _fill(self) -> None:
        for batch in self._run.links():
            rows = (
                (each.row, each.kept_row, each.id, each.kept_id, each.jaccard, each.rule, each.kept_crawl)
                for each in links_in(batch)
            )
            self._data.executemany("INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _sources(self, column: str) -> Iterator[tuple[int, str | None]]:
        """Yield (row, source) of each document with a link."""
        linked = self._data.execute("SELECT row FROM link UNION SELECT kept_row FROM link ORDER BY 1").fetchall()
        wanted = np.array([row for (row,) in linked], np.int64)
        for table in (AUDIT_ROWS, KEPT):
            for places, batch in self._run.rows_of(table, [column]):
                hit = np.isin(places, wanted)
                values = python_values(batch[column].filter(pa.array(hit)))
                for place, value in zip(places[hit].tolist(), values, strict=True):
                    yield place, None if value is None else str(value)

    def _where(self, search: str) -> tuple[str, list[str]]:
        if not search:
            return "", []
        pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        in_sources = "SELECT row FROM source WHERE source LIKE ? ESCAPE '\\'"
        return (
            f" AND (id LIKE ? ESCAPE '\\' OR kept_id LIKE ? ESCAPE '\\' OR row IN ({in_sources})"
            f" OR kept_row IN ({in_sources}))",
            [pattern] * 4,
        )


def _listed(row: tuple[int, int, str, str, float, str, str | None, str | None, str | None]) -> Listed:
    return Listed(Link(*row[:7]), row[7], row[8])


def is_miss(listed: Listed) -> bool:
    """Return whether both documents of a link were kept."""
    return listed.link.rule == MISS
