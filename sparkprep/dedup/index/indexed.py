"""The documents of an index as further pieces of a run: their rows, their shingle sets, what was decided about them.

Read by tasks, from the index alone. Their keys stand behind those of the run's own documents: first all pieces of kept
documents, then all of removed ones, each with as many keys as its piece had documents.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.columns import DECISIONS, SIGNATURES, TextState
from sparkprep.dedup.index.layout import KEPT, REMOVED, ROWS, SETS, SHINGLES, Places, number_of_piece, place
from sparkprep.dedup.index.manifest import Crawl
from sparkprep.dedup.index.stored import StoredFile, opened, sizes_of
from sparkprep.dedup.kernels.arrays import I64
from sparkprep.dedup.kernels.buckets import Standing
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.pieces import Documents, Piece
from sparkprep.io.paths import join_path
from sparkprep.spark.tables import BATCH_ROWS, Form

ROWS_FORM = Form("snappy")
SETS_FORM = Form("none", ("hashes",), row_group_bytes=1 << 20)
"""Hashes are random bits. A row group is what is read where one document in it is a candidate."""


@dataclass(frozen=True)
class IndexedPiece:
    """What a run reads of a piece of an earlier crawl. order: of the crawl among all. place: of its first document."""

    crawl: str
    order: int
    place: int
    first_key: int
    rows: int
    files: tuple[StoredFile, ...]
    shingles: StoredFile
    is_decided: bool = True

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield its rows (`layout.ROWS`) in the order of their numbers, some at a time."""
        if len(self.files) == 1:
            yield from _batches(self.files[0], columns)
        elif self.files:
            rows = pa.Table.from_batches(batch for file in self.files for batch in _batches(file, ROWS.names))
            ordered = rows.sort_by([("number", "ascending")]).select(columns)
            yield from ordered.combine_chunks().to_batches(BATCH_ROWS)


