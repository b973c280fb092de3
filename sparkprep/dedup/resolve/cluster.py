"""The pair stages in DataFrames, for more pairs than the driver's budget allows: compare, decide, write removed/.

`driver.py` does the same in NumPy where the pairs are fewer: both remove the same documents for the same ones, and come
to the same counts. Only the examples that the report shows may be others, being drawn here by hash. Nothing but counts
and samples of fixed size comes to the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.columns import DECISIONS, NAMED_DECISIONS, RowKind
from sparkprep.dedup.keep import ORDER
from sparkprep.dedup.resolve import outcome, stars
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.ties import ranked
from sparkprep.dedup.verify import GROUP_SHINGLES, LONG_TEXT, compare
from sparkprep.dedup.workspace import MOST_SEARCHES, Comparison, Search, Workspace
from sparkprep.documents import addressed
from sparkprep.documents.keys import KEY
from sparkprep.io.arrow import from_bytes
from sparkprep.spark.tables import read_all, spark_schema


def resolve(work: Workspace, counts: CandidateCounts) -> Outcome:
    """Verify the candidates of search 0, decide who stays, write removed/ and the keys of the removed documents.

    Documents that stay are searched again where buckets were oversized, as in `driver`.
    """
    search, uncompared = work.search("cluster", 0), counts.uncompared_pairs
    with work.progress.stage("verify"):
        candidates = read_all(work.spark, list(work.candidates.all))
        pairs = stars.materialise(_pairs(candidates), search.pairs)
        edges = _similar(work, pairs, work.settings.threshold, search.comparison)
        copies = stars.materialise(_copies(candidates), work.copies)
    with work.progress.stage("decide"):
        best = _best_of_copies(work, copies)
        removed = _decide(work, edges, best, search)
        for number in range(1, MOST_SEARCHES):
            if not counts.hot_buckets:
                break
            search = work.search("cluster", number)
            counts = _search_again(work, removed, search)
            uncompared += counts.uncompared_pairs
            new = stars.materialise(
                _pairs(read_all(work.spark, list(search.candidates.all))).exceptAll(pairs), search.pairs
            )
            new_edges = _similar(work, new, work.settings.threshold, search.comparison)
            pairs = pairs.union(new)
            if new_edges.isEmpty():
                break
            edges = edges.union(new_edges)
            removed = _decide(work, edges, best, search)
        work.removed.write(removed, prepare=partial(_as_result, kind=work.id_type))
        addressed.write(work.removed_keys, work.documents, removed.select(KEY))
        return _outcome(work, pairs, uncompared, edges, copies, removed)


def _pairs(candidates: DataFrame) -> DataFrame:
    return candidates.where(F.col("kind") == RowKind.PAIR.value).select("a", "b").distinct()


def _as_result(rows: pa.RecordBatch, kind: pa.DataType) -> pa.RecordBatch:
    """Return rows of NAMED_DECISIONS as removed/ has them, with identifiers of the input's type."""
    ids = [from_bytes(rows[name], kind) for name in ("id", "kept_id")]
    return pa.RecordBatch.from_arrays([*ids, rows["jaccard"], rows["rule"]], ["id", "kept_id", "jaccard", "rule"])


def _search_again(work: Workspace, removed: DataFrame, search: Search) -> CandidateCounts:
    """Write and count the candidates among the documents that stay."""
    addressed.write(search.left_out, work.documents, removed.select(KEY))
    return BucketSearch.among_staying(work, search).run(work.cores)


def _copies(candidates: DataFrame) -> DataFrame:
    """Return (first, copy): `first` is the least key with the copy's normalised text.

    A batch of rows names its own first key, and the bucket search names the first of those: two steps at the most.
    """
    exact = candidates.where(F.col("kind") == RowKind.EXACT.value)
    step = exact.select(F.col("a").alias("first"), F.col("b").alias("copy"))
    above = step.select(F.col("copy").alias("first"), F.col("first").alias("above"))
    return step.join(above, "first", "left").select(F.coalesce("above", "first").alias("first"), "copy")


