"""How long a run will take: guessed from its size before it has done anything, then told from what its tasks took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a stage costs. per_gb: core-seconds for a GB of documents as encoded in Parquet; fixed: seconds beside.

    steady: it is one Spark job of tasks that are alike, so that a part of them tells of the whole.
    """

    per_gb: float
    fixed: float = 0.0
    steady: bool = False


# Measured on two shared cores of a server, 160,000 documents in 0.69 GB and 800,000 in 3.4 GB, the mean of both: the
# stages' seconds in metrics.json, less what is fixed, times the cores. Their proportions matter: from the first tasks
# on, the machine's own pace replaces that of the one they were measured on.
READ = {"read": Cost(25.0)}
DEDUP = {
    "sketch": Cost(10.0, 3.0, steady=True),
    "candidates": Cost(6.0, 1.0),
    "verify": Cost(22.0, 1.0),
    "decide": Cost(1.2),
    "write": Cost(10.0, 0.5, steady=True),
    "report": Cost(0.0, 0.5),
}
EXTRACT = {"extract": Cost(150.0, 3.0, steady=True), "report": Cost(0.0, 1.0)}
"""Of the archives' own bytes, packed."""
FILTER = {"filter": Cost(110.0, 3.0, steady=True), "report": Cost(0.0, 0.5)}
DECONTAMINATE = {"search": Cost(20.0, 3.0, steady=True), "report": Cost(0.0, 0.5)}
COUNT = {"count": Cost(8.0, 0.5, steady=True)}
"""Before it, where an n-gram may be common: the texts alone, read once more."""
TOKENIZE = {"tokenize": Cost(18.0, 3.0, steady=True)}
SHARDS = {"count": Cost(8.0, 0.5, steady=True), "check": Cost(0.0), "write": Cost(37.0, 1.0)}
"""Of the token rows' own bytes."""

Costs = Mapping[str, Cost]
_LEAST_LEFT = 0.05
"""Of what a stage was to take: it is never said to be over before it is."""


@dataclass(frozen=True)
class Pace:
    """How far the tasks are that run now.

    seconds: from their start until the last one of the finished had ended. first, first_seconds: how many had ended
    when any had, and after how long: with what starting cost.
    """

    finished: int = 0
    total: int = 0
    seconds: float = 0.0
    first: int = 0
    first_seconds: float = 0.0

    def whole(self, fixed: float = 0.0) -> float | None:
        """Return the seconds that all of them take at this pace; None where it is not known yet.

        fixed: the seconds that starting costs, as long as nothing tells them apart from the first tasks' own.
        """
        if not self.finished:
            return None
        later = self.finished - self.first
        if later >= self.first:
            return self.first_seconds + (self.seconds - self.first_seconds) / later * (self.total - self.first)
        fixed = min(fixed, self.seconds / 2)
        return fixed + (self.seconds - fixed) / self.finished * self.total


class Forecast:
    """The seconds that the stages of a run take: from their costs, the size of the input, and what has been seen.

    size: bytes of the documents as encoded in Parquet. cores: tasks that run at once.
    """

    def __init__(self, costs: Costs, size: int, cores: int) -> None:
        self.size = size
        self._costs = costs
        self._open = {name: cost.fixed + cost.per_gb * size / 1e9 / cores for name, cost in costs.items()}
        """what stages are to take that have not ended"""
        self._taken = self._meant = 0.0
        """what stages took that have ended, and were to take"""
        self.is_measured = False
        """whether the machine's own pace is in it"""

    def end(self, stage: str, seconds: float) -> None:
        """Note what a stage took."""
        if stage in self._open:
            self._taken += seconds
            self._meant += self._open.pop(stage)

    def skip(self, stage: str) -> None:
        """Note that a stage is not to run any more."""
        self._open.pop(stage, None)

    def left(self, stage: str, elapsed: float, pace: Pace) -> float:
        """Return the seconds until the run ends, where a stage has run for `elapsed` seconds at this pace."""
        expected = self._open.get(stage, 0.0)
        others = sum(seconds for name, seconds in self._open.items() if name != stage)
        cost = self._costs.get(stage)
        whole = pace.whole(cost.fixed if cost else 0.0)
        if whole is not None and cost is not None and cost.steady:
            self.is_measured = True
            # Of a stage that has only begun, the costs are known better than the pace.
            weight = min(1.0, 2 * pace.finished / pace.total)
            whole = weight * whole + (1 - weight) * expected * self._factor()
            return max(0.0, whole - elapsed) + self._factor(expected, whole) * others
        now = 0.0 if whole is None else max(0.0, whole - pace.seconds)
        factor = self._factor()
        return max(now, factor * expected - elapsed, factor * _LEAST_LEFT * expected) + factor * others

    def _factor(self, meant: float = 0.0, taken: float = 0.0) -> float:
        """How much slower this machine is than the one of the costs, by all stages that have ended and this one."""
        meant, taken = meant + self._meant, taken + self._taken
        return taken / meant if meant > 0 and taken > 0 else 1.0
