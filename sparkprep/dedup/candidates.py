"""Signature rows -> candidate pairs and exact copies (Spark stage).

Every document goes into one bucket for each band; the documents that share a bucket are candidate pairs. A bucket of
more than `bucket_cap` documents is split by a more selective banding over the whole signature. Documents whose
buckets stay too large even so are compared along the keep order with the leaders of their bucket, and the pairs that
this leaves out are counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from sparkprep.dedup import masks
from sparkprep.dedup.columns import CANDIDATES, RowKind
from sparkprep.dedup.keep import RANK, spark_order
from sparkprep.dedup.kernels import buckets
from sparkprep.dedup.kernels.band_keys import band_keys
from sparkprep.dedup.kernels.bands import SLOTS, further
from sparkprep.dedup.kernels.buckets import Entries
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.workspace import CandidateTables
from sparkprep.documents.keys import KEY
from sparkprep.io.arrow import matrix_from_binary
from sparkprep.spark.session import spark_conf
from sparkprep.spark.tables import Table

_BLOBS = "part int, entries binary, exact binary"

ROWS_PER_BATCH = 20_000
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


def _blobs(entries: Entries, exact: npt.NDArray[np.int64], partitions: int) -> Iterator[pa.RecordBatch]:
    """Pack entries, and the (n, 2) keys of exact copies, into one blob for each task that will read them."""
    part = ((entries.bucket >> np.uint64(32)) % np.uint64(partitions)).astype(np.int32)
    order = np.argsort(part, kind="stable")
    entries, part = entries.take(order), part[order]
    ends = np.searchsorted(part, np.arange(partitions), side="right")
    start, rows = 0, []
    for p, end in enumerate(ends.tolist()):
        if end > start or (p == 0 and len(exact)):
            blob = Entries(entries.bucket[start:end], entries.key[start:end], entries.text_hash[start:end]).pack()
            rows.append((p, blob, exact.tobytes() if p == 0 else b""))
        start = end
    if rows:
        parts, blobs, exacts = zip(*rows, strict=True)
        yield pa.RecordBatch.from_pydict(
            {"part": pa.array(parts, pa.int32()), "entries": pa.array(blobs), "exact": pa.array(exacts, pa.binary())}
        )


def first_entries(batches: Iterator[pa.RecordBatch], partitions: int) -> Iterator[pa.RecordBatch]:
    """Turn rows of (KEY, shingles, text_hash, id_hash, bands) into blobs of bucket and identifier entries."""
    for batch in batches:
        key = np.asarray(batch[KEY])
        has_id = np.asarray(batch["id_hash"].is_valid())
        ids = buckets.id_entries(key[has_id], np.asarray(batch["id_hash"].fill_null(0)).view(np.uint64)[has_id])
        bands = matrix_from_binary(batch["bands"], np.uint64)
        text_hash = np.asarray(batch["text_hash"]).view(np.uint64)
        with_words = np.flatnonzero(np.asarray(batch["shingles"]) > 0)
        first, original = buckets.copies(key[with_words], text_hash[with_words])
        is_copy = original != key[with_words]
        exact = np.stack([original[is_copy], key[with_words][is_copy]], axis=1)
        first = with_words[first]
        width = bands.shape[1]
        entries = Entries(
            np.concatenate([bands[first].reshape(-1), ids.bucket]),
            np.concatenate([np.repeat(key[first], width), ids.key]),
            np.concatenate([np.repeat(text_hash[first], width), ids.text_hash]),
        )
        yield from _blobs(entries, exact, partitions)


def further_entries(
    batches: Iterator[pa.RecordBatch], partitions: int, slots: npt.NDArray[np.int64]
) -> Iterator[pa.RecordBatch]:
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


def search_buckets(batches: Iterator[pa.RecordBatch], cap: int) -> Iterator[pa.RecordBatch]:
    """Turn the blobs of one task, rows of (part, entries, exact), into candidates rows: all that its buckets hold."""
    blobs: list[bytes] = []
    for batch in batches:
        blobs += batch["entries"].to_pylist()
        for exact in batch["exact"].to_pylist():
            if exact:
                yield _rows(RowKind.EXACT, np.frombuffer(exact, np.int64).reshape(-1, 2))
    contents = buckets.search(Entries.unpack(blobs), cap)
    del blobs
    for kind, table in (
        (RowKind.PAIR, contents.pairs),
        (RowKind.EXACT, contents.exact),
        (RowKind.HOT, contents.hot),
        (RowKind.HOT_BUCKET, contents.hot_buckets),
        (RowKind.SAME_ID, contents.duplicate_ids),
    ):
        for start in range(0, len(table), 100_000):
            yield _rows(kind, table[start : start + 100_000])


def _compare_along_keep_order(
    batches: Iterator[pa.RecordBatch], threshold: float, leaders: int
) -> Iterator[pa.RecordBatch]:
    """Turn rows of (bucket, KEY, tiny), sorted by bucket and keep order, into candidates rows.

    One bucket may span many batches. leaders: documents of a bucket that later ones are compared with, at most.
    """
    spread = math.sqrt(threshold * (1 - threshold) / SLOTS)
    near, sure = (threshold - 3 * spread) * SLOTS, (threshold + 2 * spread) * SLOTS
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
                state = buckets.Leaders(int(bucket[start]), leaders)
            part = batch.slice(start, end - start)
            tiny = matrix_from_binary(part["tiny"], np.uint8)
            yield _rows(RowKind.PAIR, state.meet(np.asarray(part[KEY]), tiny, near, sure))
    if state is not None:
        yield _rows(RowKind.UNCOMPARED, np.array([[state.bucket, state.uncompared]], np.int64))


def _write(rows: DataFrame, table: Table) -> dict[str, int]:
    """Write candidates rows and return their counts."""
    kind, b = F.col("kind"), F.col("b")

    def total(value: Column, name: str) -> Column:
        return F.coalesce(F.sum(value), F.lit(0)).alias(name)

    counts = Observation()
    observed = rows.observe(
        counts,
        total((kind == RowKind.PAIR.value).cast("long"), "pairs"),
        total((kind == RowKind.EXACT.value).cast("long"), "exact"),
        total((kind == RowKind.HOT_BUCKET.value).cast("long"), "hot"),
        total(F.when(kind == RowKind.SAME_ID.value, b), "duplicate_ids"),
        total(F.when(kind == RowKind.UNCOMPARED.value, b), "uncompared"),
    )
    table.write(observed)
    return {name: int(value) for name, value in counts.get.items()}


def _search_by_bucket(rows: DataFrame, entries: partial[Iterator[pa.RecordBatch]], cap: int, tasks: int) -> DataFrame:
    """Turn rows into entries, shuffle those by bucket, and return what the buckets hold as candidates rows."""
    blobs = rows.mapInArrow(entries, _BLOBS).repartition(tasks, "part")
    return blobs.mapInArrow(partial(search_buckets, cap=cap), CANDIDATES)


def _tasks(documents: int, bands: int) -> int:
    return max(1, math.ceil(documents * bands / ENTRIES_PER_TASK))


def write_candidates(
    signatures: DataFrame, settings: Settings, tables: CandidateTables, documents: int, least_tasks: int
) -> CandidateCounts:
    """Write the candidates of the signature rows to the tables.

    `documents` is the number of signature rows, `least_tasks` how many tasks the machine runs at once.
    """
    spark = signatures.sparkSession
    banding = settings.banding
    # A task for each core is only worth its start where there is something to share.
    tasks = max(_tasks(documents, banding.bands), least_tasks if documents > 50_000 else 1)
    with spark_conf(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS_PER_BATCH)}):
        entries = partial(first_entries, partitions=4 * tasks)
        rows = signatures.select(KEY, "shingles", "text_hash", "id_hash", "bands")
        counts = _write(_search_by_bucket(rows, entries, settings.bucket_cap, tasks), tables.buckets)
        pairs, uncompared = counts["pairs"], 0
        if counts["hot"]:
            pairs_of_hot, uncompared = _split_hot_buckets(signatures, settings, tables)
            pairs += pairs_of_hot
    return CandidateCounts(pairs, counts["exact"], counts["hot"], uncompared, counts["duplicate_ids"])


def _split_hot_buckets(signatures: DataFrame, settings: Settings, tables: CandidateTables) -> tuple[int, int]:
    """Search the documents of oversized buckets otherwise; return (candidate pairs, pairs left uncompared)."""
    spark = signatures.sparkSession
    in_hot = tables.buckets.read(spark).where(F.col("kind") == RowKind.HOT.value)
    hot, pairs = _write_mask(in_hot, tables.hot), 0
    split = further(settings.threshold, settings.banding.rows, settings.seed)
    if split is not None:
        members = masks.inside(signatures.select(KEY, "text_hash", "tiny"), hot)
        tasks = _tasks(members.count(), split.bands)
        entries = partial(further_entries, partitions=4 * tasks, slots=split.slots)
        counts = _write(_search_by_bucket(members, entries, settings.bucket_cap, tasks), tables.split)
        pairs += counts["pairs"]
        if not counts["hot"]:
            return pairs, 0
        hot = _write_mask(tables.split.read(spark).where(F.col("kind") == RowKind.HOT.value), tables.still_hot)
    rank = [name for name in RANK if name in signatures.columns]
    members = masks.inside(signatures.select("tiny", *rank), hot)
    in_buckets = members.join(in_hot.select(F.col("a").alias("bucket"), F.col("b").alias(KEY)), KEY)
    ordered = in_buckets.repartition("bucket").sortWithinPartitions("bucket", *spark_order(settings))
    compare = partial(_compare_along_keep_order, threshold=settings.threshold, leaders=settings.bucket_leaders)
    counts = _write(ordered.select("bucket", KEY, "tiny").mapInArrow(compare, CANDIDATES), tables.ordered)
    return pairs + counts["pairs"], counts["uncompared"]


def _write_mask(in_hot: DataFrame, mask: Table) -> DataFrame:
    """Write the mask of the documents in these oversized buckets, and read it back: it is computed once."""
    mask.write(masks.aggregate(in_hot.select(F.col("b").alias(KEY))))
    return mask.read(in_hot.sparkSession)
