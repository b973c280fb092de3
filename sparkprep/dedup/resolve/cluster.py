"""The pair stages in DataFrames, for more pairs than the driver's budget allows: compare, decide, write removed/.

`driver.py` does the same in NumPy where the pairs are fewer: both remove the same documents for the same ones, and come
to the same counts. Only the examples that the report shows may be others, being drawn here by hash.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from sparkprep.dedup.candidates import BucketSearch, CandidateCounts, copies_among
from sparkprep.dedup.columns import DECISIONS, MISS, RowKind
from sparkprep.dedup.keep import ORDER
from sparkprep.dedup.resolve import figures, outcome, stars, uncompared
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.resolve.rounds import Rounds
from sparkprep.dedup.search_tables import CandidateTables, Comparison, GraphTables, Search
from sparkprep.dedup.ties import ranked
from sparkprep.dedup.verify import GROUP_SHINGLES, LONG_TEXT, compare
from sparkprep.dedup.workspace import MOST_SEARCHES, Workspace
from sparkprep.documents import addressed
from sparkprep.documents.keys import KEY
from sparkprep.spark.tables import read_all, spark_schema
from sparkprep.spark.tasks import run_tasks


def resolve(work: Workspace, counts: Sequence[CandidateCounts]) -> list[Outcome]:
    """Verify the candidates of search 0, decide who stays, write removed/ and the keys of the removed documents.

    counts: of each of the run's thresholds, for which the outcomes are.
    """
    compared = _Compared(work)
    steps = [_decided(view, each) for view, each in zip(work.each, counts, strict=True)]
    rounds = Rounds(steps, compared.answer)
    with work.progress.stage("verify"):
        rounds.go_on()
    with work.progress.stage("decide"):
        while rounds.go_on():
            pass
        return rounds.decided()


def _decided(work: Workspace, counts: CandidateCounts) -> Generator[DataFrame, DataFrame, Outcome]:
    """Decide for one threshold, yielding pairs to be compared, of which it has yielded none before.

    Documents that stay are searched again where buckets were oversized, as in `driver`.
    """
    search, found, searches = work.search("cluster", 0), work.candidates, 1
    candidates = read_all(work.spark, list(found.all))
    pairs = stars.materialise(_pairs(candidates), search.pairs)
    copies = stars.materialise(copies_among(candidates), work.copies)
    similar = yield pairs
    threshold = F.lit(work.settings.threshold)
    best = _best_of_copies(work, copies)
    removed = yield from _decide(work, similar.where(F.col("jaccard") >= threshold), best, search)
    further = range(1, MOST_SEARCHES) if counts.hot_buckets else range(0)
    for number in further:
        search = work.search("cluster", number)
        counts = _search_again(work, removed, search)
        found, searches = search.candidates, number + 1
        new = stars.materialise(_pairs(read_all(work.spark, list(found.all))).exceptAll(pairs), search.pairs)
        new_similar = yield new
        pairs, similar = pairs.union(new), similar.union(new_similar)
        if new_similar.where(F.col("jaccard") >= threshold).isEmpty():
            break
        removed = yield from _decide(work, similar.where(F.col("jaccard") >= threshold), best, search)
    else:
        outcome.warn_unsettled(work, len(further))
    misses = _misses(work, similar, removed)
    form = {"id_type": work.id_type, "index": work.index}
    work.removed.write(removed, prepare=partial(outcome.as_result, **form))
    work.pairs.write(removed.unionByName(misses), prepare=partial(outcome.as_pairs, **form))
    addressed.write(work.removed_keys, work.documents, removed)
    down_to_misses = similar.where(F.col("jaccard") >= outcome.floor_of(work.settings.threshold))
    ordered = _in_keep_order(work, _between_best(work, down_to_misses, best), work.levels)
    measured = figures.measure(work, similar, ordered, copies.count(), removed, misses)
    graphs = [*(work.search("cluster", number).graph for number in range(searches)), work.levels]
    return replace(
        measured,
        uncompared=_uncompared(work, counts, found, pairs, removed),
        place="cluster",
        searches=searches,
        component_rounds=tuple(graph.rounds for graph in graphs if graph.rounds is not None),
    )


def _uncompared(
    work: Workspace, last: CandidateCounts, candidates: CandidateTables, pairs: DataFrame, removed: DataFrame
) -> int:
    """Return the bound on pairs of kept documents that were not compared, as in `driver`."""
    if not last.uncompared_pairs:
        return 0
    staying = uncompared.staying(candidates, lambda piece: addressed.keys_of(work.removed_keys, piece))
    stays = uncompared.walked(candidates).read(work.spark).join(removed.select(KEY), KEY, "left_anti")
    compared = pairs
    for end in ("a", "b"):
        compared = compared.join(stays.select(F.col(KEY).alias(end)), end, "left_semi")
    return uncompared.bound(last, uncompared.most_pairs(staying, work.standing.own), compared.count())


class _Compared:
    """The comparisons of a run, and, where it has several thresholds, what they came to: no pair is compared twice."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self._similar: DataFrame | None = None
        self._comparisons = 0

    def answer(self, asked: Sequence[DataFrame]) -> list[DataFrame]:
        """Return the pairs (a, b) that each threshold asks for as (a, b, jaccard)."""
        comparison = self._work.comparison("cluster", self._comparisons)
        self._comparisons += 1
        if not self._work.thresholds:
            return [_similarities(self._work, asked[0], comparison)]
        union = asked[0]
        for each in asked[1:]:
            union = union.union(each)
        union = union.distinct()
        known = self._similar
        new = stars.materialise(
            union if known is None else union.join(known, ["a", "b"], "left_anti"), comparison.asked
        )
        similar = _similarities(self._work, new, comparison)
        self._similar = similar = similar if known is None else known.union(similar)
        return [
            stars.materialise(each.join(similar, ["a", "b"]), comparison.answer(number))
            for number, each in enumerate(asked)
        ]


