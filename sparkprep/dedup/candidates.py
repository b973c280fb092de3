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
from sparkprep.dedup.keep import RANK, spark_order
from sparkprep.dedup.kernels import buckets
from sparkprep.dedup.kernels.band_keys import band_keys
from sparkprep.dedup.kernels.bands import SLOTS, further
from sparkprep.dedup.kernels.buckets import Entries
from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY
from sparkprep.spark import tables
from sparkprep.spark.session import spark_conf

# What a row (kind, a, b) of the candidates table says.
PAIR = 0  # keys a < b are a candidate pair
EXACT = 1  # key b has the same normalised text as key a
HOT = 2  # key b lies in the oversized bucket a
SAME_ID = 3  # b further documents bear the identifier of key a
HOT_BUCKET = 5  # the oversized bucket a has b documents
UNCOMPARED = 4  # b pairs of the bucket a were not compared

FOUND = "kind int, a long, b long"
_BLOBS = "part int, entries binary, exact binary"

ROWS_PER_BATCH = 20_000
ENTRIES_PER_TASK = 4_000_000
"""24 bytes each, several times over while they are sorted."""


@dataclass(frozen=True)
class CandidateCounts:
    """Row counts of the candidates table; pairs may repeat in it."""

    pairs: int
    exact: int
    hot_buckets: int
    uncompared_pairs: int
    duplicate_ids: int


def _matrix(column: pa.Array, dtype: type[np.generic], n: int) -> npt.NDArray[np.generic]:
    """A column of equally long binaries as a 2-d array; no copy."""
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + n + 1]
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return data.view(dtype).reshape(n, -1)


def _blobs(entries: Entries, exact: npt.NDArray[np.int64], partitions: int) -> Iterator[pa.RecordBatch]:
    """Entries sorted into one blob for each task that will read them."""
    part = ((entries.bucket >> np.uint64(32)) % np.uint64(partitions)).astype(np.int32)
    order = np.argsort(part, kind="stable")
    entries, part = entries.take(order), part[order]
    ends = np.searchsorted(part, np.arange(partitions), side="right")
    start, rows = 0, []
    for p, end in enumerate(ends.tolist()):
        if end > start or (p == 0 and len(exact)):
            blob = Entries(entries.bucket[start:end], entries.key[start:end], entries.whole[start:end]).pack()
            rows.append((p, blob, exact.tobytes() if p == 0 else b""))
        start = end
    if rows:
        parts, blobs, exacts = zip(*rows, strict=True)
        yield pa.RecordBatch.from_pydict(
            {"part": pa.array(parts, pa.int32()), "entries": pa.array(blobs), "exact": pa.array(exacts, pa.binary())}
        )


def first_entries(batches: Iterator[pa.RecordBatch], partitions: int) -> Iterator[pa.RecordBatch]:
    """Bucket and identifier entries from rows of (key, shingles, whole, id_hash, bands)."""
    for batch in batches:
        key = np.asarray(batch[KEY])
        known = np.asarray(batch["id_hash"].is_valid())
        ids = buckets.id_entries(key[known], np.asarray(batch["id_hash"].fill_null(0)).view(np.uint64)[known])
        bands = _matrix(batch["bands"], np.uint64, len(batch)) if len(batch) else np.empty((0, 1), np.uint64)
        whole = np.asarray(batch["whole"]).view(np.uint64)
        some = np.flatnonzero(np.asarray(batch["shingles"]) > 0)
        first, original = buckets.copies(key[some], whole[some])
        is_copy = original != key[some]
        exact = np.stack([original[is_copy], key[some][is_copy]], axis=1)
        first = some[first]
        width = bands.shape[1]
        entries = Entries(
            np.concatenate([bands[first].reshape(-1), ids.bucket]),
            np.concatenate([np.repeat(key[first], width), ids.key]),
            np.concatenate([np.repeat(whole[first], width), ids.whole]),
        )
        yield from _blobs(entries, exact, partitions)


