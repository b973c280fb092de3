"""Connected components of a graph of edges, and sets of edges, as arrays."""

from __future__ import annotations

import numpy as np
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.arrays import I64, distinct


@njit(cache=KEPT)
def _find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=KEPT)
def connected_components(n, a, b):
    """Return the least node of each node's component, int64 (n), in the graph of edges (a[i], b[i]) of nodes 0..n-1."""
    parent = np.arange(n)
    for i in range(a.size):
        x, y = _find(parent, a[i]), _find(parent, b[i])
        if x != y:
            parent[max(x, y)] = min(x, y)
    for i in range(n):
        parent[i] = _find(parent, i)
    return parent


def unique_rows(rows: I64) -> I64:
    """Return the distinct rows of an int64 array (n, 2), sorted."""
    if not len(rows):
        return rows
    width = int(rows.max()) + 1
    if width < 1 << 31 and rows.min() >= 0:  # a row as one number is sorted several times faster
        return np.stack(np.divmod(distinct(rows[:, 0] * width + rows[:, 1]), width), axis=1)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    different = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))
    found: I64 = rows[different]
    return found


def row_places(rows: I64, among: I64) -> I64:
    """Return where each row of an int64 array (n, 2) stands among sorted distinct rows that hold it, int64 (n,)."""
    both = np.concatenate([among, rows])
    origin = np.repeat([0, 1], [len(among), len(rows)])
    order = np.lexsort((origin, both[:, 1], both[:, 0]))
    asked = order >= len(among)
    places = np.empty(len(rows), np.int64)
    places[order[asked] - len(among)] = (np.cumsum(~asked) - 1)[asked]
    return places


def rows_missing(rows: I64, among: I64) -> I64:
    """Return the rows of an int64 array (n, 2) that another has not, sorted; neither may repeat a row."""
    both = np.concatenate([rows, among])
    origin = np.repeat([0, 1], [len(rows), len(among)])
    order = np.lexsort((origin, both[:, 1], both[:, 0]))
    both, origin = both[order], origin[order]
    followed = np.append((both[1:] == both[:-1]).all(axis=1), False) if len(both) else np.empty(0, np.bool_)
    missing: I64 = both[(origin == 0) & ~followed]
    return missing
