"""What the exact check and the keep rule came to: the figures and samples that the report needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.columns import KEPT_CRAWL
from sparkprep.dedup.index.indexed import IndexedDocuments
from sparkprep.dedup.kernels.arrays import F64, I64
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.keys import KEY
from sparkprep.errors import argument
from sparkprep.io.arrow import from_bytes

CLUSTERS, MEMBERS, PAIRS, COPIES, MISSES, FLOWS = 10, 10, 10, 2, 8, 30
"""Sizes of samples: largest clusters, removed documents shown of each, pairs, copies, near misses, ways of sources."""
BINS = 1000
"""Of the histogram of similarities, between 0 and 1."""
MARGIN = 0.1
"""How far below the threshold a pair is a near miss."""


@dataclass(frozen=True)
class Flow:
    """Documents of one source that went because of documents of another, or of the same."""

    source: str | None
    kept_source: str | None
    documents: int


@dataclass(frozen=True)
class Outcome:
    """Counts over all removed documents, and small samples of them.

    clusters, pairs_sample and misses_sample have the columns KEY, kept_key, id, kept_id, jaccard, rule; a cluster's
    rows lie together and those of the largest cluster come first. Of a near miss, both documents stay.
    """

    pairs: int
    """distinct candidate pairs, all of them compared"""
    verified: int
    """of these, the pairs at or above the threshold"""
    misses: int
    """pairs less than MARGIN below the threshold of which both documents stay"""
    copies: int
    """documents that repeat another one's normalised text"""
    exact: int
    near: int
    """documents removed by either rule"""
    histogram: I64
    """of all similarities, as `histogram` has it"""
    goes_at: dict[float, int]
    """for each of `thresholds`, how many documents would go at it: exact copies, and near ones by the keep rule anew"""
    cluster_sizes: dict[int, int]
    """size of a kept document with those removed for it -> how many"""
    cluster_heads: list[int]
    """sizes of the largest clusters, those in `clusters`"""
    flows: list[Flow]
    """the FLOWS largest; none where the input has no source"""
    clusters: pa.Table
    pairs_sample: pa.Table
    misses_sample: pa.Table
    uncompared: int = 0
    """pairs of kept documents in oversized buckets that were not compared, at most (`uncompared.bound`)"""
    place: str = "driver"
    """where it was decided, ``driver`` or ``cluster``"""
    searches: int = 1
    """of the buckets, the first and the further ones of oversized buckets"""
    component_rounds: tuple[int, ...] = ()
    """rounds of large-star and small-star until each graph's components stood, in the order of the graphs"""

    @property
    def removed(self) -> int:
        return self.exact + self.near


def floor_of(threshold: float) -> float:
    """Return the similarity from which a pair below the threshold is a near miss."""
    return max(0.0, round(threshold - MARGIN, 12))


def thresholds(threshold: float) -> list[float]:
    """Return the thresholds to compare a run's own with, itself among them: every 0.05 from `floor_of` to 1."""
    floor = floor_of(threshold)
    steps = [step / 20 for step in range(math.ceil(floor * 20 - 1e-9), 21)]
    return sorted({threshold, *(step for step in steps if step > 0 and abs(step - threshold) > 1e-9)})


def bin_edges(threshold: float) -> F64:
    """Return the edges of the histogram, float64 (bins + 1): BINS equal bins from 0 on.

    They are cut at the threshold too, and where near misses begin. The last bin holds what is 1.
    """
    # Quotients, as similarities are: a pair of exactly 0.81 lies in the bin that begins there.
    return np.unique(np.append(np.arange(BINS + 2) / BINS, [threshold, floor_of(threshold)]))


def histogram(jaccard: F64, threshold: float) -> I64:
    """Count similarities, float64 (n,), between the `bin_edges`."""
    edges = bin_edges(threshold)
    place = np.searchsorted(edges, jaccard, side="right") - 1
    return np.bincount(place, minlength=len(edges) - 1).astype(np.int64)


def at_or_above(counts: I64, threshold: float, similarity: float) -> int:
    """Return how many of the similarities in a threshold's histogram reach one of its `bin_edges`."""
    return int(counts[np.searchsorted(bin_edges(threshold), similarity) :].sum())


