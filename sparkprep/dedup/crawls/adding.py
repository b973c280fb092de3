"""The crawl of a run on its way into an index: sketched with its shingle sets, its rows written, its manifest made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.commands import command
from sparkprep.dedup.candidates import CandidateCounts
from sparkprep.dedup.index.folder import IndexFolder
from sparkprep.dedup.index.indexed import ROWS_FORM, SETS_FORM, IndexedDocuments, index_before, prefixed
from sparkprep.dedup.index.layout import (
    KEPT,
    MOST_CRAWLS,
    MOST_PIECES,
    MOST_ROWS,
    REMOVED,
    ROWS,
    SETS,
    SHINGLES,
)
from sparkprep.dedup.index.manifest import (
    Crawl,
    Manifest,
    Part,
    StoredTable,
    encoded_type,
    settings_of,
)
from sparkprep.dedup.kernels.arrays import I64
from sparkprep.dedup.kernels.hashing import hash_rows
from sparkprep.dedup.kernels.sets import ShingleSets
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns, Tally, count_rows, signature_rows
from sparkprep.dedup.ties import ranked
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.addressed import is_among
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.errors import UserError, argument
from sparkprep.io.arrow import plain, runs_to_binary, text_buffers
from sparkprep.io.paths import join_path
from sparkprep.spark.shared import refuse_unseen
from sparkprep.spark.tables import Table, Written, split_writer
from sparkprep.spark.tasks import run

_SET_BYTES = 1 << 20
_WRITTEN = ("number", "id", "rank", "source", "bytes", "shingles", "text_hash", "bands", "tiny")


@dataclass
class CrawlOfRun:
    """The crawl of a run. earlier: the entry of its name, where it is in the index already: then nothing is written."""

    folder: IndexFolder
    manifest: Manifest
    name: str
    earlier: Crawl | None
    indexed: IndexedDocuments
    tables: dict[str, Table]
    serial: int
    fingerprint: str = ""
    null_ids: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    against: dict[str, int] = field(default_factory=dict)
    """the crawls -> documents removed for one of theirs"""

    def commit(self) -> None:
        """Put the crawl into the index, unless it is there."""
        if self.earlier is None:
            self.folder.replace(self.manifest.with_crawl(self._entry()))

    def figures(self) -> dict[str, Any]:
        """Return what metrics.json tells of the index."""
        before = self.manifest.crawls[: self.indexed.order]
        entry = self.earlier or self._entry()
        return {
            "path": self.folder.path,
            "crawl": self.name,
            "was_there": self.earlier is not None,
            "crawls_before": [each.name for each in before],
            "documents_before": sum(each.counts["documents"] for each in before),
            "removed_against": self.against,
            "bytes": entry.bytes,
            "bytes_before": sum(each.bytes for each in before),
        }

    def _entry(self) -> Crawl:
        pieces = tuple(stop - start for start, stop in zip(*_borders(self.indexed), strict=True))
        date = datetime.now(UTC).isoformat(timespec="seconds")
        tables = {name: stored(self.folder.path, table) for name, table in self.tables.items()}
        return Crawl(self.name, self.serial, date, self.fingerprint, pieces, self.counts, tables)


@dataclass
class IntoIndex:
    """What a run does with its index, step by step. folder: held by this run. name: of the run's crawl."""

    folder: IndexFolder
    name: str
    _crawl: CrawlOfRun | None = None

    def begin(self, work: Workspace) -> None:
        """Set the documents of the crawls before behind the run's own. Raises UserError where that cannot be."""
        refuse_unseen(work.spark, [], [self.folder.path])
        settings = settings_of(work.settings, work.id_type)
        manifest = self.folder.begin(settings, encoded_type(work.id_type))
        self._crawl = begin(self.folder, self.name, manifest, work.documents)
        work.index = self._crawl.indexed
        work.documents = work.index.behind(work.documents)

    def sketch(self, work: Workspace) -> Tally:
        """Write the signature rows. Raises UserError where the index has this crawl with other documents."""
        return write_signatures(work, self.crawl)

    def write(self, work: Workspace, counts: CandidateCounts) -> None:
        """Write what the index gets of the run's documents; it counts when it is committed."""
        with work.progress.stage("index", work.summary.rows):
            write_rows(work, self.crawl, counts)
        work.index_figures = self.crawl.figures()

    def commit(self) -> None:
        """Put the crawl into the index, unless it is there. Raises UserError where the index has changed."""
        self.crawl.commit()

    @property
    def crawl(self) -> CrawlOfRun:
        assert self._crawl is not None  # it has begun
        return self._crawl


