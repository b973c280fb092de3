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


# Measured on two shared cores of a server of 2023 with 160,000 documents in 0.68 GB of text (stages of metrics.json
# times cores; benchmarks/estimate.py does it anew). Only their proportions outlive the first tasks: then the machine's
# own pace replaces that of the one they were measured on.
READ = {"read": Cost(60.0)}
DEDUP = {
    "sketch": Cost(30.0, 1.0, steady=True),
    "candidates": Cost(12.0, 1.0),
    "verify": Cost(25.0, 1.0),
    "decide": Cost(1.0),
    "write": Cost(12.0, 0.5, steady=True),
    "report": Cost(0.5, 1.5),
}
TOKENIZE = {"tokenize": Cost(60.0, 1.0, steady=True)}
SHARDS = {"count": Cost(8.0, 0.5, steady=True), "check": Cost(0.0), "write": Cost(25.0, 1.0)}

Costs = Mapping[str, Cost]
_LEAST_LEFT = 0.05
"""Of what a stage was to take: it is never said to be over before it is."""


@dataclass(frozen=True)
class Pace:
    """How far the tasks are that run now. seconds: from their start until the last one of the finished had ended."""

    finished: int = 0
    total: int = 0
    seconds: float = 0.0

    @property
    def whole(self) -> float | None:
        """Seconds that all of them take at this pace; None where it is not known yet."""
        return self.seconds / self.finished * self.total if self.finished else None


class Forecast:
    """The seconds that the stages of a run take: from their costs, the size of the input, and what has been seen.

    size: bytes of the documents as encoded in Parquet. cores: tasks that run at once.
    """

    def __init__(self, costs: Costs, size: int, cores: int) -> None:
        self.size = size
        self._costs = costs
        self._expected = {name: cost.fixed + cost.per_gb * size / 1e9 / cores for name, cost in costs.items()}
        self._open = dict(self._expected)
        """what is still to come, of the stages that have not ended"""
        self._taken = self._meant = 0.0
        """what the stages took that have ended, and were to take"""
        self.is_measured = False
        """whether the machine's own pace is in it"""

    def end(self, stage: str, seconds: float) -> None:
        """Note what a stage took."""
        if stage in self._open:
            self._taken += seconds
            self._meant += self._open.pop(stage)

    def left(self, stage: str, elapsed: float, pace: Pace) -> float:
        """Return the seconds until the run ends, where a stage has run for `elapsed` seconds at this pace."""
        whole = pace.whole
        expected = self._open.get(stage, 0.0)
        others = sum(seconds for name, seconds in self._open.items() if name != stage)
        is_steady = whole is not None and stage in self._costs and self._costs[stage].steady
        now = max(0.0, whole - pace.seconds) if whole is not None else 0.0
        if is_steady:
            self.is_measured = True
            assert whole is not None
            factor = self._factor(expected, whole)
            return max(now, whole - elapsed, 0.0) + factor * others
        factor = self._factor(0.0, 0.0)
        return max(now, factor * expected - elapsed, factor * _LEAST_LEFT * expected) + factor * others

    def _factor(self, meant: float, taken: float) -> float:
        """How much slower this machine is than the one of the costs, by all stages that have ended and this one."""
        meant, taken = meant + self._meant, taken + self._taken
        return taken / meant if meant > 0 and taken > 0 else 1.0
