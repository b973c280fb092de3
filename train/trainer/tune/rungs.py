"""Experiments that may be compared with one another: those of one scale, warm-up and end. Plots show them together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.tune.experiments import Outcome, Scale

_MARGIN = 1.25  # beyond the least and the greatest rate that axes show, as a factor


@dataclass(frozen=True)
class Cell:
    """The runs of a rung at one learning rate: one, or a run and its repeats. losses: of those that have one."""

    learning_rate: float
    losses: tuple[float, ...]
    diverged: int

    @property
    def mean(self) -> float | None:
        """The mean loss; None where all runs diverged."""
        return statistics.fmean(self.losses) if self.losses else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation of a single run; None where fewer than two have a loss."""
        return statistics.stdev(self.losses) if len(self.losses) > 1 else None


@dataclass(frozen=True)
class Rung:
    """What was tried at a scale, with one warm-up, to the end of the schedule or to `stop_after`."""

    scale: Scale
    warmup: int
    stop_after: int | None
    outcomes: tuple[Outcome, ...]

    @property
    def cells(self) -> list[Cell]:
        """The rates that were tried, ascending."""
        rates = sorted({outcome.experiment.learning_rate for outcome in self.outcomes})
        return [self._cell(rate) for rate in rates]

    @property
    def best(self) -> Cell | None:
        """The cell of least mean loss; None where all diverged."""
        kept = [cell for cell in self.cells if cell.losses]
        return min(kept, key=lambda cell: cell.mean or math.inf, default=None)

    @property
    def bracket(self) -> tuple[float | None, float | None]:
        """The rates tried next below and above the best, between which the optimum is; None where nothing was tried.

        What diverged bounds it from above as well as a loss does.
        """
        best = self.best
        rates = [cell.learning_rate for cell in self.cells]
        if best is None:
            return None, None
        at = rates.index(best.learning_rate)
        return (rates[at - 1] if at else None), (rates[at + 1] if at + 1 < len(rates) else None)

    @property
    def complete(self) -> bool:
        """Whether its runs are whole schedules with a warm-up to scale, as those are that a fit is made of."""
        return self.stop_after is None and self.warmup == self.scale.warmup

    @property
    def name(self) -> str:
        """Depth/channels/heads and steps, and what is unusual about its schedule."""
        scale = self.scale
        size, steps = f"{scale.depth}/{scale.channels}/{scale.heads}", f"{scale.steps:,} steps"
        if self.stop_after is not None:
            steps = f"{self.stop_after:,} of {steps}"
        if self.warmup == scale.warmup:
            return f"{size}, {steps}"
        return f"{size}, {steps}, {f'warm-up {self.warmup:,}' if self.warmup else 'no warm-up'}"

    def _cell(self, rate: float) -> Cell:
        here = [outcome for outcome in self.outcomes if outcome.experiment.learning_rate == rate]
        return Cell(rate, tuple(each.loss for each in here if each.loss is not None), sum(o.diverged for o in here))


def rungs_of(outcomes: Sequence[Outcome]) -> list[Rung]:
    """Return the rungs of a study, from the smallest to the largest; outcomes of each in the order given."""
    groups: dict[tuple[Scale, int, int | None], list[Outcome]] = {}
    for outcome in outcomes:
        experiment = outcome.experiment
        groups.setdefault((experiment.scale, experiment.warmup, experiment.stop_after), []).append(outcome)
    rungs = [Rung(*key, tuple(members)) for key, members in groups.items()]
    return sorted(rungs, key=_height)


@dataclass(frozen=True)
class Across:
    """What scales differ by, as an axis: of a `Scale` its value, and the text of a tick."""

    name: str
    label: str
    at: Callable[[Scale], float]
    text: Callable[[float], str]

    def path(self, rungs: Sequence[Rung], target: Scale) -> list[Scale]:
        """Return scales from the least to the target, close enough for a line."""
        scales = sorted({*(rung.scale for rung in rungs), target}, key=self.at)
        if self.name != "steps":
            return scales
        least, most = scales[0].steps, scales[-1].steps
        steps = sorted({round(least * (most / least) ** (i / 60)) for i in range(61)})
        return [Scale(target.depth, target.channels, target.heads, each) for each in steps]


STEPS = Across("steps", "steps of the whole schedule", lambda scale: scale.steps, lambda value: f"{value:,.0f}")
PARAMETERS = Across(
    "parameters", "parameters without embeddings", lambda scale: scale.body, lambda value: _millions(value)
)


def ladders(rungs: Sequence[Rung], target: Scale) -> list[tuple[Across, list[Rung]]]:
    """Return what the optimum can be drawn against, with the rungs of each: steps of the target's model, and its size.

    Rungs whose runs are no whole schedules belong to none.
    """
    whole = [rung for rung in rungs if rung.complete and rung.best is not None]
    shape = (target.depth, target.channels, target.heads)
    same = [rung for rung in whole if (rung.scale.depth, rung.scale.channels, rung.scale.heads) == shape]
    others = [rung for rung in whole if rung not in same]
    return [(across, members) for across, members in ((STEPS, same), (PARAMETERS, others)) if members]


def rate_limits(rungs: Sequence[Rung]) -> tuple[float, float]:
    """Return the ends of an axis that shows all rates that were tried."""
    tried = [outcome.experiment.learning_rate for rung in rungs for outcome in rung.outcomes]
    return min(tried) / _MARGIN, max(tried) * _MARGIN


def _height(rung: Rung) -> tuple[int, int, int, int, int]:
    scale = rung.scale
    steps = scale.steps if rung.stop_after is None else rung.stop_after
    return scale.body, scale.heads, steps, scale.steps, rung.warmup


def _millions(value: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"