def _similar(work: Workspace, pairs: DataFrame, threshold: float, comparison: Comparison) -> DataFrame:
    """Compare pairs (a, b); return (a, b, jaccard) of those whose exact similarity reaches the threshold."""
    groups = stars.materialise(_assign(work, pairs), comparison.sized_groups)
    for part, rows in (
        (comparison.ordinary, groups.where(F.col("size") < LONG_TEXT)),
        (comparison.long, groups.where(F.col("size") >= LONG_TEXT)),
    ):
        addressed.write(part.groups, work.documents, rows.drop("size"))
        if part.groups.rows:
            compare(work, part, threshold)
    return read_all(work.spark, list(comparison.pairs))


def _assign(work: Workspace, pairs: DataFrame) -> DataFrame:
    """Return the groups in which the pairs (a, b) are compared, SIZED_GROUPS.

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
    shingles = work.signatures.read(work.spark, [KEY, "shingles", "bytes"])
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


def _best_of_copies(work: Workspace, copies: DataFrame) -> DataFrame:
    """Return BEST_OF_COPIES: for each document with an exact copy, the one of them that is first in the keep order."""
    members = copies.select("first", F.col("copy").alias(KEY)).union(
        copies.select("first", F.col("first").alias(KEY)).distinct()
    )
    together = Window.partitionBy("first").orderBy(*ORDER)
    best = F.first(KEY).over(together.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing))
    ranks = ranked(work, members.select(KEY).distinct(), work.ties_of_copies)
    rows = members.join(ranks, KEY).select("first", KEY, best.alias("best"))
    return stars.materialise(rows, work.best_of_copies)


def _between_best(edges: DataFrame, best: DataFrame) -> DataFrame:
    """Return the edges, which join least keys of exact copies, as edges between the copies first in the keep order."""
    named = best.where(F.col(KEY) == F.col("first")).select("first", "best")
    for end in ("a", "b"):
        renamed = named.select(F.col("first").alias(end), F.col("best").alias(f"best_{end}"))
        edges = edges.join(renamed, end, "left").withColumn(end, F.coalesce(f"best_{end}", end)).drop(f"best_{end}")
    return edges.select("a", "b", "jaccard")


def _decide(work: Workspace, edges: DataFrame, best: DataFrame, search: Search) -> DataFrame:
    """Apply the rule component by component; return the rows of `Search.removed`."""
    named = _between_best(edges, best)
    swapped = named.select(F.col("b").alias("a"), F.col("a").alias("b"), "jaccard")
    both = stars.materialise(named.union(swapped), search.edges)
    links = both.where("a < b").select(F.col("a").alias("u"), F.col("b").alias("v"))
    roots = stars.components(links, search.star_round).select(F.col("node").alias(KEY), "root")
    neighbours = both.groupBy(F.col("a").alias(KEY)).agg(
        F.collect_list("b").alias("neighbours"), F.collect_list("jaccard").alias("similarity")
    )
    rows = neighbours.join(roots, KEY).join(ranked(work, neighbours.select(KEY), search.ties), KEY)
    ordered = rows.repartition("root").sortWithinPartitions("root", *ORDER)
    task = partial(_keep_or_remove, rule=work.settings.rule)
    columns = ordered.select("root", KEY, "neighbours", "similarity")
    near = stars.materialise(columns.mapInArrow(task, spark_schema(DECISIONS)), search.near)
    removed = stars.materialise(_with_copies(work, near, best), search.removed)
    return _with_similarity(work, removed, search) if work.settings.rule == "component" else removed


def _keep_or_remove(batches: Iterator[pa.RecordBatch], rule: str) -> Iterator[pa.RecordBatch]:
    """Turn rows of (root, KEY, neighbours, similarity), sorted by root and keep order, into DECISIONS.

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
                of_neighbour = dict(zip(neighbours, similarity, strict=True))
                removed.append((key, first, of_neighbour.get(first, float("nan"))))
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


