"""What the kernels share: the types of their arrays, where runs of equal values begin, and the set of the values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]


def run_starts(values: npt.NDArray[Any]) -> I64:
    """Return the positions, int64, in an array (n,) at which another value stands than the one before; of none, none.

    >>> run_starts(np.array([7, 7, 8, 9, 9])).tolist()
    [0, 2, 3]
    """
    if not values.size:
        return np.empty(0, np.int64)
    return np.flatnonzero(np.append(True, values[1:] != values[:-1]))


def distinct(values: I64) -> I64:
    """Return the distinct values of an int64 array of any shape, sorted.

    As `np.unique`, which looks whole numbers up in a table since NumPy 2.3 and takes ten times as long for many.

    >>> distinct(np.array([[9, 7], [7, 8]])).tolist()
    [7, 8, 9]
    """
    ordered = np.sort(values, axis=None)
    return ordered[run_starts(ordered)]
