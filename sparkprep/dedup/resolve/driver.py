"""The pair stages with NumPy on the driver, for as many pairs as its budget allows: compare, decide, write removed/.

`on_cluster.py` does the same in DataFrames where there are more; both give the same answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from sparkprep.dedup import candidates, masks
from sparkprep.dedup.candidates import CandidateCounts
from sparkprep.dedup.keep import RANK, keep_order
from sparkprep.dedup.kernels import clusters
from sparkprep.dedup.kernels.components import rows_missing, unique_rows
from sparkprep.dedup.report import metrics
from sparkprep.dedup.resolve import grouping, outcome
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.verify import GROUP_SHINGLES, compare
from sparkprep.dedup.workspace import Run
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.reading import LONG_TEXT
from sparkprep.spark import tables

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

NO_PAIRS = np.empty((0, 2), np.int64)
MOST_TURNS = 10
"""Searches at most. Two or three are usual where buckets are oversized, one where they are not."""


@dataclass
class Graph:
    """What is known of the pairs so far."""

    compared: I64
    """(n, 2) keys of the distinct candidate pairs, the lesser first"""
    edges: I64
    """(m, 2) those at or above the threshold"""
    jaccard: F64
    """of the edges"""
    copies: I64
    """(c, 2) keys of documents with the same normalised text"""


def resolve(run: Run, found: CandidateCounts) -> Outcome:
    """Verify the candidates, decide who stays, write removed/ and the mask of the removed documents.

    Where buckets were too large to be searched fully, the documents that stay are searched again, and so on until that
    finds nothing: there are fewer of them each time.
    """
    with run.progress.stage("verify") as stage:
        copies = unique_rows(of_kind(run.work("candidates"), candidates.EXACT))
        graph = Graph(NO_PAIRS, NO_PAIRS, np.empty(0), copies)
        add_pairs(run, graph, "candidates", "verified")
        stage.documents = len(np.unique(graph.compared))
    with run.progress.stage("decide") as stage:
        removed = decide(run, graph)
        for turn in range(1, MOST_TURNS):
            fits = len(graph.compared) <= run.settings.driver_budget
            if not (found.hot_buckets and fits):
                break
            found = search_again(run, removed, f"candidates-{turn}")
            if not add_pairs(run, graph, f"candidates-{turn}", f"verified-{turn}"):
                break
            removed = decide(run, graph)
        stage.documents = len(np.unique(np.concatenate([graph.edges, copies])))
        tables.write(run.result("removed", "part-00000.snappy.parquet"), removed.select(outcome.REMOVED_COLUMNS))
        masks.write(run.work("removed.mask"), np.asarray(removed[KEY]))
    heads, clusters_sample, pairs_sample = outcome.samples(removed)
    exact = np.asarray(pc.equal(removed["rule"], "exact"))
    return Outcome(
        pairs=len(graph.compared),
        verified=len(graph.edges),
        copies=len(copies),
        exact=int(exact.sum()),
        near=int((~exact).sum()),
        histogram=metrics.histogram(graph.jaccard, run.settings.threshold),
        cluster_sizes=outcome.cluster_sizes(np.asarray(removed["kept_key"])),
        cluster_heads=heads,
        clusters=clusters_sample,
        pairs_sample=pairs_sample,
    )


def add_pairs(run: Run, graph: Graph, source: str, name: str) -> bool:
    """Compare the pairs of a candidates folder that are new; whether any reached the threshold."""
    pairs = unique_rows(of_kind(run.work(source), candidates.PAIR))
    new = rows_missing(pairs, graph.compared)
    edges, jaccard = similar(run, new, run.settings.threshold, name)
    graph.compared = np.concatenate([graph.compared, new])
    graph.edges = np.concatenate([graph.edges, edges])
    graph.jaccard = np.concatenate([graph.jaccard, jaccard])
    return len(edges) > 0


def search_again(run: Run, removed: pa.Table, name: str) -> CandidateCounts:
    """The candidates among the documents that stay."""
    masks.write(run.work(name, "removed.mask"), np.asarray(removed[KEY]))
    staying = masks.outside(run.signatures, masks.read(run.spark, run.work(name, "removed.mask")))
    left = run.summary.rows - removed.num_rows
    return candidates.write_candidates(staying, run.settings, run.work(name), left, run.cores)


def decide(run: Run, graph: Graph) -> pa.Table:
    """Apply the rule: (KEY, kept_key, id, kept_id, jaccard, rule) of each removed document, in keep order."""
    nodes = np.unique(np.concatenate([graph.edges, graph.copies]))
    keys, ids = ranked(run.work("signatures"), nodes, run.settings)
    by_key = np.argsort(keys)
    rank = by_key[np.searchsorted(keys, np.concatenate([graph.copies, graph.edges]), sorter=by_key)]
    copies, edges = rank[: len(graph.copies)], rank[len(graph.copies) :]
    rule = clusters.leader if run.settings.rule == "leader" else clusters.component
    decisions = rule(len(keys), copies, edges[:, 0], edges[:, 1], graph.jaccard)
    removed = decisions_table(decisions, keys, ids)
    unknown = np.isnan(decisions.jaccard)
    # Rule `component`: ends of chains that no edge joins.
    return _fill_in(run, removed, unknown) if unknown.any() else removed


def of_kind(folder: str, kind: int) -> I64:
    """The (a, b) rows of that kind in the candidates tables below `folder`, (n, 2)."""
    parts = [
        np.stack([np.asarray(batch["a"]), np.asarray(batch["b"])], axis=1)
        for path in candidates.written(folder)
        for batch in tables.batches(path, ["a", "b"], ds.field("kind") == kind)
    ]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty((0, 2), np.int64)


def look_up(path: str, keys: I64, names: Sequence[str]) -> list[I64]:
    """Columns of the signature rows of these sorted keys."""
    found = [np.zeros(len(keys), np.int64) for _ in names]
    for batch in tables.batches(path, [KEY, *names]):
        key = np.asarray(batch[KEY])
        place = np.searchsorted(keys, key)
        place[place == len(keys)] = 0
        hit = np.flatnonzero(keys[place] == key) if len(keys) else np.empty(0, np.int64)
        for column, name in zip(found, names, strict=True):
            column[place[hit]] = np.asarray(batch[name])[hit]
    return found


def assign(pairs: I64, signatures: str) -> tuple[pa.Table, pa.Table]:
    """The groups in which distinct pairs are compared: (those of ordinary texts, those with a text of LONG_TEXT)."""
    nodes = np.unique(pairs)
    shingles, size = look_up(signatures, nodes, ["shingles", "bytes"])
    table = grouping.assign(pairs, nodes, shingles, GROUP_SHINGLES)
    group = np.asarray(table["group"])
    long_nodes = nodes[size >= LONG_TEXT]
    if not len(long_nodes):
        return table, table.slice(0, 0)
    with_long = np.isin(group, np.unique(group[np.isin(np.asarray(table[KEY]), long_nodes)]))
    return table.filter(pa.array(~with_long)), table.filter(pa.array(with_long))


def similar(run: Run, distinct: I64, threshold: float, name: str) -> tuple[I64, F64]:
    """The distinct pairs (n, 2) whose exact similarity reaches the threshold, and that similarity."""
    if not len(distinct):
        return np.empty((0, 2), np.int64), np.empty(0)
    for part, table in zip(("ordinary", "long"), assign(distinct, run.work("signatures")), strict=True):
        if table.num_rows:
            tables.write(run.work(name, f"{part}.groups"), table)
            compare(run, run.work(name, part), table.num_rows, threshold, alone=part == "long")
    found = [tables.columns(run.work(name, part), ["a", "b", "jaccard"]) for part in ("ordinary", "long")]
    a, b, jaccard = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return np.stack([a, b], axis=1).astype(np.int64), jaccard.astype(np.float64)


def _fill_in(run: Run, removed: pa.Table, unknown: npt.NDArray[np.bool_]) -> pa.Table:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    ends = np.sort(np.stack([np.asarray(removed[KEY]), np.asarray(removed["kept_key"])], axis=1), axis=1)
    name = f"filled_in-{uuid.uuid4().hex[:8]}"
    edges, found = similar(run, unique_rows(ends[unknown]), 0.0, name)
    known = {(a, b): j for (a, b), j in zip(edges.tolist(), found.tolist(), strict=True)}
    jaccard = np.asarray(removed["jaccard"]).copy()
    jaccard[unknown] = [known[a, b] for a, b in ends[unknown].tolist()]
    return removed.set_column(removed.schema.get_field_index("jaccard"), "jaccard", pa.array(jaccard))


def ranked(signatures: str, nodes: I64, settings: Settings) -> tuple[I64, pa.Array]:
    """These documents in keep order: their keys, and their identifiers as the input has them."""
    parts = []
    for batch in tables.batches(signatures, None):
        hit = np.isin(np.asarray(batch[KEY]), nodes, assume_unique=True)
        parts.append(batch.select([c for c in RANK if c in batch.schema.names]).filter(pa.array(hit)))
    if not parts:
        return np.empty(0, np.int64), pa.array([])
    rows = pa.Table.from_batches(parts).combine_chunks()
    order = pc.sort_indices(rows, sort_keys=[(*key, "at_end") for key in keep_order(settings)])
    rows = rows.take(order)
    return np.asarray(rows[KEY]), rows["id"].combine_chunks()


def decisions_table(decisions: clusters.Decisions, ranked: I64, ids: pa.Array) -> pa.Table:
    """(KEY, kept_key, id, kept_id, jaccard, rule) of each removed document, in keep order."""
    return pa.table(
        {
            KEY: ranked[decisions.removed],
            "kept_key": ranked[decisions.kept],
            "id": ids.take(pa.array(decisions.removed)),
            "kept_id": ids.take(pa.array(decisions.kept)),
            "jaccard": decisions.jaccard,
            "rule": pa.DictionaryArray.from_arrays(
                np.where(decisions.exact, 0, 1).astype(np.int8), pa.array(["exact", "near"])
            ).cast(pa.string()),
        }
    )
