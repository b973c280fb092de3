"""What the exact check and the keep rule came to: the figures and samples that the report needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column

from sparkprep.io.arrow import from_bytes

CLUSTERS, MEMBERS, PAIRS = 10, 10, 8
"""Sizes of the samples: largest clusters, removed documents shown of each, pairs."""
BINS = 1000
"""Of the histogram of similarities."""

J = TypeVar("J", npt.NDArray[np.float64], Column)
"""Similarities on the driver or in a DataFrame."""


@dataclass(frozen=True)
class Outcome:
    """Counts over all removed documents, and small samples of them.

    clusters and pairs have the columns KEY, kept_key, id, kept_id, jaccard, rule; a cluster's rows lie together and
    those of the largest cluster come first.
    """

    pairs: int
    """distinct candidate pairs"""
    uncompared: int
    """pairs of oversized buckets that were left out, over all searches: a pair may be left out in several"""
    verified: int
    """of these, the pairs at or above the threshold"""
    copies: int
    """documents that repeat another one's normalised text"""
    exact: int
    near: int
    """documents removed by either rule"""
    histogram: npt.NDArray[np.int64]
    """of the verified pairs' similarities, as `histogram` has it"""
    cluster_sizes: dict[int, int]
    """size of a kept document with those removed for it -> how many"""
    cluster_heads: list[int]
    """sizes of the largest clusters, those in `clusters`"""
    clusters: pa.Table
    pairs_sample: pa.Table

    @property
    def removed(self) -> int:
        return self.exact + self.near


def position(jaccard: J, threshold: float) -> J:
    """Return where similarities lie among the bins, as fractions: bin i from i to i + 1, a similarity of 1 at BINS."""
    return (jaccard - threshold) / max(1.0 - threshold, 1e-12) * BINS


def histogram(jaccard: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int64]:
    """Count similarities, float64 (n,), in BINS equal bins from the threshold to 1, the last closed."""
    place = np.minimum(position(jaccard, threshold).astype(np.int64), BINS - 1)
    return np.bincount(place, minlength=BINS).astype(np.int64)


def samples(removed: pa.Table) -> tuple[list[int], pa.Table, pa.Table]:
    """Return (cluster_heads, clusters, pairs_sample) of a whole table of removed documents in keep order."""
    kept = np.asarray(removed["kept_key"])
    heads, first, sizes = np.unique(kept, return_index=True, return_counts=True)
    largest = np.lexsort((first, -sizes))[:CLUSTERS]
    rows = [np.flatnonzero(kept == heads[i])[:MEMBERS] for i in largest]
    jaccard = np.asarray(removed["jaccard"])
    near = np.flatnonzero(jaccard < 1.0)
    near = near[np.lexsort((near, jaccard[near]))]
    spread = np.unique(np.linspace(0, max(0, len(near) - 1), PAIRS).round().astype(int))[: len(near)]
    no_rows = np.empty(0, np.int64)
    heads_sizes = (sizes[largest] + 1).tolist()
    return heads_sizes, removed.take(pa.array(np.concatenate([no_rows, *rows]))), removed.take(pa.array(near[spread]))


def with_ids(removed: pa.Table, kind: pa.DataType) -> pa.Table:
    """Return rows whose id and kept_id are bytes with identifiers of the input's type."""
    for name in ("id", "kept_id"):
        ids = from_bytes(removed[name].combine_chunks(), kind)
        removed = removed.set_column(removed.schema.get_field_index(name), pa.field(name, kind), ids)
    return removed


def cluster_sizes(kept: npt.NDArray[np.int64]) -> dict[int, int]:
    """Count clusters by size, from the kept key of each removed document."""
    sizes, number = np.unique(np.unique(kept, return_counts=True)[1] + 1, return_counts=True)
    return dict(zip(sizes.tolist(), number.tolist(), strict=True))
