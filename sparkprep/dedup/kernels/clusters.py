"""Verified pairs -> who stays, who goes, and because of whom (driver, within its budget).

Nodes are numbered by keep rank: node 0 comes first in the keep order of all documents that have a pair. Both rules
look at these numbers only, so that neither the order of the input nor its partitions can change the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.arrays import F64, I64
from sparkprep.dedup.kernels.components import connected_components


@dataclass(frozen=True)
class Decisions:
    """One entry for each removed node; all arrays of equal length."""

    removed: I64
    kept: I64
    """the kept node it was removed for"""
    jaccard: F64
    """similarity of the two, nan where it is not known yet (rule `component` only)"""
    exact: npt.NDArray[np.bool_]
    """whether both have the same normalised text"""

    def where(self, chosen: npt.NDArray[np.bool_]) -> Decisions:
        """Return some of them, bool (n,)."""
        return Decisions(self.removed[chosen], self.kept[chosen], self.jaccard[chosen], self.exact[chosen])


@njit(cache=KEPT)
def _lexicographic_first(n, early, late, jaccard):
    """Keep each node unless an earlier neighbour is kept; edges sorted by (late, early), early < late.

    Returns (for each node the most similar kept earlier neighbour or -1, its similarity).
    """
    best = np.full(n, -1, np.int64)
    similarity = np.zeros(n, np.float64)
    for i in range(early.size):
        if best[early[i]] < 0 and jaccard[i] > similarity[late[i]]:
            best[late[i]] = early[i]
            similarity[late[i]] = jaccard[i]
    return best, similarity


def _with_copies(n: int, copies: I64, a: I64, b: I64, jaccard: F64) -> tuple[I64, I64, I64, F64]:
    """Return (first node of each node's copies; early ends, late ends, similarity of edges between first nodes)."""
    first = connected_components(n, copies[:, 0], copies[:, 1])
    early, late = np.minimum(first[a], first[b]), np.maximum(first[a], first[b])
    between = early != late
    return first, early[between], late[between], jaccard[between]


def leader(n: int, copies: I64, a: I64, b: I64, jaccard: F64) -> Decisions:
    """Remove a node exactly if a kept neighbour comes before it: the lexicographically first maximal independent set.

    n nodes; copies (m, 2) pairs of nodes with the same normalised text; edges a, b with their Jaccard > 0. A removed
    node is laid to the most similar of its kept neighbours that come before it, and of equals to the first; an exact
    copy goes where the first node with its text goes.
    """
    first, early, late, jaccard = _with_copies(n, copies, a, b, jaccard)
    order = np.lexsort((early, late))
    best, similarity = _lexicographic_first(n, early[order], late[order], jaccard[order])
    best, similarity = best[first], similarity[first]
    is_copy = first != np.arange(n)
    exact = is_copy & (best < 0)
    removed = np.flatnonzero(is_copy | (best >= 0))
    kept = np.where(exact, first, best)[removed]
    return Decisions(removed, kept, np.where(exact, 1.0, similarity)[removed], exact[removed])


def component(n: int, copies: I64, a: I64, b: I64, jaccard: F64) -> Decisions:
    """Keep the first node of each connected component; the others are laid to it.

    Arguments as for `leader`. The similarity of a removed node and the kept one is nan where they share no edge.
    """
    first, early, late, jaccard = _with_copies(n, copies, a, b, jaccard)
    root = connected_components(n, early, late)[first]
    removed = np.flatnonzero(root != np.arange(n))
    direct = np.full(n, np.nan)
    to_root = root[late] == early
    direct[late[to_root]] = jaccard[to_root]
    exact = first == root
    similarity = np.where(exact, 1.0, direct[first])
    return Decisions(removed, root[removed], similarity[removed], exact[removed])