def warn_unsettled(work: Workspace, searches: int) -> None:
    """Warn that the last of so many further searches of oversized buckets found similar pairs, as all before it."""
    if searches:
        work.warnings.append(
            f"after {searches} further searches oversized buckets still gave similar pairs: a second run, on the kept "
            f"documents, may remove more; a higher {argument('bucket_cap')} compares more of them at once"
        )


def samples(removed: pa.Table) -> tuple[list[int], pa.Table, pa.Table]:
    """Return (cluster_heads, clusters, pairs_sample) of a whole table of removed documents in keep order."""
    kept = np.asarray(removed["kept_key"])
    heads, first, sizes = np.unique(kept, return_index=True, return_counts=True)
    largest = np.lexsort((first, -sizes))[:CLUSTERS]
    rows = [np.flatnonzero(kept == heads[i])[:MEMBERS] for i in largest]
    jaccard = np.asarray(removed["jaccard"])
    near = np.flatnonzero(jaccard < 1.0)
    near = near[np.lexsort((near, jaccard[near]))]
    exact = np.flatnonzero(np.asarray(pc.equal(removed["rule"], "exact")))[:COPIES]
    no_rows = np.empty(0, np.int64)
    heads_sizes = (sizes[largest] + 1).tolist()
    clusters = removed.take(pa.array(np.concatenate([no_rows, *rows])))
    pairs = pa.concat_tables([spread(removed.take(pa.array(near)), PAIRS), removed.take(pa.array(exact))])
    return heads_sizes, clusters, pairs


def spread(rows: pa.Table, most: int) -> pa.Table:
    """Return up to so many rows of a table, evenly spread, the first and the last among them."""
    places = np.unique(np.linspace(0, max(0, len(rows) - 1), most).round().astype(int))[: len(rows)]
    return rows.take(pa.array(places))


def with_ids(removed: pa.Table, kind: pa.DataType) -> pa.Table:
    """Return rows whose id and kept_id are bytes with identifiers of the input's type."""
    for name in ("id", "kept_id"):
        ids = from_bytes(removed[name].combine_chunks(), kind)
        removed = removed.set_column(removed.schema.get_field_index(name), pa.field(name, kind), ids)
    return removed


def as_result(rows: pa.RecordBatch, id_type: pa.DataType, index: IndexedDocuments | None) -> pa.RecordBatch:
    """Return rows of NAMED_DECISIONS as removed/ has them, with identifiers of the input's type."""
    return pa.RecordBatch.from_pydict(_result_columns(rows, id_type, index))


def as_pairs(rows: pa.RecordBatch, id_type: pa.DataType, index: IndexedDocuments | None) -> pa.RecordBatch:
    """Return the same as the result's audit has them."""
    kept = np.asarray(rows["kept_key"])
    if index is not None:
        kept = np.where(kept < index.own, kept, index.own - 1 - kept)
    ends = {"row": rows[KEY], "kept_row": pa.array(kept)}
    return pa.RecordBatch.from_pydict({**ends, **_result_columns(rows, id_type, index)})


def _result_columns(rows: pa.RecordBatch, id_type: pa.DataType, index: IndexedDocuments | None) -> dict[str, pa.Array]:
    ids = {name: from_bytes(rows[name], id_type) for name in ("id", "kept_id")}
    crawls = {} if index is None else {KEPT_CRAWL: index.crawls_of(np.asarray(rows["kept_key"]))}
    return {**ids, "jaccard": rows["jaccard"], "rule": rows["rule"], **crawls}


def cluster_sizes(kept: npt.NDArray[np.int64]) -> dict[int, int]:
    """Count clusters by size, from the kept key of each removed document."""
    sizes, number = np.unique(np.unique(kept, return_counts=True)[1] + 1, return_counts=True)
    return dict(zip(sizes.tolist(), number.tolist(), strict=True))


def largest_flows(counted: Sequence[tuple[str | None, str | None, int]]) -> list[Flow]:
    """Return the FLOWS largest of (source, kept source, documents), the same whatever their order."""
    ordered = sorted(counted, key=lambda flow: (-flow[2], flow[0] or "", flow[1] or ""))
    return [Flow(*flow) for flow in ordered[:FLOWS]]
