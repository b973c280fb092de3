"""The pair stages in DataFrames, for more pairs than the driver's budget allows: compare, decide, write removed/.

`on_driver.py` does the same in NumPy where the pairs are fewer; both give the same answer. Only counts and samples of
fixed size come to the driver here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from sparkprep.dedup import candidates, masks
from sparkprep.dedup.candidates import CandidateCounts
from sparkprep.dedup.keep import RANK, spark_order
from sparkprep.dedup.report import metrics
from sparkprep.dedup.resolve import outcome, stars
from sparkprep.dedup.resolve.driver import MOST_TURNS
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.verify import ASSIGNMENT, GROUP_SHINGLES, VERIFIED, compare
from sparkprep.dedup.workspace import Run
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.reading import LONG_TEXT
from sparkprep.io.files import exists
from sparkprep.io.paths import spark_target
from sparkprep.spark import tables

PAIRS = "a long, b long"
COPIES = "first long, copy long"
DECIDED = f"{KEY} long, kept_key long, jaccard double"


def resolve(run: Run, counts: CandidateCounts) -> Outcome:
    """Verify the candidates, decide who stays, write removed/ and the mask of the removed documents.

    Documents that stay are searched again where buckets were oversized, as in `on_driver`.
    """
    with run.progress.stage("verify"):
        found = _found(run, "candidates")
        pairs = _saved(run, "pairs", _pairs(found), PAIRS)
        edges = _similar(run, pairs, run.settings.threshold, "verified")
        copies = _saved(run, "copies", _copies(found), COPIES)
    with run.progress.stage("decide"):
        best = _best_of_copies(run, copies)
        removed = _decide(run, edges, best, "decided")
        for turn in range(1, MOST_TURNS):
            if not counts.hot_buckets:
                break
            counts = _search_again(run, removed, f"candidates-{turn}")
            new = _saved(run, f"pairs-{turn}", _pairs(_found(run, f"candidates-{turn}")).exceptAll(pairs), PAIRS)
            more = _similar(run, new, run.settings.threshold, f"verified-{turn}")
            if more.isEmpty():
                break
            pairs, edges = pairs.union(new), edges.union(more)
            removed = _decide(run, edges, best, f"decided-{turn}")
        removed.select(*outcome.REMOVED_COLUMNS).write.parquet(spark_target(run.result("removed")))
        masks.aggregate(removed.select(KEY)).write.parquet(spark_target(run.work("removed.mask")))
        return _outcome(run, pairs, edges, copies, removed)


def _found(run: Run, name: str) -> DataFrame:
    return tables.read(run.spark, candidates.FOUND, *candidates.written(run.work(name)))


def _pairs(found: DataFrame) -> DataFrame:
    return found.where(F.col("kind") == candidates.PAIR).select("a", "b").distinct()


def _search_again(run: Run, removed: DataFrame, name: str) -> CandidateCounts:
    """The candidates among the documents that stay."""
    masks.aggregate(removed.select(KEY)).write.parquet(spark_target(run.work(name, "removed.mask")))
    staying = masks.outside(run.signatures, masks.read(run.spark, run.work(name, "removed.mask")))
    left = run.summary.rows - removed.count()
    return candidates.write_candidates(staying, run.settings, run.work(name), left, run.cores)


def _saved(run: Run, name: str, rows: DataFrame, schema: str | None) -> DataFrame:
    """Write rows once and read them back, so that no later stage computes them again."""
    rows.write.parquet(spark_target(run.work(name)))
    return tables.read(run.spark, schema or rows.schema, run.work(name))


def _copies(found: DataFrame) -> DataFrame:
    """(first, copy): `first` is the least key with the copy's normalised text.

    A batch of rows names its own first key, and the bucket search names the first of those: two steps at the most.
    """
    step = found.where(F.col("kind") == candidates.EXACT).select(F.col("a").alias("first"), F.col("b").alias("copy"))
    above = step.select(F.col("copy").alias("first"), F.col("first").alias("above"))
    return step.join(above, "first", "left").select(F.coalesce("above", "first").alias("first"), "copy")


def _similar(run: Run, pairs: DataFrame, threshold: float, name: str) -> DataFrame:
    """The pairs (a, b) whose exact similarity reaches the threshold: (a, b, jaccard)."""
    assignment = _saved(run, f"{name}.assignment", _assign(run, pairs), f"{ASSIGNMENT}, size long")
    for part, rows in (
        ("ordinary", assignment.where(F.col("size") < LONG_TEXT)),
        ("long", assignment.where(F.col("size") >= LONG_TEXT)),
    ):
        folder = run.work(name, part)
        rows.drop("size").write.parquet(spark_target(f"{folder}.groups"))
        count = tables.rows(f"{folder}.groups")
        if count:
            compare(run, folder, count, threshold, alone=part == "long")
    folders = [run.work(name, part) for part in ("ordinary", "long")]
    if not any(map(exists, folders)):
        return run.spark.createDataFrame([], VERIFIED)
    return tables.read(run.spark, VERIFIED, *folders)


def _assign(run: Run, pairs: DataFrame) -> DataFrame:
    """(KEY, group, partners, size) of the groups that are brought together; size: bytes of the group's longest text.

    A pair belongs to the lesser of its ends' least neighbours, which gathers most clusters in one group without
    following chains. A group of more than GROUP_SHINGLES is cut into blocks by hash, and a group is then two blocks.
    """
    both = pairs.union(pairs.select(F.col("b").alias("a"), F.col("a").alias("b")))
    least = both.groupBy("a").agg(F.least("a", F.min("b")).alias("least"))
    of_a, of_b = (
        least.withColumnRenamed("least", "of_a"),
        least.select(F.col("a").alias("b"), F.col("least").alias("of_b")),
    )
    named = pairs.join(of_a, "a").join(of_b, "b").select("a", "b", F.least("of_a", "of_b").alias("group"))
    shingles = run.signatures.select(KEY, "shingles", "bytes")
    members = named.select("group", F.explode(F.array("a", "b")).alias(KEY)).distinct().join(shingles, KEY)
    blocks = members.groupBy("group").agg(
        F.when(F.sum("shingles") > GROUP_SHINGLES, F.ceil(2 * F.sum("shingles") / GROUP_SHINGLES))
        .otherwise(1)
        .alias("n")
    )
    cut = [F.pmod(F.xxhash64(end), F.col("n")).alias(f"block_{end}") for end in ("a", "b")]
    cut_pairs = named.join(blocks, "group").select(
        "a", "b", F.xxhash64("group", F.least(*cut), F.greatest(*cut)).alias("group")
    )
    right = cut_pairs.groupBy("group", F.col("b").alias(KEY)).agg(F.collect_list("a").alias("partners"))
    left = cut_pairs.select("group", F.col("a").alias(KEY), F.array().cast("array<long>").alias("partners"))
    rows = right.unionByName(left).groupBy(KEY, "group").agg(F.flatten(F.collect_list("partners")).alias("partners"))
    longest = Window.partitionBy("group")
    return rows.join(shingles, KEY).select(KEY, "group", "partners", F.max("bytes").over(longest).alias("size"))


def _ranked(run: Run) -> DataFrame:
    return run.signatures.select(*[c for c in RANK if c in run.signatures.columns])


def _best_of_copies(run: Run, copies: DataFrame) -> DataFrame:
    """(first, KEY, best): for each document with an exact copy, the one of them that is first in the keep order."""
    members = copies.select("first", F.col("copy").alias(KEY)).union(
        copies.select("first", F.col("first").alias(KEY)).distinct()
    )
    together = Window.partitionBy("first").orderBy(*spark_order(run.settings))
    best = F.first(KEY).over(together.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing))
    rows = members.join(_ranked(run), KEY).select("first", KEY, best.alias("best"))
    return _saved(run, "best_of_copies", rows, f"first long, {KEY} long, best long")


def _between_best(edges: DataFrame, best: DataFrame) -> DataFrame:
    """The edges, which join least keys of exact copies, as edges between the copies first in the keep order."""
    named = best.where(F.col(KEY) == F.col("first")).select("first", "best")
    for end in ("a", "b"):
        renamed = named.select(F.col("first").alias(end), F.col("best").alias(f"best_{end}"))
        edges = edges.join(renamed, end, "left").withColumn(end, F.coalesce(f"best_{end}", end)).drop(f"best_{end}")
    return edges.select("a", "b", "jaccard")


def _decide(run: Run, edges: DataFrame, best: DataFrame, name: str) -> DataFrame:
    """Apply the rule component by component: (KEY, kept_key, jaccard, rule, id, kept_id) of each removed document."""
    named = _between_best(edges, best)
    swapped = named.select(F.col("b").alias("a"), F.col("a").alias("b"), "jaccard")
    both = _saved(run, f"{name}.edges", named.union(swapped), VERIFIED)
    links = both.where("a < b").select(F.col("a").alias("u"), F.col("b").alias("v"))
    roots = stars.components(links, run.work(f"{name}.stars")).select(F.col("node").alias(KEY), "root")
    neighbours = both.groupBy(F.col("a").alias(KEY)).agg(
        F.collect_list("b").alias("neighbours"), F.collect_list("jaccard").alias("similarity")
    )
    rows = neighbours.join(roots, KEY).join(_ranked(run), KEY)
    ordered = rows.repartition("root").sortWithinPartitions("root", *spark_order(run.settings))
    work = partial(_keep_or_remove, rule=run.settings.rule)
    columns = ordered.select("root", KEY, "neighbours", "similarity")
    decided = _saved(run, f"{name}.near", columns.mapInArrow(work, DECIDED), DECIDED)
    removed = _saved(run, name, _with_copies(run, decided, best), None)
    return _fill_in(run, removed, name) if run.settings.rule == "component" else removed


def _keep_or_remove(batches: Iterator[pa.RecordBatch], rule: str) -> Iterator[pa.RecordBatch]:
    """Rows (root, key, neighbours, similarity) sorted by root and keep order -> the removed ones.

    Holds the kept keys of one component, 100 bytes each.
    """
    root: int | None = None
    kept: dict[int, int] = {}
    for batch in batches:
        removed: list[tuple[int, int, float]] = []
        columns = (batch[name].to_pylist() for name in ("root", KEY, "neighbours", "similarity"))
        for of, key, neighbours, similarity in zip(*columns, strict=True):
            if of != root:
                root, kept = of, {}
            if rule == "component":
                if not kept:
                    kept[key] = 0
                    continue
                first = next(iter(kept))
                known = dict(zip(neighbours, similarity, strict=True))
                removed.append((key, first, known.get(first, float("nan"))))
                continue
            earlier = [(j, -kept[n], n) for n, j in zip(neighbours, similarity, strict=True) if n in kept]
            if earlier:
                jaccard, _, nearest = max(earlier)
                removed.append((key, nearest, jaccard))
            else:
                kept[key] = len(kept)
        keys, kept_keys, jaccards = zip(*removed, strict=True) if removed else ((), (), ())
        yield pa.RecordBatch.from_pydict(
            {
                KEY: pa.array(keys, pa.int64()),
                "kept_key": pa.array(kept_keys, pa.int64()),
                "jaccard": pa.array(np.array(jaccards, np.float64)),
            }
        )


def _with_copies(run: Run, decided: DataFrame, best: DataFrame) -> DataFrame:
    """(KEY, kept_key, jaccard, rule, id, kept_id): what was decided, with the exact copies of all documents."""
    copies = best.where(F.col(KEY) != F.col("best")).select(KEY, "best")
    fate = decided.select(F.col(KEY).alias("best"), "kept_key", "jaccard")
    of_copies = copies.join(fate, "best", "left").select(
        KEY,
        F.coalesce("kept_key", "best").alias("kept_key"),
        F.coalesce("jaccard", F.lit(1.0)).alias("jaccard"),
        F.when(F.col("kept_key").isNull(), "exact").otherwise("near").alias("rule"),
    )
    rows = decided.withColumn("rule", F.lit("near")).unionByName(of_copies)
    names = run.signatures.select(KEY, "id")
    kept_names = names.select(F.col(KEY).alias("kept_key"), F.col("id").alias("kept_id"))
    return rows.join(names, KEY).join(kept_names, "kept_key")


def _fill_in(run: Run, removed: DataFrame, name: str) -> DataFrame:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    low, high = F.least(KEY, "kept_key").alias("a"), F.greatest(KEY, "kept_key").alias("b")
    missing = removed.where(F.isnan("jaccard")).select(low, high).distinct()
    if missing.isEmpty():
        return removed
    known = _similar(run, missing, 0.0, f"{name}.filled_in").withColumnRenamed("jaccard", "computed")
    joined = removed.withColumn("a", low).withColumn("b", high).join(known, ["a", "b"], "left")
    jaccard = F.when(F.isnan("jaccard"), F.col("computed")).otherwise(F.col("jaccard"))
    return _saved(run, f"{name}.completed", joined.withColumn("jaccard", jaccard).drop("a", "b", "computed"), None)


def _outcome(run: Run, pairs: DataFrame, edges: DataFrame, copies: DataFrame, removed: DataFrame) -> Outcome:
    threshold = run.settings.threshold
    span = max(1.0 - threshold, 1e-12)
    place = F.least(F.floor((F.col("jaccard") - threshold) / span * metrics.BINS), F.lit(metrics.BINS - 1))
    histogram = np.zeros(metrics.BINS, np.int64)
    for row in edges.groupBy(place.cast("int").alias("bin")).count().collect():
        histogram[row["bin"]] = row["count"]
    rules = {row["rule"]: row["count"] for row in removed.groupBy("rule").count().collect()}
    clusters = removed.groupBy("kept_key").agg((F.count(F.lit(1)) + 1).alias("size"))
    heads = clusters.orderBy(F.desc("size"), "kept_key").limit(outcome.CLUSTERS).collect()
    columns = [KEY, "kept_key", *outcome.REMOVED_COLUMNS]
    members = [
        removed.where(F.col("kept_key") == head["kept_key"]).orderBy(KEY).limit(outcome.MEMBERS).select(columns)
        for head in heads
    ]
    near = removed.where("jaccard < 1.0").orderBy(F.xxhash64(KEY)).limit(outcome.PAIRS).select(columns)
    return Outcome(
        pairs=pairs.count(),
        verified=int(histogram.sum()),
        copies=copies.count(),
        exact=rules.get("exact", 0),
        near=rules.get("near", 0),
        histogram=histogram,
        cluster_sizes={r["size"]: r["count"] for r in clusters.groupBy("size").count().orderBy("size").collect()},
        cluster_heads=[head["size"] for head in heads],
        clusters=_collected([row for frame in members for row in frame.collect()], columns),
        pairs_sample=_collected(sorted(near.collect(), key=lambda row: row["jaccard"]), columns),
    )


def _collected(rows: list[Row], columns: list[str]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows]) for name in columns})
