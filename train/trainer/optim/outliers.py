"""How unusual a value is among the last 128: llm.c's test for losses and norms that should not be learnt from."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

WINDOW = 128


class OutlierDetector:
    """Keeps the last 128 values; `values` may give those of a run that is resumed."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._values = deque(values, maxlen=WINDOW)

    @property
    def values(self) -> list[float]:
        """Those kept, the oldest first."""
        return list(self._values)

    def score(self, value: float) -> float:
        """Return the standard deviations between `value` and the mean of the last 128, itself among them.

        nan for the first 128 values: the 129th is the first that has as many before it. 0 where all are equal. A value
        that is not finite is not kept: its score is nan.
        """
        if not math.isfinite(value):
            return math.nan
        filled = len(self._values) == WINDOW
        self._values.append(value)
        if not filled:
            return math.nan
        mean = math.fsum(self._values) / WINDOW
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in self._values) / WINDOW)
        return (value - mean) / deviation if deviation > 0 else 0.0
