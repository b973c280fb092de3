"""Where a row of the input lies in a result: kept/ and audit/rows each hold theirs in the order of the input.

So the places of the removed rows, int64 (n,) ascending, from 0, tell where any row is.
"""

from __future__ import annotations

import numpy as np

from sparkprep.dedup.kernels.arrays import I64


def positions_in_kept(places: I64, removed: I64) -> I64:
    """Return at which positions of kept/ the rows at these places of the input lie, none of them removed."""
    positions: I64 = places - np.searchsorted(removed, places)
    return positions


def places_in_input(positions: I64, removed: I64) -> I64:
    """Return at which places of the input the rows lie that are at these positions of kept/."""
    kept_before = removed - np.arange(len(removed))
    places: I64 = positions + np.searchsorted(kept_before, positions, side="right")
    return places