def further_entries(
    batches: Iterator[pa.RecordBatch], partitions: int, slots: npt.NDArray[np.int64]
) -> Iterator[pa.RecordBatch]:
    """Entries of a more selective banding from rows of (key, whole, tiny), a few thousand documents at a time."""
    none = np.empty((0, 2), np.int64)
    for whole_batch in batches:
        for start in range(0, len(whole_batch), 2000):
            batch = whole_batch.slice(start, 2000)
            tiny = _matrix(batch["tiny"], np.uint8, len(batch))
            keys = np.empty((len(batch), slots.shape[0]), np.uint64)
            band_keys(tiny, slots, keys)
            # Band numbers from 1 on: band 0 would report the exact copies a second time.
            keys += np.uint64(1)
            width = slots.shape[0]
            key, whole = np.asarray(batch[KEY]), np.asarray(batch["whole"]).view(np.uint64)
            yield from _blobs(
                Entries(keys.reshape(-1), np.repeat(key, width), np.repeat(whole, width)), none, partitions
            )


def _rows(kind: int, pairs: npt.NDArray[np.int64]) -> pa.RecordBatch:
    kinds = np.full(len(pairs), kind, np.int32)
    return pa.RecordBatch.from_pydict(
        {"kind": kinds, "a": np.ascontiguousarray(pairs[:, 0]), "b": np.ascontiguousarray(pairs[:, 1])}
    )


def search_buckets(batches: Iterator[pa.RecordBatch], cap: int) -> Iterator[pa.RecordBatch]:
    """All that the buckets of one task hold; its rows are (part, entries, exact)."""
    blobs: list[bytes] = []
    for batch in batches:
        blobs += batch["entries"].to_pylist()
        for exact in batch["exact"].to_pylist():
            if exact:
                yield _rows(EXACT, np.frombuffer(exact, np.int64).reshape(-1, 2))
    found = buckets.search(Entries.unpack(blobs), cap)
    del blobs
    for kind, table in (
        (PAIR, found.pairs),
        (EXACT, found.exact),
        (HOT, found.hot),
        (HOT_BUCKET, found.hot_buckets),
        (SAME_ID, found.duplicate_ids),
    ):
        for start in range(0, len(table), 100_000):
            yield _rows(kind, table[start : start + 100_000])


def _compare_along_keep_order(
    batches: Iterator[pa.RecordBatch], threshold: float, leaders: int
) -> Iterator[pa.RecordBatch]:
    """Pairs from rows of (bucket, key, tiny) sorted by bucket and keep order; one bucket may span many batches."""
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
                    yield _rows(UNCOMPARED, np.array([[state.bucket, state.uncompared]], np.int64))
                state = buckets.Leaders(int(bucket[start]), leaders)
            part = batch.slice(start, end - start)
            tiny = _matrix(part["tiny"], np.uint8, len(part))
            yield _rows(PAIR, state.meet(np.asarray(part[KEY]), tiny.view(np.uint8), near, sure))
    if state is not None:
        yield _rows(UNCOMPARED, np.array([[state.bucket, state.uncompared]], np.int64))


def _write_found(found: DataFrame, folder: str) -> dict[str, int]:
    """Append rows of (kind, a, b) to the candidates table; the counts of what was written."""
    kind, b = F.col("kind"), F.col("b")

    def total(value: Column, name: str) -> Column:
        return F.coalesce(F.sum(value), F.lit(0)).alias(name)

    seen = Observation()
    found.observe(
        seen,
        total((kind == PAIR).cast("long"), "pairs"),
        total((kind == EXACT).cast("long"), "exact"),
        total((kind == HOT_BUCKET).cast("long"), "hot"),
        total(F.when(kind == SAME_ID, b), "duplicate_ids"),
        total(F.when(kind == UNCOMPARED, b), "uncompared"),
    ).write.mode("append").parquet(folder)
    return {name: int(value) for name, value in seen.get.items()}


