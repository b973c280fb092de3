"""Learning rates by step, as llm.c's schedulers give them: cosine, linear, constant, wsd (warm-up, stable, decay)."""

from __future__ import annotations

import math
from dataclasses import dataclass

SCHEDULERS = ("cosine", "linear", "constant", "wsd")
_STABLE_SHARE = 0.8


@dataclass(frozen=True)
class Schedule:
    """kind: one of SCHEDULERS. peak: the highest rate. warmup, steps: in updates. final: last rate over the highest.

    `steps` is that of the whole schedule, also where a run stops early.
    """

    kind: str
    peak: float
    warmup: int
    steps: int
    final: float

    def rate(self, step: int) -> float:
        """Return the learning rate of update `step`, counted from 0."""
        if self.kind == "constant":  # knows no warm-up in llm.c either
            return self.peak
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        lowest = self.peak * self.final
        if self.kind == "cosine":
            return lowest + 0.5 * (1 + math.cos(math.pi * self._share(step, self.warmup))) * (self.peak - lowest)
        if self.kind == "linear":
            return self.peak - self._share(step, self.warmup) * (self.peak - lowest)
        if self.kind == "wsd":
            decay_start = int(_STABLE_SHARE * self.steps)
            if step < decay_start:
                return self.peak
            return lowest + (1 - math.sqrt(self._share(step, decay_start))) * (self.peak - lowest)
        raise ValueError(f"{self.kind!r} is none of {', '.join(SCHEDULERS)}")

    def _share(self, step: int, start: int) -> float:
        """Return how much of the way from `start` to the end is gone."""
        return (step - start) / (self.steps - start)
