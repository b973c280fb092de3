"""The pair stages with NumPy on the driver, for as many pairs as its budget allows: compare, decide, write removed/.

`cluster.py` does the same in DataFrames where there are more: both remove the same documents for the same ones, and
come to the same counts. Only the examples that the report shows may be others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.columns import KEYS, RowKind
from sparkprep.dedup.keep import ORDER
from sparkprep.dedup.kernels import clusters
from sparkprep.dedup.kernels.arrays import F64, I64, distinct
from sparkprep.dedup.kernels.components import rows_missing, unique_rows
from sparkprep.dedup.resolve import grouping, outcome
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.ties import with_row_hashes
from sparkprep.dedup.verify import GROUP_SHINGLES, LONG_TEXT, compare
from sparkprep.dedup.workspace import MOST_SEARCHES, CandidateTables, Comparison, Search, Workspace
from sparkprep.documents import addressed
from sparkprep.documents.keys import KEY
from sparkprep.spark.tables import Table

NO_PAIRS = np.empty((0, 2), np.int64)


@dataclass
class Graph:
    """The pairs compared so far, and the edges among them."""

    compared: I64
    """(n, 2) keys of the distinct candidate pairs, the lesser first"""
    edges: I64
    """(m, 2) those at or above the threshold"""
    jaccard: F64
    """of the edges"""
    copies: I64
    """(c, 2) keys of documents with the same normalised text"""


def resolve(work: Workspace, counts: CandidateCounts) -> Outcome | None:
    """Verify the candidates of search 0, decide who stays, write removed/ and the keys of the removed documents.

    Where buckets were too large to be searched fully, the documents that stay are searched again, and so on until that
    gives no new pair: there are fewer of them each time. Returns None, with no result written, as soon as the pairs of
    all searches are more than the driver's budget.
    """
    budget = work.settings.driver_budget
    if counts.pairs + counts.exact > budget:
        return None
    search, uncompared = work.search("driver", 0), counts.uncompared_pairs
    with work.progress.stage("verify") as stage:
        copies = unique_rows(_of_kind(work.candidates, RowKind.EXACT))
        graph = Graph(NO_PAIRS, NO_PAIRS, np.empty(0), copies)
        _add_edges(work, graph, unique_rows(_of_kind(work.candidates, RowKind.PAIR)), search)
        stage.documents = len(distinct(graph.compared))
    with work.progress.stage("decide") as stage:
        removed = _decide(work, graph, search)
        for number in range(1, MOST_SEARCHES):
            if not counts.hot_buckets:
                break
            search = work.search("driver", number)
            counts = _search_again(work, removed, search)
            uncompared += counts.uncompared_pairs
            if counts.pairs > budget:  # repeats included: too many even to be read
                return None
            new = rows_missing(unique_rows(_of_kind(search.candidates, RowKind.PAIR)), graph.compared)
            if len(graph.compared) + len(new) > budget:
                return None
            if not _add_edges(work, graph, new, search):
                break
            removed = _decide(work, graph, search)
        stage.documents = len(distinct(np.concatenate([graph.edges, copies])))
        work.removed.save(outcome.with_ids(removed, work.id_type).select(work.removed.schema.names))
        addressed.save(work.removed_keys, work.documents, removed.select(KEYS.names))
    heads, clusters_sample, pairs_sample = outcome.samples(removed)
    exact = np.asarray(pc.equal(removed["rule"], "exact"))
    return Outcome(
        pairs=len(graph.compared),
        uncompared=uncompared,
        verified=len(graph.edges),
        copies=len(copies),
        exact=int(exact.sum()),
        near=int((~exact).sum()),
        histogram=outcome.histogram(graph.jaccard, work.settings.threshold),
        cluster_sizes=outcome.cluster_sizes(np.asarray(removed["kept_key"])),
        cluster_heads=heads,
        clusters=outcome.with_ids(clusters_sample, work.id_type),
        pairs_sample=outcome.with_ids(pairs_sample, work.id_type),
    )


def _add_edges(work: Workspace, graph: Graph, pairs: I64, search: Search) -> bool:
    """Compare pairs, (n, 2) distinct and none compared yet, in a search's tables; return whether an edge is new."""
    edges, jaccard = _similar(work, pairs, work.settings.threshold, search.comparison)
    graph.compared = np.concatenate([graph.compared, pairs])
    graph.edges = np.concatenate([graph.edges, edges])
    graph.jaccard = np.concatenate([graph.jaccard, jaccard])
    return len(edges) > 0


def _search_again(work: Workspace, removed: pa.Table, search: Search) -> CandidateCounts:
    """Write and count the candidates among the documents that stay."""
    addressed.save(search.left_out, work.documents, removed.select(KEYS.names))
    return BucketSearch.among_staying(work, search).run(work.cores)


def _decide(work: Workspace, graph: Graph, search: Search) -> pa.Table:
    """Apply the rule; return (KEY, kept_key, id, kept_id, jaccard, rule) of each removed document, in keep order."""
    nodes = distinct(np.concatenate([graph.edges, graph.copies]))
    keys, ids = _rank(work, nodes, search)
    by_key = np.argsort(keys)
    rank = by_key[np.searchsorted(keys, np.concatenate([graph.copies, graph.edges]), sorter=by_key)]
    copies, edges = rank[: len(graph.copies)], rank[len(graph.copies) :]
    rule = clusters.leader if work.settings.rule == "leader" else clusters.component
    decisions = rule(len(keys), copies, edges[:, 0], edges[:, 1], graph.jaccard)
    removed = _decisions_table(decisions, keys, ids)
    unjoined = np.isnan(decisions.jaccard)
    # Rule `component`: ends of chains that no edge joins.
    return _with_similarity(work, removed, unjoined, search) if unjoined.any() else removed


