"""Candidate pairs -> which documents are brought together to be compared (driver, within its budget).

A group is a connected component of the pairs, as long as the shingle sets of its documents fit into one task's
memory; a larger component is cut into blocks of documents, and a group is then two blocks and the pairs between them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.dedup.kernels.arrays import I64, distinct
from sparkprep.dedup.kernels.components import connected_components
from sparkprep.documents.keys import KEY


def assign(pairs: I64, nodes: I64, shingles: I64, limit: int) -> pa.Table:
    """Return the groups in which distinct pairs (n, 2) of keys, the lesser first, are compared.

    nodes: the keys in the pairs, sorted; shingles: how many each has; limit: shingles in a group. Returns a table
    with a row for each document of each group: (key, group, partners), partners being the lesser keys it is compared
    with there.
    """
    a, b = np.searchsorted(nodes, pairs[:, 0]), np.searchsorted(nodes, pairs[:, 1])
    root = connected_components(len(nodes), a, b)
    weight = np.bincount(root, weights=shingles, minlength=len(nodes))
    block = _blocks(root, shingles, weight > limit, limit // 2)
    # Groups are numbered in the order of (root, block of a, block of b).
    blocks = np.unique(block[a] * (block.max() + 1) + block[b], return_inverse=True)[1]
    group_of_pair = np.unique(root[a] * (blocks.max() + 1) + blocks, return_inverse=True)[1]
    # One number for (group, document): the rows of the result, sorted by it.
    width = np.int64(len(nodes))
    as_right, as_left = group_of_pair * width + b, group_of_pair * width + a
    rows = distinct(np.concatenate([as_right, as_left]))
    order = np.lexsort((a, as_right))
    counts = np.bincount(np.searchsorted(rows, as_right), minlength=len(rows))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.table(
        {
            KEY: nodes[rows % width],
            "group": rows // width,
            "partners": pa.ListArray.from_arrays(offsets, nodes[a[order]]),
        }
    )


def _blocks(root: I64, shingles: I64, is_large: npt.NDArray[np.bool_], limit: int) -> I64:
    """Return the block of each node inside its component: 0 in small ones, runs of `limit` shingles in large ones."""
    block = np.zeros(len(root), np.int64)
    members = np.flatnonzero(is_large[root])
    members = members[np.argsort(root[members], kind="stable")]
    current, used, number = -1, 0, 0
    for node in members.tolist():
        size = int(shingles[node])
        if root[node] != current:
            current, used, number = int(root[node]), 0, 0
        if used and used + size > limit:
            used, number = 0, number + 1
        used += size
        block[node] = number
    return block
