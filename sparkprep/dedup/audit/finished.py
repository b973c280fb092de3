"""A finished run, opened to be asked: any row of its input by its place, and what was decided about it.

The place of a row is its number in the input, from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.audit.places import places_in_input, positions_in_kept
from sparkprep.dedup.columns import KEPT_CRAWL, MISS
from sparkprep.dedup.contents import AUDIT_PAIRS, AUDIT_ROWS, KEPT, METRICS
from sparkprep.dedup.kernels.arrays import I64
from sparkprep.documents.keys import DEFAULT_ID, shown_as, shown_name, text_digests
from sparkprep.documents.lookup import fetch
from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.errors import UserError
from sparkprep.io.arrow import plain, python_values
from sparkprep.io.files import exists
from sparkprep.io.formats import PARQUET
from sparkprep.io.json_files import read_json
from sparkprep.io.listing import DataFile
from sparkprep.io.parquet import open_parquet
from sparkprep.io.paths import join_path, normalise
from sparkprep.io.results import refuse_other, refuse_several

BATCH_ROWS = 8192
TEXT_ROWS = 256
_ADVICE = "name the output folder of a finished dedup"
_KEYS = {"settings": dict, "counts": dict, "parts": dict, "candidates": dict}


@dataclass(frozen=True)
class Link:
    """A removed document and the kept one that stands for it, or a near miss: a row of audit/pairs."""

    row: int
    kept_row: int
    id: str
    kept_id: str
    jaccard: float
    rule: str
    kept_crawl: str | None = None
    """in a run with an index, the crawl of the kept one; `kept_row` is negative where that is an earlier one"""


@dataclass(frozen=True)
class Document:
    """A row of the input, as it is shown."""

    place: int
    id: str
    source: str | None
    text: str
    crawl: str | None = None
    """of a document of an earlier crawl, whose text is not here, its name"""


class FinishedRun:
    """A result folder of `dedup`, local or on S3. Holds 8 bytes for each removed document.

    Raises UserError where the folder is no such result, has no audit/, or is not as the run left it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = normalise(folder)
        if not exists(self.folder):
            raise UserError(f"{folder}: no such folder; {_ADVICE}")
        if not exists(join_path(self.folder, METRICS)):
            raise UserError(f"{folder}: it holds no {METRICS}, so it is no finished result; {_ADVICE}")
        refuse_several(self.folder)
        refuse_other(self.folder, "dedup", _ADVICE)
        self.metrics = read_json(join_path(self.folder, METRICS), _ADVICE, _KEYS)
        if AUDIT_PAIRS not in self.metrics["parts"]:
            raise UserError(f"{folder}: this result was made by an earlier sparkprep, without audit/; run dedup again")
        if not exists(join_path(self.folder, *AUDIT_PAIRS.split("/"))):
            raise UserError(f"{folder}: its audit/ is gone, in which the removed rows lay; run dedup again")
        settings = self.metrics["settings"]
        self.text_column: str = settings["text_column"]
        self.threshold: float = settings["threshold"]

    @cached_property
    def removed_rows(self) -> I64:
        """The places of the removed rows, int64 (n,), sorted."""
        parts = [np.asarray(batch["row"]) for batch in self._pairs(["row", "rule"], pc.field("rule") != MISS)]
        return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))

    @cached_property
    def id_column(self) -> str | None:
        """The column that names a document; None where the run named them by the SHA-256 of their texts."""
        given: str | None = self.metrics["settings"]["id_column"]
        return given or (DEFAULT_ID if DEFAULT_ID in self._table(KEPT).schema.names else None)

    @cached_property
    def source_column(self) -> str | None:
        """The column of the documents' sources, where there is one."""
        sources = self.metrics["sources"]
        return None if sources is None else str(sources["column"])

    def links(self, *columns: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of audit/pairs, some at a time, with these columns or with all."""
        yield from self._pairs(list(columns) or None)

    def links_of(self, places: I64) -> list[Link]:
        """Return the links with one of these rows, sorted, at either end."""
        found: list[Link] = []
        for batch in self.links():
            ends = np.asarray(batch["row"]), np.asarray(batch["kept_row"])
            hit = np.isin(ends[0], places) | np.isin(ends[1], places)
            found += links_in(batch.filter(pa.array(hit)))
        return found

    def documents(self, places: Sequence[int]) -> dict[int, Document]:
        """Return the rows at these places, by place, with their whole texts; those that are the input's."""
        names = [name for name in (self.id_column, self.source_column, self.text_column) if name is not None]
        wanted, removed = np.unique(np.array(places, np.int64)), self.removed_rows
        wanted = wanted[wanted >= 0]
        gone = np.isin(wanted, removed)
        found: dict[int, Document] = {}
        for table, here, positions in (
            (AUDIT_ROWS, wanted[gone], np.searchsorted(removed, wanted[gone])),
            (KEPT, wanted[~gone], positions_in_kept(wanted[~gone], removed)),
        ):
            if here.size:
                rows = fetch(self._table(table), positions.tolist(), names, here.size)
                for place, position in zip(here.tolist(), positions.tolist(), strict=True):
                    found[place] = self._document(place, rows[position])
        return found

    def both(self, link: Link) -> tuple[Document, Document]:
        """Return the documents of a link; of the kept one, where it is of an earlier crawl, what is known here."""
        found = self.documents([link.row, link.kept_row])
        elsewhere = Document(link.kept_row, link.kept_id, None, "", link.kept_crawl)
        return found[link.row], found.get(link.kept_row, elsewhere)

    def rows_of(self, table: str, columns: Sequence[str]) -> Iterator[tuple[I64, pa.RecordBatch]]:
        """Yield (places, rows) of KEPT or AUDIT_ROWS, in the order of the input, some at a time."""
        position = 0
        rows = TEXT_ROWS if self.text_column in columns else BATCH_ROWS
        for file in self._table(table).files:
            with open_parquet(file.path) as opened:
                for batch in opened.iter_batches(rows, columns=list(columns), use_threads=False):
                    yield self._places(table, np.arange(position, position + batch.num_rows)), batch
                    position += batch.num_rows

    def named(self, name: str) -> list[int]:
        """Return the places of the documents that bear an identifier, as it is shown: usually one."""
        found = [link.row for batch in self.links() for link in links_in(_with_id(batch, name)) if link.rule != MISS]
        if found and self.id_column is None:  # equal texts have equal names, and the kept one among them too
            return sorted(found)
        for places, batch in self.rows_of(KEPT, [self.id_column or self.text_column]):
            ids = batch.column(0) if self.id_column else text_digests(batch.column(0))
            found += places[shown_as(ids, name)].tolist()
        return sorted(found)

    def having(self, column: str, value: str) -> list[int]:
        """Return the places of the documents that have a value, as it is shown, in a column of the input.

        Raises UserError where there is no such column.
        """
        names = self._table(KEPT).schema.names
        if column not in names:
            raise UserError(f"{self.folder}: there is no column {column!r}; columns there are: {', '.join(names)}")
        found: list[int] = []
        for table in (AUDIT_ROWS, KEPT):
            for places, batch in self.rows_of(table, [column]):
                found += places[shown_as(plain(batch.column(0)), value)].tolist()
        return sorted(found)

    def _document(self, place: int, row: dict[str, Any]) -> Document:
        text = row[self.text_column] or ""
        source = row.get(self.source_column) if self.source_column else None
        name = shown_name(row[self.id_column]) if self.id_column else str(text_digests(pa.array([text]))[0])
        return Document(place, name, None if source is None else str(source), text)

    def _places(self, table: str, positions: I64) -> I64:
        """Return which rows of the input lie at these positions of a table."""
        if table == AUDIT_ROWS:
            return self.removed_rows[positions]
        return places_in_input(positions, self.removed_rows)

    def _pairs(self, columns: list[str] | None, where: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
        for part in self.metrics["parts"][AUDIT_PAIRS]:
            with open_parquet(join_path(self.folder, *AUDIT_PAIRS.split("/"), part["name"])) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                    yield batch if where is None else batch.filter(where)

    def _table(self, name: str) -> InputSummary:
        if name not in self._tables:
            parts = self.metrics["parts"][name]
            folder = join_path(self.folder, *name.split("/"))
            files = [DataFile(join_path(folder, part["name"]), part["bytes"], PARQUET) for part in parts]
            summary = summarise(files, self.text_column)
            if summary.file_rows != [part["rows"] for part in parts]:
                raise UserError(f"{folder}: it has other rows than the run wrote; rows are found by their number there")
            self._tables[name] = summary
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str, InputSummary]:
        return {}


def links_in(batch: pa.RecordBatch) -> list[Link]:
    """Return rows of audit/pairs as links."""
    columns = [python_values(batch[name]) for name in ("row", "kept_row", "id", "kept_id", "jaccard", "rule")]
    crawls = python_values(batch[KEPT_CRAWL]) if KEPT_CRAWL in batch.schema.names else [None] * len(batch)
    return [
        Link(row, kept_row, shown_name(name), shown_name(kept_name), jaccard, rule, crawl)
        for row, kept_row, name, kept_name, jaccard, rule, crawl in zip(*columns, crawls, strict=True)
    ]


def _with_id(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    return batch.filter(pa.array(shown_as(batch["id"], name)))
