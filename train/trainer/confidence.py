"""How far a measured share can be trusted: confidence intervals."""

from __future__ import annotations

import math

_Z95 = 1.959964  # standard deviations to both sides that hold 95 % of a normal distribution


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share, 0 to 1, of `count` independent cases (Wilson, 1927)."""
    spread = _Z95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(max(0.0, share * (1 - share)) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)