def _with_copies(work: Workspace, near: DataFrame, best: DataFrame) -> DataFrame:
    """Return the rows of `Search.removed`: the decisions, and those about exact copies that follow from them."""
    copies = best.where(F.col(KEY) != F.col("best")).select(KEY, "best")
    fate = near.select(F.col(KEY).alias("best"), "kept_key", "jaccard")
    of_copies = copies.join(fate, "best", "left").select(
        KEY,
        F.coalesce("kept_key", "best").alias("kept_key"),
        F.coalesce("jaccard", F.lit(1.0)).alias("jaccard"),
        F.when(F.col("kept_key").isNull(), "exact").otherwise("near").alias("rule"),
    )
    rows = near.withColumn("rule", F.lit("near")).unionByName(of_copies)
    names = work.signatures.read(work.spark, [KEY, "id"])
    kept_names = names.select(F.col(KEY).alias("kept_key"), F.col("id").alias("kept_id"))
    return rows.join(names, KEY).join(kept_names, "kept_key")


def _with_similarity(work: Workspace, removed: DataFrame, search: Search) -> DataFrame:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    low, high = F.least(KEY, "kept_key").alias("a"), F.greatest(KEY, "kept_key").alias("b")
    missing = removed.where(F.isnan("jaccard")).select(low, high).distinct()
    if missing.isEmpty():
        return removed
    computed = _similar(work, missing, 0.0, search.unjoined).withColumnRenamed("jaccard", "computed")
    joined = removed.withColumn("a", low).withColumn("b", high).join(computed, ["a", "b"], "left")
    jaccard = F.when(F.isnan("jaccard"), F.col("computed")).otherwise(F.col("jaccard"))
    return stars.materialise(joined.withColumn("jaccard", jaccard).drop("a", "b", "computed"), search.completed)


def _outcome(
    work: Workspace, pairs: DataFrame, uncompared: int, edges: DataFrame, copies: DataFrame, removed: DataFrame
) -> Outcome:
    place = F.least(F.floor(outcome.position(F.col("jaccard"), work.settings.threshold)), F.lit(outcome.BINS - 1))
    histogram = np.zeros(outcome.BINS, np.int64)
    for row in edges.groupBy(place.cast("int").alias("bin")).count().collect():
        histogram[row["bin"]] = row["count"]
    rules = {row["rule"]: row["count"] for row in removed.groupBy("rule").count().collect()}
    clusters = removed.groupBy("kept_key").agg((F.count(F.lit(1)) + 1).alias("size"))
    heads = clusters.orderBy(F.desc("size"), "kept_key").limit(outcome.CLUSTERS).collect()
    within = Window.partitionBy("kept_key").orderBy(KEY)
    of_heads = removed.where(F.col("kept_key").isin([head["kept_key"] for head in heads]))
    place_of_head = {head["kept_key"]: place for place, head in enumerate(heads)}
    members = of_heads.withColumn("place", F.row_number().over(within)).where(F.col("place") <= outcome.MEMBERS)
    near = removed.where("jaccard < 1.0").orderBy(F.xxhash64(KEY)).limit(outcome.PAIRS)
    return Outcome(
        pairs=pairs.count(),
        uncompared=uncompared,
        verified=int(histogram.sum()),
        copies=copies.count(),
        exact=rules.get("exact", 0),
        near=rules.get("near", 0),
        histogram=histogram,
        cluster_sizes={r["size"]: r["count"] for r in clusters.groupBy("size").count().orderBy("size").collect()},
        cluster_heads=[head["size"] for head in heads],
        clusters=_table_of(
            sorted(members.collect(), key=lambda row: (place_of_head[row["kept_key"]], row["place"])), work.id_type
        ),
        pairs_sample=_table_of(sorted(near.collect(), key=lambda row: row["jaccard"]), work.id_type),
    )


def _table_of(rows: list[Row], id_type: pa.DataType) -> pa.Table:
    columns = {f.name: pa.array([row[f.name] for row in rows], f.type) for f in NAMED_DECISIONS}
    return outcome.with_ids(pa.table(columns), id_type)
