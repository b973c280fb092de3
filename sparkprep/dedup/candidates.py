"""Signature rows -> candidate pairs and exact copies (Spark stage).

Every document goes into one bucket for each band; the documents that share a bucket are candidate pairs. A bucket of
more than `bucket_cap` documents is split by a more selective banding over the whole signature. Documents whose
buckets stay too large even so are compared along the keep order with the leaders of their bucket, and the pairs that
this leaves out are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkprep.dedup.columns import BANDS, CANDIDATES, RowKind
from sparkprep.dedup.kernels import buckets
from sparkprep.dedup.kernels.arrays import distinct
from sparkprep.dedup.kernels.band_keys import band_keys
from sparkprep.dedup.kernels.bands import SLOTS, further
from sparkprep.dedup.kernels.buckets import NOTHING_DECIDED, Entries, Standing
from sparkprep.dedup.search_tables import CandidateTables, Search
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents import addressed
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.io.arrow import matrix_from_binary
from sparkprep.spark.tables import Table, Written, part_writer, spark_schema
from sparkprep.spark.tasks import run_tasks, shuffle

_MEMBERS = f"{KEY} long, tiny binary, rank binary, text_hash long"
PAIRS_OF_HOT = 16
"""Candidate pairs that a document of oversized buckets may make when these are split, on an average, and again when it
is compared along the keep order, at most; there, besides, three in each of its buckets."""
SPLIT_PAIRS = 1_000_000
"""As many as a split may make in any case."""

Blob = tuple[bytes, bytes]
"""Packed entries, and packed keys of exact copies."""
ENTRIES_PER_TASK = 4_000_000
"""24 bytes each, several times over while they are sorted."""


@dataclass(frozen=True)
class CandidateCounts:
    """Row counts of the candidates tables; pairs may repeat in them."""

    pairs: int
    exact: int
    hot_buckets: int
    uncompared_pairs: int
    duplicate_ids: int


def _blobs(entries: Entries, exact: npt.NDArray[np.int64], partitions: int) -> Iterator[tuple[int, Blob]]:
    """Pack entries, and the (n, 2) keys of exact copies, into one blob for each task that will read them.

    The copies of one call go to one task, another one for each call: no task gets them all.
    """
    of_copies = int(exact[0, 1]) % partitions if len(exact) else -1
    for p, blob in enumerate(entries.pack(partitions)):
        if blob or p == of_copies:
            yield p, (blob, exact.tobytes() if p == of_copies else b"")


def first_entries(
    batches: Iterator[pa.RecordBatch], partitions: int, bands: str = BANDS, own: int = buckets.NOBODY
) -> Iterator[tuple[int, Blob]]:
    """Turn rows of (KEY, shingles, text_hash, id_hash, bands) into blobs of bucket and identifier entries.

    bands: the name of the column of band keys. own: the key from which documents were decided on before.
    """
    for batch in batches:
        key = np.asarray(batch[KEY])
        has_id = np.asarray(batch["id_hash"].is_valid())
        ids = buckets.id_entries(key[has_id], np.asarray(batch["id_hash"].fill_null(0)).view(np.uint64)[has_id])
        keys = matrix_from_binary(batch[bands], np.uint64)
        text_hash = np.asarray(batch["text_hash"]).view(np.uint64)
        with_words = np.flatnonzero(np.asarray(batch["shingles"]) > 0)
        first, original = buckets.copies(key[with_words], text_hash[with_words])
        is_copy = (original != key[with_words]) & (original < own)
        exact = np.stack([original[is_copy], key[with_words][is_copy]], axis=1)
        first = with_words[first]
        width = keys.shape[1]
        entries = Entries(
            np.concatenate([keys[first].reshape(-1), ids.bucket]),
            np.concatenate([np.repeat(key[first], width), ids.key]),
            np.concatenate([np.repeat(text_hash[first], width), ids.text_hash]),
        )
        yield from _blobs(entries, exact, partitions)


def further_entries(
    batches: Iterator[pa.RecordBatch], partitions: int, slots: npt.NDArray[np.int64]
) -> Iterator[tuple[int, Blob]]:
    """Turn rows of (KEY, text_hash, tiny) into blobs of entries of a more selective banding, 2000 at a time.

    slots: int64 (bands, rows), that banding.
    """
    no_copies = np.empty((0, 2), np.int64)
    for large_batch in batches:
        for start in range(0, len(large_batch), 2000):
            batch = large_batch.slice(start, 2000)
            tiny = matrix_from_binary(batch["tiny"], np.uint8)
            keys = np.empty((len(batch), slots.shape[0]), np.uint64)
            band_keys(tiny, slots, keys)
            # Band numbers from 1 on: band 0 would report the exact copies a second time.
            keys += np.uint64(1)
            width = slots.shape[0]
            key, text_hash = np.asarray(batch[KEY]), np.asarray(batch["text_hash"]).view(np.uint64)
            yield from _blobs(
                Entries(keys.reshape(-1), np.repeat(key, width), np.repeat(text_hash, width)), no_copies, partitions
            )


def _rows(kind: RowKind, pairs: npt.NDArray[np.int64]) -> pa.RecordBatch:
    kinds = np.full(len(pairs), kind.value, np.int32)
    return pa.RecordBatch.from_pydict(
        {"kind": kinds, "a": np.ascontiguousarray(pairs[:, 0]), "b": np.ascontiguousarray(pairs[:, 1])}
    )


def search_buckets(
    blobs: Iterator[Blob], cap: int, budget: int | None = None, standing: Standing = NOTHING_DECIDED
) -> Iterator[pa.RecordBatch]:
    """Turn the blobs of one task into candidates rows: all that its buckets hold.

    budget: of a split, the pairs that it may make; a document is then said to be in an oversized bucket once only, of
    number 0.
    """
    packed: list[bytes] = []
    for entries, exact in blobs:
        packed.append(entries)
        if exact:
            yield _rows(RowKind.EXACT, np.frombuffer(exact, np.int64).reshape(-1, 2))
    hot: list[npt.NDArray[np.int64]] = []
    for contents in buckets.search(packed, cap, budget, standing):
        if budget is not None:
            hot.append(distinct(contents.hot[:, 1]))
        for kind, table in (
            (RowKind.PAIR, contents.pairs),
            (RowKind.EXACT, contents.exact),
            (RowKind.HOT, contents.hot if budget is None else contents.hot[:0]),
            (RowKind.HOT_BUCKET, contents.hot_buckets),
            (RowKind.SAME_ID, contents.duplicate_ids),
        ):
            yield from _in_batches(kind, table)
    if hot:
        keys = distinct(np.concatenate(hot))
        yield from _in_batches(RowKind.HOT, np.stack([np.zeros_like(keys), keys], axis=1))


def _in_batches(kind: RowKind, table: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(table), 100_000):
        yield _rows(kind, table[start : start + 100_000])


def _compare_along_keep_order(
    batches: Iterator[pa.RecordBatch], threshold: float, leaders: int, own: int = buckets.NOBODY
) -> Iterator[pa.RecordBatch]:
    """Turn rows of (bucket, KEY, tiny, most), sorted by bucket and keep order, into candidates rows.

    most: pairs that the document may make in this bucket. One bucket may span many batches. leaders: documents of a
    bucket that later ones are compared with, at most. own: the key from which documents were decided on before.
    """
    spread = math.sqrt(threshold * (1 - threshold) / SLOTS)
    near, likely, sure = ((threshold + deviations * spread) * SLOTS for deviations in (-3, 0, 2))
    state: buckets.Leaders | None = None
    for batch in batches:
        bucket = np.asarray(batch["bucket"])
        cuts = np.flatnonzero(np.diff(bucket)) + 1
        for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(bucket)], strict=True):
            if start == end:
                continue
            if state is None or state.bucket != bucket[start]:
                if state is not None:
                    yield _rows(RowKind.UNCOMPARED, np.array([[state.bucket, state.uncompared]], np.int64))
                state = buckets.Leaders(int(bucket[start]), leaders, own)
            part = batch.slice(start, end - start)
            tiny = matrix_from_binary(part["tiny"], np.uint8)
            most = np.asarray(part["most"]).astype(np.int64)
            yield _rows(RowKind.PAIR, state.meet(np.asarray(part[KEY]), tiny, most, near, likely, sure))
    if state is not None:
        yield _rows(RowKind.UNCOMPARED, np.array([[state.bucket, state.uncompared]], np.int64))


def _count(rows: pa.RecordBatch) -> dict[str, int]:
    kind, b = np.asarray(rows["kind"]), np.asarray(rows["b"])
    numbers = np.bincount(kind, minlength=len(RowKind))
    return {
        "pairs": int(numbers[RowKind.PAIR]),
        "exact": int(numbers[RowKind.EXACT]),
        "hot": int(numbers[RowKind.HOT_BUCKET]),
        "duplicate_ids": int(b[kind == RowKind.SAME_ID].sum()),
        "uncompared": int(b[kind == RowKind.UNCOMPARED].sum()),
    }


def copies_among(candidates: DataFrame) -> DataFrame:
    """Return (first, copy) of candidates rows: `first` is the least key with the copy's normalised text.

    A batch of rows names its own first key, and the bucket search names the first of those: two steps at the most.
    """
    exact = candidates.where(F.col("kind") == RowKind.EXACT.value)
    step = exact.select(F.col("a").alias("first"), F.col("b").alias("copy"))
    above = step.select(F.col("copy").alias("first"), F.col("first").alias("above"))
    return step.join(above, "first", "left").select(F.coalesce("above", "first").alias("first"), "copy")


def _tasks(documents: int, bands: int) -> int:
    return max(1, math.ceil(documents * bands / ENTRIES_PER_TASK))


@dataclass(frozen=True)
class BucketSearch:
    """A search of the buckets of all documents, or of those that are not left out."""

    spark: SparkSession
    settings: Settings
    documents: Documents
    signatures: Table
    left_out: Table | None
    """KEYS of the documents that are not searched; None where all are"""
    tables: CandidateTables
    number: int
    """of documents that are searched"""
    bands: str = BANDS
    """the column of their band keys"""
    standing: Standing = NOTHING_DECIDED

    @staticmethod
    def among_all(work: Workspace) -> BucketSearch:
        """Return the search of all documents."""
        return BucketSearch(
            work.spark,
            work.settings,
            work.documents,
            work.signatures,
            None,
            work.candidates,
            work.signatures.rows,
            work.bands,
            work.standing,
        )

    @staticmethod
    def among_staying(work: Workspace, search: Search) -> BucketSearch:
        """Return a further search, of the documents that are not in its table of those left out."""
        number = work.signatures.rows - search.left_out.rows
        return replace(BucketSearch.among_all(work), left_out=search.left_out, tables=search.candidates, number=number)

    def run(self, least_tasks: int) -> CandidateCounts:
        """Write the candidates to the tables and count them; least_tasks: how many tasks run at once."""
        banding = self.settings.banding
        # A task for each core is only worth its start where there is something to share.
        tasks = max(_tasks(self.number, banding.bands), least_tasks if self.number > 50_000 else 1)
        entries = partial(first_entries, partitions=tasks, bands=self.bands, own=self.standing.own)
        columns = [KEY, "shingles", "text_hash", "id_hash", self.bands]
        pieces = list(self.signatures.parts or {})
        counts = self._by_bucket(pieces, columns, entries, None, tasks, self.tables.buckets)
        pairs, uncompared = counts.get("pairs", 0), 0
        if counts.get("hot"):
            pairs_of_hot, uncompared = self._split_hot_buckets(bool(counts.get("exact")))
            pairs += pairs_of_hot
        exact, hot, duplicate_ids = (counts.get(name, 0) for name in ("exact", "hot", "duplicate_ids"))
        return CandidateCounts(pairs, exact, hot, uncompared, duplicate_ids)

    def _rows(self, piece: int, columns: list[str], only: Table | None) -> Iterator[pa.RecordBatch]:
        """Yield signature rows of a piece: of `only` these documents, or of all that are not left out."""
        chosen = only or self.left_out
        keys = addressed.keys_of(chosen, piece) if chosen else None
        for batch in self.signatures.part(piece, columns):
            if keys is not None:
                hit = addressed.is_among(np.asarray(batch[KEY]), keys)
                batch = batch.filter(pa.array(hit if only else ~hit))
            if batch.num_rows:
                yield batch

    def _by_bucket(
        self,
        pieces: list[int],
        columns: list[str],
        entries: partial[Iterator[tuple[int, Blob]]],
        only: Table | None,
        tasks: int,
        table: Table,
        budget: int | None = None,
    ) -> dict[str, int]:
        """Turn signature rows into entries, shuffle those by bucket, write what the buckets hold, and count it.

        budget: of a split, as `search_buckets` has it.
        """
        source, cap, write_part = self._source(), self.settings.bucket_cap, part_writer(table, _count)
        standing = self.standing

        def task(piece: int) -> Iterator[tuple[int, Blob]]:
            return entries(source(piece, columns, only))

        def finish(number: int, blobs: Iterator[Blob]) -> list[Written]:
            return [write_part(number, search_buckets(blobs, cap, budget, standing))]

        return table.note(shuffle(self.spark, pieces, task, tasks, finish))

    def _source(self) -> Callable[[int, list[str], Table | None], Iterator[pa.RecordBatch]]:
        """Return `_rows` for the tasks, which have no session."""
        return replace(self, spark=None)._rows  # type: ignore[arg-type]

    def _split_hot_buckets(self, has_copies: bool) -> tuple[int, int]:
        """Search the documents of oversized buckets otherwise; return (candidate pairs, pairs left uncompared)."""
        in_hot = self._hot(self.tables.buckets)
        self._address(in_hot, self.tables.hot)
        hot, pairs = self.tables.hot, 0
        split = further(self.settings.threshold, self.settings.banding.rows, self.settings.seed)
        if split is not None:
            tasks = _tasks(hot.rows, split.bands)
            entries = partial(further_entries, partitions=tasks, slots=split.slots)
            columns = [KEY, "text_hash", "tiny"]
            # Documents that are about as similar as the threshold lie together however often they are split.
            budget = max(SPLIT_PAIRS, PAIRS_OF_HOT * hot.rows) // tasks
            pieces = list(hot.parts or {})
            counts = self._by_bucket(pieces, columns, entries, hot, tasks, self.tables.split, budget)
            pairs += counts.get("pairs", 0)
            if not counts.get("hot"):
                return pairs, 0
            hot = self.tables.still_hot
            self._address(self._hot(self.tables.split), hot)
        ordered = self._in_keep_order(in_hot, hot, has_copies)
        compare = partial(
            _compare_along_keep_order,
            threshold=self.settings.threshold,
            leaders=self.settings.bucket_leaders,
            own=self.standing.own,
        )
        found = ordered.select("bucket", KEY, "tiny", "most").mapInArrow(compare, spark_schema(CANDIDATES))
        self.tables.ordered.write(found)
        totals = [_count(batch) for batch in self.tables.ordered.batches(None)]
        return pairs + sum(each["pairs"] for each in totals), sum(each["uncompared"] for each in totals)

    def _in_keep_order(self, in_hot: DataFrame, hot: Table, has_copies: bool) -> DataFrame:
        """Return (bucket, KEY, tiny, most) of these documents, sorted by bucket and keep order.

        most: a document's share, for this bucket, of the pairs that it may make.
        """
        source = self._source()
        columns = [KEY, "tiny", "rank", "text_hash"]

        def task(piece: int) -> Iterator[pa.RecordBatch]:
            for batch in source(piece, columns, hot):
                yield batch.select(columns)

        members = run_tasks(self.spark, list(hot.parts or {}), task, _MEMBERS)
        lies_in = in_hot.select(F.col("a").alias("bucket"), F.col("b").alias(KEY))
        share = lies_in.groupBy(KEY).agg(F.ceil(F.lit(PAIRS_OF_HOT) / F.count(F.lit(1))).alias("most"))
        of_buckets = members.join(lies_in.join(share, KEY), KEY)
        if has_copies:
            members = self._ranked_as_best_copy(members, in_hot)
        # Exact copies stand in a bucket as one, so that the text tells apart what is equal in the keep order.
        return of_buckets.repartition("bucket").sortWithinPartitions("bucket", "rank", "text_hash", KEY)

    def _ranked_as_best_copy(self, members: DataFrame, in_hot: DataFrame) -> DataFrame:
        """Give members of buckets, which stand for their exact copies, the rank of the first of these in keep order."""
        of_hot = in_hot.select(F.col("b").alias("first")).distinct()
        copies = copies_among(self.tables.buckets.read(self.spark)).join(of_hot, "first", "left_semi")
        ranks = self.signatures.read(self.spark, [KEY, "rank"]).select(F.col(KEY).alias("copy"), "rank")
        best = copies.join(ranks, "copy").groupBy(F.col("first").alias(KEY)).agg(F.min("rank").alias("best"))
        ranked = members.join(best, KEY, "left")
        return ranked.withColumn("rank", F.least("rank", F.coalesce("best", "rank"))).drop("best")

    def _hot(self, table: Table) -> DataFrame:
        return table.read(self.spark).where(F.col("kind") == RowKind.HOT.value)

    def _address(self, in_hot: DataFrame, keys: Table) -> None:
        """Write which documents lie in these oversized buckets."""
        addressed.write(keys, self.documents, in_hot.select(F.col("b").alias(KEY)).distinct())