def _pairs(candidates: DataFrame) -> DataFrame:
    return candidates.where(F.col("kind") == RowKind.PAIR.value).select("a", "b").distinct()


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


def _between_best(work: Workspace, edges: DataFrame, best: DataFrame) -> DataFrame:
    """Return the edges, which join one of the exact copies of a text, as edges between those first in the keep order.

    With the edges by which an index removed documents that are such.
    """
    for end in ("a", "b"):
        renamed = best.select(F.col(KEY).alias(end), F.col("best").alias(f"best_{end}"))
        edges = edges.join(renamed, end, "left").withColumn(end, F.coalesce(f"best_{end}", end)).drop(f"best_{end}")
    edges = edges.select("a", "b", "jaccard")
    index = work.index
    if index is None or not index.removed_pieces:
        return edges
    before = run_tasks(work.spark, index.removed_pieces, index.decisions, spark_schema(DECISIONS))
    ends = before.join(best.select(F.col("best").alias(KEY)).distinct(), KEY)
    return edges.unionByName(ends.select(F.col(KEY).alias("a"), F.col("kept_key").alias("b"), "jaccard"))


def _decide(
    work: Workspace, edges: DataFrame, best: DataFrame, search: Search
) -> Generator[DataFrame, DataFrame, DataFrame]:
    """Apply the rule component by component; return the rows of `Search.removed`."""
    ordered = _in_keep_order(work, _between_best(work, edges, best), search.graph)
    task = partial(_keep_or_remove, rule=work.settings.rule)
    near = stars.materialise(ordered.mapInArrow(task, spark_schema(DECISIONS)), search.near)
    removed = stars.materialise(_with_copies(work, near, best), search.removed)
    return (yield from _with_similarity(removed, search)) if work.settings.rule == "component" else removed


def _in_keep_order(work: Workspace, edges: DataFrame, graph: GraphTables) -> DataFrame:
    """Return (root, KEY, neighbours, similarity) of each document with an edge, by components and in keep order."""
    swapped = edges.select(F.col("b").alias("a"), F.col("a").alias("b"), "jaccard")
    both = stars.materialise(edges.union(swapped), graph.edges)
    links = both.where("a < b").select(F.col("a").alias("u"), F.col("b").alias("v"))
    found = stars.components(links, graph.star_round)
    graph.rounds = found.rounds
    roots = found.roots.select(F.col("node").alias(KEY), "root")
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
        for of, key, neighbours, similarity in figures.rows_of(batch):
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
    decided = near.withColumn("rule", F.lit("near")).unionByName(of_copies)
    return _with_names(work, decided.where(F.col(KEY) < work.standing.own))


def _with_names(work: Workspace, rows: DataFrame) -> DataFrame:
    """Add the identifiers' bytes of both documents, id and kept_id, to rows (KEY, kept_key, ...)."""
    names = work.signatures.read(work.spark, [KEY, "id"])
    kept_names = names.select(F.col(KEY).alias("kept_key"), F.col("id").alias("kept_id"))
    return rows.join(names, KEY).join(kept_names, "kept_key")


def _with_similarity(removed: DataFrame, search: Search) -> Generator[DataFrame, DataFrame, DataFrame]:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    low, high = F.least(KEY, "kept_key").alias("a"), F.greatest(KEY, "kept_key").alias("b")
    missing = removed.where(F.isnan("jaccard")).select(low, high).distinct()
    if missing.isEmpty():
        return removed
    computed = (yield missing).withColumnRenamed("jaccard", "computed")
    joined = removed.withColumn("a", low).withColumn("b", high).join(computed, ["a", "b"], "left")
    jaccard = F.when(F.isnan("jaccard"), F.col("computed")).otherwise(F.col("jaccard"))
    return stars.materialise(joined.withColumn("jaccard", jaccard).drop("a", "b", "computed"), search.completed)