def _of_kind(candidates: CandidateTables, kind: RowKind) -> I64:
    """Return the (a, b) of the candidates rows of that kind, (n, 2)."""
    parts = [
        np.stack([np.asarray(batch["a"]), np.asarray(batch["b"])], axis=1)
        for table in candidates.all
        for batch in table.batches(None, pc.field("kind") == kind.value)
    ]
    return np.concatenate(parts).astype(np.int64) if parts else NO_PAIRS


def _look_up(signatures: Table, keys: I64, names: Sequence[str]) -> list[I64]:
    """Return columns of the signature rows of these sorted keys, each of shape (keys,)."""
    columns = [np.zeros(len(keys), np.int64) for _ in names]
    for batch in signatures.batches([KEY, *names]):
        key = np.asarray(batch[KEY])
        place = np.searchsorted(keys, key)
        place[place == len(keys)] = 0
        hit = np.flatnonzero(keys[place] == key) if len(keys) else np.empty(0, np.int64)
        for column, name in zip(columns, names, strict=True):
            column[place[hit]] = np.asarray(batch[name])[hit]
    return columns


def _assign(pairs: I64, signatures: Table) -> tuple[pa.Table, pa.Table]:
    """Return the groups that distinct pairs are compared in: (of ordinary texts, of those with a text of LONG_TEXT)."""
    nodes = distinct(pairs)
    shingles, size = _look_up(signatures, nodes, ["shingles", "bytes"])
    table = grouping.assign(pairs, nodes, shingles, GROUP_SHINGLES)
    group = np.asarray(table["group"])
    long_nodes = nodes[size >= LONG_TEXT]
    if not len(long_nodes):
        return table, table.slice(0, 0)
    with_long = np.isin(group, np.unique(group[np.isin(np.asarray(table[KEY]), long_nodes)]))
    return table.filter(pa.array(~with_long)), table.filter(pa.array(with_long))


def _similar(work: Workspace, pairs: I64, threshold: float, comparison: Comparison) -> tuple[I64, F64]:
    """Compare distinct pairs (n, 2); return those whose exact similarity reaches the threshold, and that similarity."""
    if not len(pairs):
        return NO_PAIRS, np.empty(0)
    parts = (comparison.ordinary, comparison.long)
    for part, groups in zip(parts, _assign(pairs, work.signatures), strict=True):
        if groups.num_rows:
            addressed.save(part.groups, work.documents, groups)
            compare(work, part, threshold)
    columns = [part.pairs.columns(["a", "b", "jaccard"]) for part in parts]
    a, b, jaccard = (np.concatenate(column) for column in zip(*columns, strict=True))
    return np.stack([a, b], axis=1).astype(np.int64), jaccard.astype(np.float64)


def _with_similarity(work: Workspace, removed: pa.Table, unjoined: npt.NDArray[np.bool_], search: Search) -> pa.Table:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    ends = np.sort(np.stack([np.asarray(removed[KEY]), np.asarray(removed["kept_key"])], axis=1), axis=1)
    pairs, computed = _similar(work, unique_rows(ends[unjoined]), 0.0, search.unjoined)
    of_pair = {(a, b): j for (a, b), j in zip(pairs.tolist(), computed.tolist(), strict=True)}
    jaccard = np.asarray(removed["jaccard"]).copy()
    jaccard[unjoined] = [of_pair[a, b] for a, b in ends[unjoined].tolist()]
    return removed.set_column(removed.schema.get_field_index("jaccard"), "jaccard", pa.array(jaccard))


def _rank(work: Workspace, nodes: I64, search: Search) -> tuple[I64, pa.Array]:
    """Bring these documents in keep order; return their keys, and their identifiers' bytes."""
    parts = []
    for batch in work.signatures.batches([KEY, "id", "rank"]):
        hit = addressed.is_among(np.asarray(batch[KEY]), nodes)
        parts.append(batch.filter(pa.array(hit)))
    schema = pa.schema([work.signatures.schema.field(name) for name in (KEY, "id", "rank")])
    rows = with_row_hashes(work, pa.Table.from_batches(parts, schema), search.ties)
    rows = rows.sort_by([(name, "ascending") for name in ORDER])
    return np.asarray(rows[KEY]), rows["id"].combine_chunks()


def _decisions_table(decisions: clusters.Decisions, keys: I64, ids: pa.Array) -> pa.Table:
    """Return (KEY, kept_key, id, kept_id, jaccard, rule) of each removed document, in keep order."""
    return pa.table(
        {
            KEY: keys[decisions.removed],
            "kept_key": keys[decisions.kept],
            "id": ids.take(pa.array(decisions.removed)),
            "kept_id": ids.take(pa.array(decisions.kept)),
            "jaccard": decisions.jaccard,
            "rule": pa.DictionaryArray.from_arrays(
                np.where(decisions.exact, 0, 1).astype(np.int8), pa.array(["exact", "near"])
            ).cast(pa.string()),
        }
    )