@dataclass(frozen=True)
class IndexedDocuments:
    """The documents of an index before a crawl, for the run of that crawl.

    path: of the index. crawl, order: the run's own crawl, and how many are before it. own, own_pieces: how many keys
    and pieces the run itself has; first_keys, places: of these pieces. undecided: what these are, where they lie in the
    index too, of whichever crawls, and are decided anew.
    """

    path: str
    crawl: str
    order: int
    own: int
    first_keys: tuple[int, ...]
    places: tuple[int, ...]
    pieces: tuple[IndexedPiece, ...]
    undecided: tuple[IndexedPiece, ...] = ()

    @property
    def own_pieces(self) -> int:
        return len(self.first_keys)

    @cached_property
    def standing(self) -> Standing:
        """Where the keys begin of documents that were decided on, and of those that were removed."""
        starts = [piece.first_key for piece in self.pieces if not _is_kept(piece)]
        return Standing(self.own, min(starts, default=self.end))

    @property
    def end(self) -> int:
        """The key behind all."""
        return max((piece.first_key + piece.rows for piece in self.pieces), default=self.own)

    def holds(self, piece: int) -> bool:
        """Return whether a piece of the run is one of the index's."""
        return piece >= self.own_pieces or bool(self.undecided)

    def behind(self, documents: Documents) -> Documents:
        """Return the run's documents with those of the index behind them."""
        more = (Piece(each.first_key, each.rows, 0, ()) for each in self.pieces)
        return Documents(documents.summary, (*documents.pieces, *more))

    def prefix(self, order: int | None = None) -> bytes:
        """Return what stands before the rank bytes of a crawl's documents, by default of the run's own."""
        return struct.pack(">I", self.order if order is None else order)

    def signature_rows(self, piece: int) -> Iterator[pa.RecordBatch]:
        """Yield the signature rows (SIGNATURES) of a piece, without removed documents that have a kept one's text."""
        here = self._piece(piece)
        for batch in here.batches(ROWS.names):
            if here.is_decided and not _is_kept(here):
                batch = batch.filter(pc.invert(batch["exact"]))
            yield _as_signatures(batch, here, self.prefix(here.order))

    def shingle_sets(self, piece: int, keys: I64) -> Iterator[tuple[I64, pa.Array]]:
        """Yield (keys, hashes) of these documents of a piece, distinct keys ascending, some at a time.

        hashes: large_binary, as `layout.SETS` has them. Only row groups that hold one of them are read.
        """
        here = self._piece(piece)
        numbers = keys - here.first_key
        with opened(here.shingles) as file:
            sizes = sizes_of(file)
            ends = np.cumsum(sizes)
            of_group = np.searchsorted(ends, numbers, side="right")
            for group in np.unique(of_group).tolist():
                mine = numbers[of_group == group]
                hashes = file.read_row_group(group, ["hashes"], use_threads=False)["hashes"].combine_chunks()
                yield mine + here.first_key, hashes.take(pa.array(mine - (ends[group] - sizes[group])))

    def row_hashes(self, piece: int, keys: I64) -> I64:
        """Return the row hashes of documents of a piece, by which equal ranks are told apart; keys ascending."""
        here = self._piece(piece)
        found = np.zeros(len(keys), np.int64)
        for batch in here.batches(["number", "row_hash"]):
            key = np.asarray(batch["number"]) + here.first_key
            at = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            hit = keys[at] == key
            found[at[hit]] = np.asarray(batch["row_hash"])[hit]
        return found

    def decisions(self, piece: int) -> Iterator[pa.RecordBatch]:
        """Yield DECISIONS of the removed documents of a piece, as they were made."""
        here = self._piece(piece)
        if _is_kept(here) or not here.is_decided:
            return
        for batch in here.batches(["number", "kept_place", "jaccard", "exact"]):
            batch = batch.filter(pc.invert(batch["exact"]))
            kept = self.by_place.keys(np.asarray(batch["kept_place"]))
            columns = [np.asarray(batch["number"]) + here.first_key, kept, batch["jaccard"]]
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=DECISIONS)

    @property
    def removed_pieces(self) -> range:
        """The pieces that hold removed documents."""
        first = sum(map(_is_kept, self.pieces))
        return range(self.own_pieces + first, self.own_pieces + len(self.pieces))

    @cached_property
    def by_place(self) -> Places:
        """The places of the run's own documents and the kept ones of the index."""
        kept = [piece for piece in self.pieces if _is_kept(piece)]
        return Places(
            [*self.places, *(piece.place for piece in kept)], [*self.first_keys, *(piece.first_key for piece in kept)]
        )

    def crawls_of(self, keys: I64) -> pa.Array:
        """Return the name of the crawl of each document, string (n,)."""
        names = pa.array([self.crawl, *(piece.crawl for piece in self._all)], pa.string())
        return names.take(pa.array(self._places_among_all(keys)))

    def orders_of(self, keys: I64) -> I64:
        """Return the number of the crawl of each document among all crawls, int64 (n,)."""
        orders = np.array([self.order, *(piece.order for piece in self._all)], np.int64)
        found: I64 = orders[self._places_among_all(keys)]
        return found

    @property
    def _all(self) -> tuple[IndexedPiece, ...]:
        return (*self.undecided, *self.pieces)

    def _places_among_all(self, keys: I64) -> I64:
        """Return of each key, int64 (n,), which of all pieces holds it, from 1; 0 where none does."""
        starts = np.array([piece.first_key for piece in self._all], np.int64)
        found: I64 = np.searchsorted(starts, keys, side="right")
        return found

    def _piece(self, piece: int) -> IndexedPiece:
        return self.undecided[piece] if piece < self.own_pieces else self.pieces[piece - self.own_pieces]


def index_before(path: str, crawls: Sequence[Crawl], crawl: str, serial: int, documents: Documents) -> IndexedDocuments:
    """Return the documents of an index's first crawls, for the run of the next, which has these documents."""
    own = documents.summary.rows
    first_keys = tuple(piece.first_key for piece in documents.pieces)
    places = tuple(place(serial, number) for number in range(len(first_keys)))
    return IndexedDocuments(path, crawl, len(crawls), own, first_keys, places, _decided(path, crawls, own))


