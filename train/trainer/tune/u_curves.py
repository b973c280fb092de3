"""The U-curves of a study: losses by learning rate of what may be compared, runs of one scale, warm-up and end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.tune.experiments import Outcome, Scale
from trainer.tune.fit import comparable

_MARGIN = 1.25  # beyond the least and the greatest rate that axes show, as a factor


@dataclass(frozen=True)
class Cell:
    """The runs of a curve at one learning rate: one, or a run and its repeats. losses: of those that have one."""

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
class UCurve:
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

    def comparable(self, target: Scale) -> bool:
        """Return whether a fit for this target is made of its runs: whole schedules with a warm-up to scale."""
        return all(comparable(outcome, target) for outcome in self.outcomes)

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


def u_curves_of(outcomes: Sequence[Outcome]) -> list[UCurve]:
    """Return the curves of a study, from the smallest scale to the largest; outcomes of each in the order given."""
    groups: dict[tuple[Scale, int, int | None], list[Outcome]] = {}
    for outcome in outcomes:
        experiment = outcome.experiment
        groups.setdefault((experiment.scale, experiment.warmup, experiment.stop_after), []).append(outcome)
    return sorted((UCurve(*key, tuple(members)) for key, members in groups.items()), key=_size)


@dataclass(frozen=True)
class Across:
    """What scales differ by, as an axis: of a `Scale` its value, and the text of a tick."""

    name: str
    label: str
    at: Callable[[Scale], float]
    text: Callable[[float], str]

    def path(self, curves: Sequence[UCurve], target: Scale) -> list[Scale]:
        """Return scales from the least to the target, close enough for a line."""
        scales = sorted({*(curve.scale for curve in curves), target}, key=self.at)
        if self.name != "steps":
            return scales
        least, most = scales[0].steps, scales[-1].steps
        steps = sorted({round(least * (most / least) ** (i / 60)) for i in range(61)})
        return [Scale(target.depth, target.channels, target.heads, each) for each in steps]


STEPS = Across("steps", "steps of the whole schedule", lambda scale: scale.steps, lambda value: f"{value:,.0f}")
PARAMETERS = Across(
    "parameters", "parameters without embeddings", lambda scale: scale.body, lambda value: _millions(value)
)


def ladders(curves: Sequence[UCurve], target: Scale) -> list[tuple[Across, list[UCurve]]]:
    """Return what the optimum can be drawn against, with the curves of each: steps of the target's model, and its size.

    Curves of runs that no fit compares with the target belong to none.
    """
    whole = [curve for curve in curves if curve.best is not None and curve.comparable(target)]
    shape = (target.depth, target.channels, target.heads)
    same = [curve for curve in whole if (curve.scale.depth, curve.scale.channels, curve.scale.heads) == shape]
    others = [curve for curve in whole if curve not in same]
    return [(across, members) for across, members in ((STEPS, same), (PARAMETERS, others)) if members]


def rate_limits(curves: Sequence[UCurve]) -> tuple[float, float]:
    """Return the ends of an axis that shows all rates that were tried."""
    tried = [outcome.experiment.learning_rate for curve in curves for outcome in curve.outcomes]
    return min(tried) / _MARGIN, max(tried) * _MARGIN


def _size(curve: UCurve) -> tuple[int, int, int, int, int]:
    scale = curve.scale
    steps = scale.steps if curve.stop_after is None else curve.stop_after
    return scale.body, scale.heads, steps, scale.steps, curve.warmup


def _millions(value: float) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"