def _bucketed(rows: DataFrame, work: partial[Iterator[pa.RecordBatch]], cap: int, tasks: int) -> DataFrame:
    """Rows -> entries -> shuffled by bucket -> what the buckets hold."""
    blobs = rows.mapInArrow(work, _BLOBS).repartition(tasks, "part")
    return blobs.mapInArrow(partial(search_buckets, cap=cap), FOUND)


def _tasks(documents: int, bands: int) -> int:
    return max(1, math.ceil(documents * bands / ENTRIES_PER_TASK))


def write_candidates(
    signatures: DataFrame, settings: Settings, folder: str, documents: int, least_tasks: int
) -> CandidateCounts:
    """Write the candidates tables (kind, a, b) of the signature rows below `folder`; `written` lists them.

    `documents` is the number of signature rows, `least_tasks` how many tasks the machine runs at once.
    """
    spark = signatures.sparkSession
    banding = settings.banding
    # A task for each core is only worth its start where there is something to share.
    tasks = max(_tasks(documents, banding.bands), least_tasks if documents > 50_000 else 1)
    with spark_conf(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS_PER_BATCH)}):
        work = partial(first_entries, partitions=4 * tasks)
        rows = signatures.select(KEY, "shingles", "whole", "id_hash", "bands")
        counts = _write_found(_bucketed(rows, work, settings.bucket_cap, tasks), f"{folder}/buckets")
        pairs, uncompared = counts["pairs"], 0
        if counts["hot"]:
            more, uncompared = _split_hot_buckets(signatures, settings, folder)
            pairs += more
    return CandidateCounts(pairs, counts["exact"], counts["hot"], uncompared, counts["duplicate_ids"])


def _split_hot_buckets(signatures: DataFrame, settings: Settings, folder: str) -> tuple[int, int]:
    """Treat the documents of oversized buckets: (pairs found, pairs left uncompared)."""
    spark = signatures.sparkSession
    first = tables.read(spark, FOUND, f"{folder}/buckets").where(F.col("kind") == HOT)
    hot, pairs = _mask_of_hot(first, f"{folder}/hot"), 0
    split = further(settings.threshold, settings.banding.rows, settings.seed)
    if split is not None:
        members = masks.inside(signatures.select(KEY, "whole", "tiny"), hot)
        tasks = max(1, math.ceil(members.count() * split.bands / ENTRIES_PER_TASK))
        work = partial(further_entries, partitions=4 * tasks, slots=split.slots)
        counts = _write_found(_bucketed(members, work, settings.bucket_cap, tasks), f"{folder}/split")
        pairs += counts["pairs"]
        if not counts["hot"]:
            return pairs, 0
        hot = _mask_of_hot(
            tables.read(spark, FOUND, f"{folder}/split").where(F.col("kind") == HOT), f"{folder}/still_hot"
        )
    rank = [name for name in RANK if name in signatures.columns]
    members = masks.inside(signatures.select("tiny", *rank), hot)
    in_buckets = members.join(first.select(F.col("a").alias("bucket"), F.col("b").alias(KEY)), KEY)
    ordered = in_buckets.repartition("bucket").sortWithinPartitions("bucket", *spark_order(settings))
    work = partial(_compare_along_keep_order, threshold=settings.threshold, leaders=settings.bucket_leaders)
    counts = _write_found(ordered.select("bucket", KEY, "tiny").mapInArrow(work, FOUND), f"{folder}/ordered")
    return pairs + counts["pairs"], counts["uncompared"]


def _mask_of_hot(hot: DataFrame, path: str) -> DataFrame:
    """The mask of the documents in these oversized buckets, computed once."""
    masks.aggregate(hot.select(F.col("b").alias(KEY))).write.parquet(path)
    return masks.read(hot.sparkSession, path)


def written(folder: str) -> list[str]:
    """The tables that `write_candidates` left below `folder`."""
    return [f"{folder}/{name}" for name in ("buckets", "split", "ordered")]
