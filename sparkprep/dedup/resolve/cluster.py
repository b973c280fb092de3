"""The pair stages in DataFrames, for more pairs than the driver's budget allows: compare, decide, write removed/.

`driver.py` does the same in NumPy where the pairs are fewer: both remove the same documents for the same ones, and come
to the same counts. Only the examples that the report shows may be others, being drawn here by hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from sparkprep.dedup.candidates import BucketSearch, CandidateCounts, copies_among
from sparkprep.dedup.columns import DECISIONS, MISS, RowKind
from sparkprep.dedup.keep import ORDER
from sparkprep.dedup.resolve import figures, outcome, stars
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.ties import ranked
from sparkprep.dedup.verify import GROUP_SHINGLES, LONG_TEXT, compare
from sparkprep.dedup.workspace import MOST_SEARCHES, Comparison, GraphTables, Search, Workspace
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
        similar = _similarities(work, pairs, search.comparison)
        copies = stars.materialise(copies_among(candidates), work.copies)
    with work.progress.stage("decide"):
        threshold = F.lit(work.settings.threshold)
        best = _best_of_copies(work, copies)
        removed = _decide(work, similar.where(F.col("jaccard") >= threshold), best, search)
        searches = range(1, MOST_SEARCHES) if counts.hot_buckets else range(0)
        for number in searches:
            search = work.search("cluster", number)
            counts = _search_again(work, removed, search)
            uncompared += counts.uncompared_pairs
            new = stars.materialise(
                _pairs(read_all(work.spark, list(search.candidates.all))).exceptAll(pairs), search.pairs
            )
            new_similar = _similarities(work, new, search.comparison)
            pairs, similar = pairs.union(new), similar.union(new_similar)
            if new_similar.where(F.col("jaccard") >= threshold).isEmpty():
                break
            removed = _decide(work, similar.where(F.col("jaccard") >= threshold), best, search)
        else:
            outcome.warn_unsettled(work, len(searches))
        misses = _misses(work, similar, removed)
        work.removed.write(removed, prepare=partial(_as_result, kind=work.id_type))
        work.pairs.write(removed.unionByName(misses), prepare=partial(_as_pairs, kind=work.id_type))
        addressed.write(work.removed_keys, work.documents, removed.select(KEY))
        down_to_misses = similar.where(F.col("jaccard") >= outcome.floor_of(work.settings.threshold))
        ordered = _in_keep_order(work, _between_best(down_to_misses, best), work.levels)
        return replace(figures.measure(work, similar, ordered, copies.count(), removed, misses), uncompared=uncompared)


def _pairs(candidates: DataFrame) -> DataFrame:
    return candidates.where(F.col("kind") == RowKind.PAIR.value).select("a", "b").distinct()


def _as_result(rows: pa.RecordBatch, kind: pa.DataType) -> pa.RecordBatch:
    """Return rows of NAMED_DECISIONS as removed/ has them, with identifiers of the input's type."""
    ids = [from_bytes(rows[name], kind) for name in ("id", "kept_id")]
    return pa.RecordBatch.from_arrays([*ids, rows["jaccard"], rows["rule"]], ["id", "kept_id", "jaccard", "rule"])


def _as_pairs(rows: pa.RecordBatch, kind: pa.DataType) -> pa.RecordBatch:
    """Return the same as the result's audit has them."""
    ids = [from_bytes(rows[name], kind) for name in ("id", "kept_id")]
    columns = [rows[KEY], rows["kept_key"], *ids, rows["jaccard"], rows["rule"]]
    return pa.RecordBatch.from_arrays(columns, ["row", "kept_row", "id", "kept_id", "jaccard", "rule"])


def _search_again(work: Workspace, removed: DataFrame, search: Search) -> CandidateCounts:
    """Write and count the candidates among the documents that stay."""
    addressed.write(search.left_out, work.documents, removed.select(KEY))
    return BucketSearch.among_staying(work, search).run(work.cores)


