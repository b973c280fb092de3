"""How fast a run goes: a smoothed time of a step, tokens a second, the share of the machine's peak, the time left."""

from __future__ import annotations

import math

from trainer.progress import clock

_SMOOTHING = 0.95


class Speed:
    """flops_per_token: of training; tokens: of an update; peak: floating-point operations a second of the machine.

    The first step of a run is left out where others follow: it compiles, allocates and fills caches.
    """

    def __init__(self, flops_per_token: int, tokens: int, peak: float) -> None:
        self._flops, self._tokens, self.peak = flops_per_token, tokens, peak
        self._first: float | None = None
        self._average, self._weight = 0.0, 0.0
        self._sum, self._count = 0.0, 0

    def add(self, seconds: float) -> None:
        """Take in the time of a step."""
        if self._first is None:
            self._first = seconds
            return
        # The weight is that of the steps seen by this process, not of their number in the run: right after a resume.
        self._average = _SMOOTHING * self._average + (1 - _SMOOTHING) * seconds
        self._weight = _SMOOTHING * self._weight + (1 - _SMOOTHING)
        self._sum += seconds
        self._count += 1

    @property
    def seconds(self) -> float:
        """Of a step now: an average in which older steps fade."""
        return self._average / self._weight if self._weight else (self._first or math.nan)

    @property
    def mean_seconds(self) -> float:
        """Of a step, over the whole run; 0 without any."""
        return self._sum / self._count if self._count else (self._first or 0.0)

    @property
    def tokens_per_second(self) -> float:
        """Of training, without validations and checkpoints."""
        return self._tokens / self.seconds

    @property
    def utilisation(self) -> float:
        """Model FLOPs utilisation: the share of the measured peak."""
        return self.reached / self.peak

    @property
    def reached(self) -> float:
        """Floating-point operations a second of training, as llm.c counts them."""
        return self._flops * self.tokens_per_second

    def left(self, steps: int, more: float = 0.0) -> str:
        """Return the time that so many steps and `more` seconds take, as hours, minutes and seconds."""
        return clock(steps * self.seconds + more)