def index_without(path: str, crawls: Sequence[Crawl], order: int) -> IndexedDocuments:
    """Return the documents of an index without one crawl: those of the crawls behind it are to be decided anew."""
    undecided: list[IndexedPiece] = []
    key = 0
    for number in range(order + 1, len(crawls)):
        for found in pieces_of(path, crawls[number], number, (KEPT, REMOVED), key, is_decided=False):
            undecided.append(found)
            key += found.rows
    first_keys, places = (tuple(getattr(piece, name) for piece in undecided) for name in ("first_key", "place"))
    decided = _decided(path, crawls[:order], key)
    return IndexedDocuments(path, "", len(crawls), key, first_keys, places, decided, tuple(undecided))


def _decided(path: str, crawls: Sequence[Crawl], key: int) -> tuple[IndexedPiece, ...]:
    """Return the pieces of an index's first crawls, kept documents first, with keys from `key` on."""
    pieces: list[IndexedPiece] = []
    for name in (KEPT, REMOVED):
        for order, each in enumerate(crawls):
            for found in pieces_of(path, each, order, (name,), key):
                pieces.append(found)
                key += found.rows
    return tuple(pieces)


def pieces_of(
    path: str, crawl: Crawl, order: int, tables: Sequence[str], key: int, is_decided: bool = True
) -> Iterator[IndexedPiece]:
    """Yield the pieces of a crawl that have rows in these of its tables; the first document of the first has `key`."""
    files = {name: files_of(path, crawl, name) for name in (*tables, SHINGLES)}
    for number, rows in enumerate(crawl.pieces):
        here = tuple(files[name][number] for name in tables if number in files[name])
        if here:
            sets = files[SHINGLES][number]
            yield IndexedPiece(crawl.name, order, place(crawl.serial, number), key, rows, here, sets, is_decided)
            key += rows


def part_of(piece: IndexedPiece) -> int:
    """Return the number of a piece in its crawl."""
    return number_of_piece(piece.place)


def files_of(path: str, crawl: Crawl, name: str) -> dict[int, StoredFile]:
    """Return the files of a table of a crawl, by the number of their piece."""
    table, form = crawl.tables[name], _form(name)
    folder = join_path(path, *table.folder.split("/"))
    schema = SETS if name == SHINGLES else ROWS
    return {part.number: StoredFile(join_path(folder, form.name(part.number)), part, schema) for part in table.parts}


def _form(name: str) -> Form:
    return SETS_FORM if name == SHINGLES else ROWS_FORM


def _is_kept(piece: IndexedPiece) -> bool:
    return piece.is_decided and f"/{KEPT}/" in piece.files[0].path


def _as_signatures(batch: pa.RecordBatch, piece: IndexedPiece, prefix: bytes) -> pa.RecordBatch:
    rows = batch.num_rows
    columns = {name: batch[name] for name in ("id", "source", "shingles", "text_hash", "bands", "tiny")}
    columns[KEY] = pa.array(np.asarray(batch["number"]) + piece.first_key)
    columns["rank"] = prefixed(batch["rank"], prefix)
    columns["id_hash"] = pa.nulls(rows, pa.int64())  # repeated identifiers are told of the run's own documents
    # What is brought together of them are their hashes.
    columns["bytes"] = pc.max_element_wise(batch["bytes"], pc.multiply(batch["shingles"], 8))
    columns["chars"] = pa.array(np.zeros(rows, np.int64))
    columns["state"] = pa.array(np.full(rows, TextState.WITH_WORDS, np.int64))
    return pa.RecordBatch.from_pydict(columns, SIGNATURES)


def prefixed(ranks: pa.Array, prefix: bytes) -> pa.Array:
    """Return rank bytes, binary (n,), with the crawl's before them."""
    return pc.binary_join_element_wise(pa.scalar(prefix, pa.binary()), ranks, pa.scalar(b"", pa.binary()))


def _batches(file: StoredFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with opened(file) as rows:
        for batch in rows.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
            yield batch.select(list(columns))
