"""What the kernels share: the types of their arrays, and where runs of equal values begin."""

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