def _borders(indexed: IndexedDocuments) -> tuple[list[int], list[int]]:
    starts = list(indexed.first_keys)
    return starts, [*starts[1:], indexed.own] if starts else []


def stored(path: str, table: Table) -> StoredTable:
    """Return what the manifest of the index at a path says of a table that was written."""
    parts = zip(table.parts or {}, table.files, strict=True)
    folder = table.path[len(path) :].strip("/")
    return StoredTable(folder, tuple(Part(number, **asdict(part.file), page_checksums=True) for number, part in parts))


def begin(folder: IndexFolder, name: str, manifest: Manifest, documents: Documents) -> CrawlOfRun:
    """Begin a run's crawl: it comes behind all that are in the index, or, if it is one of these, where it was.

    Raises UserError where the index can take no more.
    """
    order = manifest.place_of(name)
    earlier = None if order is None else manifest.crawls[order]
    serial = manifest.next_serial if earlier is None else earlier.serial
    largest = max((piece.rows for piece in documents.pieces), default=0)
    if serial >= MOST_CRAWLS or len(documents.pieces) > MOST_PIECES or largest > MOST_ROWS:
        raise UserError(f"{folder.path}: an index holds {MOST_CRAWLS:,} crawls of {MOST_PIECES:,} pieces at most")
    before = manifest.crawls[:order]
    indexed = index_before(folder.path, before, name, serial, documents)
    tables = {} if earlier else new_tables(folder, name)
    return CrawlOfRun(folder, manifest, name, earlier, indexed, tables, serial)


def new_tables(folder: IndexFolder, name: str) -> dict[str, Table]:
    """Return the tables of a crawl, to be written below the index where nothing is yet."""
    below = join_path(folder.path, *folder.new_folder(name).split("/"))
    rows = {each: Table(join_path(below, each), ROWS, ROWS_FORM) for each in (KEPT, REMOVED)}
    return {**rows, SHINGLES: Table(join_path(below, SHINGLES), SETS, SETS_FORM)}


def write_signatures(work: Workspace, crawl: CrawlOfRun) -> Tally:
    """Write the signature rows of the run's documents and those of the index, and the shingle sets of the first.

    Raises UserError where the index has a crawl of this name with other documents.
    """
    written = [work.signatures, *([crawl.tables[SHINGLES]] if crawl.tables else [])]
    write_parts = split_writer(written)
    rows = partial(
        _sketched, documents=work.documents, columns=work.columns, indexed=crawl.indexed, sets=bool(crawl.tables)
    )
    settings = work.settings

    def task(number: int) -> list[tuple[int, Written]]:
        sums: dict[str, int] = {}
        if crawl_indexed.holds(number):
            parts = write_parts(number, ([batch] for batch in crawl_indexed.signature_rows(number)))
        else:
            parts = write_parts(number, rows(number, settings=settings, sums=sums))
        return list(enumerate([replace(parts[0], counts=sums), *parts[1:]]))

    crawl_indexed = crawl.indexed
    found = run(work.spark, range(len(work.documents.pieces)), task)
    counts: dict[str, int] = {}
    for which, table_ in enumerate(written):
        sums = table_.note(part for number, part in found if number == which)
        counts = counts or sums
    crawl.fingerprint = f"{work.summary.rows}-{counts.pop('fingerprint', 0) % (1 << 64):016x}"
    crawl.null_ids = counts.pop("null_ids", 0)
    if crawl.earlier is not None and crawl.earlier.fingerprint != crawl.fingerprint:
        there = crawl.earlier
        raise UserError(
            f"{crawl.folder.path}: crawl {crawl.name!r} is in the index with other documents "
            f"({there.counts['documents']:,} of {there.date}): choose another {argument('crawl')}, or take that one "
            f"out first: {command('index', 'remove', crawl.folder.path, '--crawl', crawl.name)}"
        )
    return Tally(**counts)


