"""Whether a paid run is healthy, told once when it has run for half an hour: loss, speed, end and cost in one line."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from trainer.final.cost import Estimate, last_step
from trainer.loop.loop import Update
from trainer.settings import TrainSettings

TOLD_AFTER = 1800.0
"""Seconds."""
SPAN = 20
"""Updates over which loss and time are averaged: the first ones, and the last before the line."""

_RISE = 1.02
_SLOWER = 1.3


class HealthCheck:
    """Watches a run's updates and tells of them once, `after` seconds from now by `clock`, through `say`."""

    def __init__(
        self,
        settings: TrainSettings,
        estimate: Estimate,
        price_per_hour: float,
        budget: float | None,
        say: Callable[[str], None],
        *,
        after: float = TOLD_AFTER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop, self._estimate = last_step(settings), estimate
        self._price, self._budget, self._say = price_per_hour, budget, say
        self._after, self._clock, self._start = after, clock, clock()
        self._first: list[float] = []
        self._losses: deque[float] = deque(maxlen=SPAN)
        self._seconds: deque[float] = deque(maxlen=SPAN)
        self._updates = self._skipped = 0
        self._told = False

    def __call__(self, step: int, update: Update) -> None:
        """Take in the update of `step`, counted from 0, and tell how the run is where it is time."""
        if self._told:
            return
        self._updates += 1
        self._skipped += bool(update.skipped)
        if len(self._first) < SPAN:
            self._first.append(update.loss)
        self._losses.append(update.loss)
        self._seconds.append(update.seconds)
        elapsed = self._clock() - self._start
        if elapsed >= self._after:
            self._told = True
            self._say(f"health       {self._line(elapsed, self._stop - step - 1)}")

    def _line(self, elapsed: float, left: int) -> str:
        """Return the line, of a run that has gone on for `elapsed` seconds and has `left` updates to come."""
        # By the clock, so that validations and checkpoints count as often as they come.
        seconds_left = left * elapsed / self._updates
        dollars = (elapsed + seconds_left) / 3600 * self._price
        end = datetime.now() + timedelta(seconds=seconds_left)
        loss, first = statistics.fmean(self._losses), statistics.fmean(self._first)
        step_seconds = statistics.median(self._seconds)
        problems = self._problems(loss, first, step_seconds, dollars)
        verdict = f"LOOK AT IT: {'; '.join(problems)}" if problems else "healthy"
        return (
            f"after {elapsed / 60:.0f} minutes: {verdict} | loss {loss:.4f} ({first:.4f} at first) | "
            f"{step_seconds:.3g} s a step ({self._estimate.step_seconds:.3g} estimated) | "
            f"done {end:%a %H:%M}, in {seconds_left / 3600:.1f} hours | ${dollars:.2f} in all"
        )

    def _problems(self, loss: float, first: float, step_seconds: float, dollars: float) -> list[str]:
        """Return what somebody should look at."""
        problems = []
        if not math.isfinite(loss):
            problems.append("the loss is no number")
        elif loss > _RISE * first:
            problems.append("the loss rises")
        if step_seconds > _SLOWER * self._estimate.step_seconds:
            problems.append(f"a step takes {step_seconds / self._estimate.step_seconds:.1f} times what was estimated")
        if self._skipped:
            problems.append(f"{self._skipped:,} of {self._updates:,} updates were skipped")
        if self._budget is not None and dollars > self._budget:
            problems.append(f"it will cost more than --budget {self._budget:g}")
        return problems