def _similarities(work: Workspace, pairs: DataFrame, comparison: Comparison) -> DataFrame:
    """Compare pairs (a, b); return (a, b, jaccard) with the exact similarity of each."""
    groups = stars.materialise(_assign(work, pairs), comparison.sized_groups)
    for part, rows in (
        (comparison.ordinary, groups.where(F.col("size") < LONG_TEXT)),
        (comparison.long, groups.where(F.col("size") >= LONG_TEXT)),
    ):
        addressed.write(part.groups, work.documents, rows.drop("size"))
        if part.groups.rows:
            compare(work, part)
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
    ordered = _in_keep_order(work, _between_best(edges, best), search.graph)
    task = partial(_keep_or_remove, rule=work.settings.rule)
    near = stars.materialise(ordered.mapInArrow(task, spark_schema(DECISIONS)), search.near)
    removed = stars.materialise(_with_copies(work, near, best), search.removed)
    return _with_similarity(work, removed, search) if work.settings.rule == "component" else removed


def _in_keep_order(work: Workspace, edges: DataFrame, graph: GraphTables) -> DataFrame:
    """Return (root, KEY, neighbours, similarity) of each document with an edge, by components and in keep order."""
    swapped = edges.select(F.col("b").alias("a"), F.col("a").alias("b"), "jaccard")
    both = stars.materialise(edges.union(swapped), graph.edges)
    links = both.where("a < b").select(F.col("a").alias("u"), F.col("b").alias("v"))
    roots = stars.components(links, graph.star_round).select(F.col("node").alias(KEY), "root")
    neighbours = both.groupBy(F.col("a").alias(KEY)).agg(
        F.collect_list("b").alias("neighbours"), F.collect_list("jaccard").alias("similarity")
    )
    rows = neighbours.join(roots, KEY).join(ranked(work, neighbours.select(KEY), graph.ties), KEY)
    ordered = rows.repartition("root").sortWithinPartitions("root", *ORDER)
    return ordered.select("root", KEY, "neighbours", "similarity")


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


def _misses(work: Workspace, similar: DataFrame, removed: DataFrame) -> DataFrame:
    """Return the pairs a little below the threshold of which both documents stay, as NAMED_DECISIONS.

    A pair of texts stands for those of their copies that stay; the document that comes later in keep order is the one
    that would go.
    """
    threshold = work.settings.threshold
    below = similar.where((F.col("jaccard") >= outcome.floor_of(threshold)) & (F.col("jaccard") < threshold))
    fate = removed.select(F.col(KEY).alias("end"), "rule", F.col("kept_key").alias("instead"))
    for end in ("a", "b"):
        named = below.join(fate.withColumnRenamed("end", end), end, "left").where("rule is null or rule = 'exact'")
        below = named.withColumn(end, F.coalesce("instead", end)).drop("rule", "instead")
    ranks = ranked(work, below.select(F.col("a").alias(KEY)).union(below.select("b")).distinct(), work.ties_of_misses)
    rank = F.struct("rank", "row_hash", KEY)
    of_a, of_b = (ranks.select(F.col(KEY).alias(end), rank.alias(f"rank_{end}")) for end in ("a", "b"))
    rows = below.join(of_a, "a").join(of_b, "b")
    first, second = (
        F.when(F.col("rank_a") < F.col("rank_b"), F.col(one)).otherwise(F.col(other)) for one, other in ("ab", "ba")
    )
    named = _with_names(
        work, rows.select(second.alias(KEY), first.alias("kept_key"), "jaccard", F.lit(MISS).alias("rule"))
    )
    return stars.materialise(named, work.misses)


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
    return _with_names(work, near.withColumn("rule", F.lit("near")).unionByName(of_copies))


def _with_names(work: Workspace, rows: DataFrame) -> DataFrame:
    """Add the identifiers' bytes of both documents, id and kept_id, to rows (KEY, kept_key, ...)."""
    names = work.signatures.read(work.spark, [KEY, "id"])
    kept_names = names.select(F.col(KEY).alias("kept_key"), F.col("id").alias("kept_id"))
    return rows.join(names, KEY).join(kept_names, "kept_key")


def _with_similarity(work: Workspace, removed: DataFrame, search: Search) -> DataFrame:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    low, high = F.least(KEY, "kept_key").alias("a"), F.greatest(KEY, "kept_key").alias("b")
    missing = removed.where(F.isnan("jaccard")).select(low, high).distinct()
    if missing.isEmpty():
        return removed
    computed = _similarities(work, missing, search.unjoined).withColumnRenamed("jaccard", "computed")
    joined = removed.withColumn("a", low).withColumn("b", high).join(computed, ["a", "b"], "left")
    jaccard = F.when(F.isnan("jaccard"), F.col("computed")).otherwise(F.col("jaccard"))
    return stars.materialise(joined.withColumn("jaccard", jaccard).drop("a", "b", "computed"), search.completed)