def _sketched(
    number: int,
    documents: Documents,
    columns: Columns,
    indexed: IndexedDocuments,
    sets: bool,
    settings: Settings,
    sums: dict[str, int],
) -> Iterator[Sequence[pa.RecordBatch]]:
    """Yield (signature rows, shingle sets) of a piece of the run's own, and add up what is counted."""
    key, prefix = documents.pieces[number].first_key, indexed.prefix()
    for batch in documents.batches(number, columns.names):
        rows = signature_rows(batch, key, columns, settings)
        key += batch.num_rows
        for name, value in {**count_rows(rows), **_identity(rows)}.items():
            sums[name] = sums.get(name, 0) + int(value)
        place = rows.schema.get_field_index("rank")
        rows = rows.set_column(place, rows.schema.field(place), prefixed(rows["rank"], prefix))
        if not sets:
            yield (rows,)
            continue
        nothing = rows.slice(0, 0)
        for hashes in _sets(plain(batch[columns.text]), settings.shingle_words):
            yield rows, hashes
            rows = nothing


def _identity(rows: pa.RecordBatch) -> dict[str, int]:
    """Return a sum of hashes of what an index knows of documents, and how many have no identifier."""
    data, offsets, _ = text_buffers(rows["rank"])
    hashes = np.empty(len(rows), np.uint64)
    hash_rows(data, offsets, hashes)
    mixed = np.asarray(rows["text_hash"]).view(np.uint64) + np.asarray(rows["chars"]).view(np.uint64)
    hashes = (hashes ^ (mixed * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    return {"fingerprint": int((hashes ^ (hashes >> np.uint64(31))).sum()), "null_ids": rows["id"].null_count}


def _sets(texts: pa.Array, width: int) -> Iterator[pa.RecordBatch]:
    """Yield the distinct shingle hashes of texts (SETS), about 1 MB at a time."""
    texts = texts.cast(pa.string(), safe=False) if pa.types.is_null(texts.type) else texts
    data, offsets, valid = text_buffers(texts)
    sets = ShingleSets(width)
    for row in range(len(texts)):
        start, end = offsets[row], offsets[row + 1] if valid[row] else offsets[row]
        sets.add_text(data, start, end)
        values, ends = sets.runs
        if values.nbytes >= _SET_BYTES or row == len(texts) - 1:
            yield pa.RecordBatch.from_arrays([runs_to_binary(values, ends).cast(pa.large_binary())], schema=SETS)
            sets = ShingleSets(width)  # the batch looks into its array


def write_rows(work: Workspace, crawl: CrawlOfRun, counts: CandidateCounts) -> None:
    """Write the crawl's rows as they were decided, and count for whose documents the removed ones went."""
    _write_row_hashes(work, crawl, counts)
    signatures, removed, hashes = work.signatures, work.removed_keys, work.ties_of_index.row_hashes
    indexed, tables = crawl.indexed, [crawl.tables[name] for name in (KEPT, REMOVED) if crawl.tables]
    write_parts = split_writer(tables)

    def task(piece: int) -> list[tuple[int, Written | dict[int, int]]]:
        gone = pa.Table.from_batches(removed.part(piece), removed.schema)
        against = np.unique(indexed.orders_of(np.asarray(gone["kept_key"])), return_counts=True)
        counted: dict[int, int] = dict(zip(*(each.tolist() for each in against), strict=True))
        told = pa.Table.from_batches(hashes.part(piece) if hashes.exists() else (), hashes.schema)
        first = indexed.first_keys[piece]
        rows = (_rows_of(batch, first, indexed, told) for batch in signatures.part(piece))
        parts = write_parts(piece, (decided(batch, first, indexed, gone) for batch in rows)) if tables else []
        return [*enumerate(parts), (-1, counted)]

    found = run(work.spark, range(indexed.own_pieces), task)
    for which, each in enumerate(tables):
        each.note(part for number, part in found if number == which and isinstance(part, Written))
    names = [*(each.name for each in crawl.manifest.crawls[: indexed.order]), crawl.name]
    crawl.against = dict.fromkeys(names, 0)
    for _, told in found:
        for order, number in told.items() if isinstance(told, dict) else ():
            crawl.against[names[order]] += number
    kept, gone = (table_.rows for table_ in tables) if tables else (0, 0)
    crawl.counts = {
        "documents": work.summary.rows,
        "kept": work.summary.rows - work.removed_keys.rows,
        "removed": gone,
        "without_words": work.summary.rows - kept - gone,
    }


def _write_row_hashes(work: Workspace, crawl: CrawlOfRun, counts: CandidateCounts) -> None:
    """Write the row hashes of all own documents that another one of this crawl equals in the keep order, if any."""
    by_text = work.columns.id is None and counts.exact
    if crawl.tables and (counts.duplicate_ids or crawl.null_ids > 1 or by_text):
        ranked(work, work.own_signatures.read(work.spark, [KEY]), work.ties_of_index)


def _rows_of(batch: pa.RecordBatch, first: int, indexed: IndexedDocuments, hashes: pa.Table) -> pa.RecordBatch:
    """Return signature rows of a piece whose first key is `first` as rows of the index, none of them decided.

    hashes: (KEY, row_hash) by key.
    """
    batch = batch.filter(pc.greater(batch["shingles"], 0))
    keys = np.asarray(batch[KEY])
    columns = {name: batch[name] for name in _WRITTEN if name in batch.schema.names}
    columns["number"] = pa.array(keys - first)
    columns["rank"] = pc.binary_replace_slice(batch["rank"], 0, len(indexed.prefix()), b"")
    columns["row_hash"] = pa.array(_looked_up(keys, np.asarray(hashes[KEY]), np.asarray(hashes["row_hash"])))
    return undecided(columns, len(keys))


def undecided(columns: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    """Return so many rows of the index of documents that stay, from their other columns."""
    nothing = {name: pa.nulls(rows, ROWS.field(name).type) for name in ("kept_place", "jaccard")}
    return pa.RecordBatch.from_pydict({**columns, **nothing, "exact": pa.array(np.zeros(rows, np.bool_))}, ROWS)


def decided(
    rows: pa.RecordBatch, first: int, indexed: IndexedDocuments, removed: pa.Table
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return rows of the index of a piece whose first key is `first`, as they were decided: (kept, removed).

    removed: (KEY, kept_key, jaccard, rule) of the removed documents of the piece, by key.
    """
    keys, gone_keys = np.asarray(rows["number"]) + first, np.asarray(removed[KEY])
    gone = is_among(keys, gone_keys)
    kept, out = rows.filter(pa.array(~gone)), rows.filter(pa.array(gone))
    decisions = removed.take(pa.array(np.searchsorted(gone_keys, keys[gone]))).combine_chunks()
    more = {
        "kept_place": pa.array(indexed.by_place.of_keys(np.asarray(decisions["kept_key"]))),
        "jaccard": decisions["jaccard"].combine_chunks(),
        "exact": pc.equal(decisions["rule"], "exact").combine_chunks(),
    }
    return kept, pa.RecordBatch.from_pydict({name: more.get(name, out[name]) for name in ROWS.names}, ROWS)


def _looked_up(keys: I64, some: I64, values: I64) -> I64:
    """Return for each key its value, or 0 where it is not among some, which are sorted."""
    found = np.zeros(len(keys), np.int64)
    if len(some):
        hit = is_among(keys, some)
        found[hit] = values[np.searchsorted(some, keys[hit])]
    return found
