"""What a run on the cluster tells of its pairs and decisions: the figures and samples of `outcome`, in DataFrames.

Nothing but counts and samples of fixed size comes to the driver.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from sparkprep.dedup.columns import NAMED_DECISIONS
from sparkprep.dedup.kernels.arrays import I64
from sparkprep.dedup.kernels.buckets import NOBODY
from sparkprep.dedup.resolve import outcome
from sparkprep.dedup.resolve.levels import Components, Leaders
from sparkprep.dedup.resolve.outcome import Flow, Outcome
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.keys import KEY

ROWS_AT_ONCE = 256


def measure(
    work: Workspace, similar: DataFrame, ordered: DataFrame, copies: int, removed: DataFrame, misses: DataFrame
) -> Outcome:
    """Return the outcome of decisions.

    similar: (a, b, jaccard) of all pairs compared. ordered: (root, KEY, neighbours, similarity), in keep order, of the
    pairs down to the near misses. copies: how many documents repeat a text. removed, misses: rows of NAMED_DECISIONS.
    """
    threshold = work.settings.threshold
    histogram = _histogram(similar, threshold)
    rules = {row["rule"]: row["count"] for row in removed.groupBy("rule").count().collect()}
    clusters = removed.groupBy("kept_key").agg((F.count(F.lit(1)) + 1).alias("size"))
    heads = clusters.orderBy(F.desc("size"), "kept_key").limit(outcome.CLUSTERS).collect()
    within = Window.partitionBy("kept_key").orderBy(KEY)
    of_heads = removed.where(F.col("kept_key").isin([head["kept_key"] for head in heads]))
    place_of_head = {head["kept_key"]: place for place, head in enumerate(heads)}
    members = of_heads.withColumn("place", F.row_number().over(within)).where(F.col("place") <= outcome.MEMBERS)
    near = removed.where("jaccard < 1.0").orderBy(F.xxhash64(KEY)).limit(outcome.PAIRS)
    exact = removed.where("rule = 'exact'").orderBy(F.xxhash64(KEY)).limit(outcome.COPIES)
    some_misses = misses.orderBy(F.xxhash64(KEY, "kept_key")).limit(outcome.MISSES)
    return Outcome(
        pairs=int(histogram.sum()),
        verified=outcome.at_or_above(histogram, threshold, threshold),
        misses=misses.count(),
        copies=copies,
        exact=rules.get("exact", 0),
        near=rules.get("near", 0),
        histogram=histogram,
        goes_at=_goes_at(ordered, work, copies),
        cluster_sizes={r["size"]: r["count"] for r in clusters.groupBy("size").count().orderBy("size").collect()},
        cluster_heads=[head["size"] for head in heads],
        flows=_flows(work, removed) if work.columns.source is not None else [],
        clusters=_table_of(
            sorted(members.collect(), key=lambda row: (place_of_head[row["kept_key"]], row["place"])), work.id_type
        ),
        pairs_sample=_table_of(sorted(near.collect() + exact.collect(), key=lambda row: row["jaccard"]), work.id_type),
        misses_sample=_table_of(sorted(some_misses.collect(), key=lambda row: -row["jaccard"]), work.id_type),
    )


def _histogram(similar: DataFrame, threshold: float) -> I64:
    """Return `outcome.histogram` of all similarities, each task's counts being added here."""
    bins = len(outcome.bin_edges(threshold)) - 1

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counts = np.zeros(bins, np.int64)
        for batch in batches:
            counts += outcome.histogram(np.asarray(batch["jaccard"]), threshold)
        places = np.flatnonzero(counts)
        yield pa.RecordBatch.from_pydict({"bin": places, "n": counts[places]})

    total = np.zeros(bins, np.int64)
    counted = similar.select("jaccard").mapInArrow(count, "bin long, n long")
    for row in counted.groupBy("bin").agg(F.sum("n").alias("n")).collect():
        total[row["bin"]] = row["n"]
    return total


def _goes_at(ordered: DataFrame, work: Workspace, copies: int) -> dict[float, int]:
    """Return for each threshold, ascending, how many documents go at it, exact copies among them."""
    thresholds = outcome.thresholds(work.settings.threshold)
    task = partial(_count_removed, rule=work.settings.rule, thresholds=thresholds, own=work.standing.own)
    counted = ordered.mapInArrow(task, "level long, removed long").groupBy("level")
    removed = {row["level"]: row["removed"] for row in counted.agg(F.sum("removed").alias("removed")).collect()}
    return {threshold: copies + removed.get(level, 0) for level, threshold in enumerate(thresholds)}


def _count_removed(
    batches: Iterator[pa.RecordBatch], rule: str, thresholds: list[float], own: int = NOBODY
) -> Iterator[pa.RecordBatch]:
    """Turn rows of (root, KEY, neighbours, similarity), sorted by root and keep order, into (level, removed).

    thresholds: in ascending order, a level being the place of one. own: the key from which documents were decided on
    before; these are not counted. Holds what is known of the documents of one
    component, about 100 bytes each.
    """
    counts = [0] * len(thresholds)
    root: int | None = None
    state = Leaders(len(thresholds)) if rule == "leader" else Components(len(thresholds))
    for of, key, neighbours, similarity in (row for batch in batches for row in rows_of(batch)):
        if of != root:
            root = of
            state.clear()
        reached = [bisect_right(thresholds, jaccard) for jaccard in similarity]
        goes = state.meet(key, zip(neighbours, reached, strict=True))
        for level, gone in enumerate(goes if key < own else ()):
            counts[level] += gone
    yield pa.RecordBatch.from_pydict({"level": np.arange(len(thresholds)), "removed": np.array(counts, np.int64)})


def rows_of(batch: pa.RecordBatch) -> Iterator[tuple[int, int, list[int], list[float]]]:
    """Yield (root, KEY, neighbours, similarity) of each row, of which only ROWS_AT_ONCE are Python's objects at a time.

    A document may have thousands of neighbours, each of which then takes 70 bytes and not 16.
    """
    for start in range(0, len(batch), ROWS_AT_ONCE):
        part = batch.slice(start, ROWS_AT_ONCE)
        yield from zip(*(part[name].to_pylist() for name in ("root", KEY, "neighbours", "similarity")), strict=True)


def _flows(work: Workspace, removed: DataFrame) -> list[Flow]:
    """Count removed documents by their source and that of the document kept for them."""
    sources = work.signatures.read(work.spark, [KEY, "source"])
    kept_sources = sources.select(F.col(KEY).alias("kept_key"), F.col("source").alias("kept_source"))
    ways = removed.select(KEY, "kept_key").join(sources, KEY).join(kept_sources, "kept_key")
    counted = ways.groupBy("source", "kept_source").count()
    names = (F.coalesce("source", F.lit("")), F.coalesce("kept_source", F.lit("")))
    rows = counted.orderBy(F.desc("count"), *names).limit(outcome.FLOWS).collect()
    return outcome.largest_flows([(row["source"], row["kept_source"], row["count"]) for row in rows])


def _table_of(rows: list[Row], id_type: pa.DataType) -> pa.Table:
    columns = {f.name: pa.array([row[f.name] for row in rows], f.type) for f in NAMED_DECISIONS}
    return outcome.with_ids(pa.table(columns), id_type)
