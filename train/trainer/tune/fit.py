"""One joint fit of all runs of a study: each rung's bowl, the drift of its bottom, and what both say of the target.

What is fitted, and by what means, is told in `posterior.py`; this module chooses what is comparable, and answers in
rates and losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from sparkprep.errors import UserError
from trainer.tune import literature
from trainer.tune.experiments import WARMUP_SHARE, Outcome, Scale
from trainer.tune.posterior import DRAWS, Beliefs, Data, Draws, Floats, families, sample

FAMILIES = ("none", "linear", "power", "exponential")
"""Of the drift of the best rate with the steps: none, even in the steps, a power law, even in the rate's logarithm."""
REACH = 100
"""A run over fewer steps than the target by this factor is not fitted: it shows how embeddings are learnt."""
DIVERGED_NATS = 1.0
"""That a target run which diverges is counted to cost, where a rate's regret is weighed."""
_DOUBT = 1.35
"""By which the laws' spread is widened as the belief before any run: their recipes differ from ours."""
QUICK = 400
"""Draws of the posterior that do where many fits are wanted."""
_QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)


@dataclass(frozen=True)
class Band:
    """A value with the bounds that hold it with a probability of 68 % and of 95 %."""

    median: float
    low68: float
    high68: float
    low95: float
    high95: float

    @property
    def interval68(self) -> tuple[float, float]:
        """Return the bounds of 68 %."""
        return self.low68, self.high68

    @property
    def interval95(self) -> tuple[float, float]:
        """Return the bounds of 95 %."""
        return self.low95, self.high95


@dataclass(frozen=True)
class Rung:
    """The runs of one scale. rates, losses: of those that ended, by rate; diverged: the rates of those that did not."""

    scale: Scale
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    diverged: tuple[float, ...]

    @property
    def best(self) -> float | None:
        """Return the rate of the least loss, or None where none ended."""
        return min(zip(self.losses, self.rates, strict=True))[1] if self.losses else None

    @property
    def on_edge(self) -> str | None:
        """Return "low" or "high" where the least loss stands at that end of the rates that were tried, else None.

        A rate that diverged above it closes the upper end.
        """
        if self.best is None:
            return "low" if self.diverged else None
        if self.best <= min(self.rates):
            return "low"
        return "high" if self.best >= max(self.rates + self.diverged) else None


@dataclass(frozen=True)
class Fit:
    """What the runs say together. target: the scale that distances are counted from. family: of the drift."""

    target: Scale
    family: str
    rungs: tuple[Rung, ...]
    draws: Draws

    def optimum(self, scale: Scale | None = None) -> Band:
        """Return the best rate at a scale (default: the target), with its band."""
        return _band(self.optima(scale or self.target), power=True)

    def optima(self, scale: Scale) -> Floats:
        """Return draws of log2 of the best rate at a scale, (m,)."""
        halvings, shrunk = distances(scale, self.target)
        return self.draws.optima(np.array([halvings]), np.array([shrunk]))[:, 0]

    def thinned(self, count: int) -> Fit:
        """Return the fit with about so many of its draws, for what need not be exact."""
        return replace(self, draws=self.draws.every(max(1, len(self.draws.optimum) // count)))

    def costs(self, rates: Sequence[float] | Floats, scale: Scale | None = None) -> Floats:
        """Return draws of the nats that rates cost beyond the best at a scale, (m, rates)."""
        scale = scale or self.target
        halvings = np.full(len(rates), distances(scale, self.target)[0])
        octaves = np.log2(np.asarray(rates, dtype=np.float64)) - self.optima(scale)[:, None]
        chance = self.draws.diverging(octaves)
        bowls = np.minimum(self.draws.bowls(octaves, halvings), DIVERGED_NATS)
        return np.asarray((1 - chance) * bowls + chance * DIVERGED_NATS)

    def curve(self, rates: Sequence[float] | Floats, scale: Scale) -> Floats:
        """Return the losses expected of rates at a rung, divergence aside; for a plot, (rates,)."""
        halvings, _ = distances(scale, self.target)
        octaves = np.log2(np.asarray(rates, dtype=np.float64)) - self.optima(scale)[:, None]
        bowls = self.draws.bowls(octaves, np.full(len(rates), halvings))
        return np.asarray(np.median(self.floors(scale)[:, None] + bowls, axis=0))

    def loss(self, rate: float, scale: Scale) -> Band:
        """Return the loss that a run will end with, its noise included, where it does not diverge.

        For a scale that was not run its floor follows a power law through the rungs of the same model. Raises
        UserError where fewer than two of them ended.
        """
        halvings, _ = distances(scale, self.target)
        octaves = math.log2(rate) - self.optima(scale)[:, None]
        random = np.random.default_rng(scale.steps)
        noise = self.noise * random.standard_t(4, size=octaves.shape[0])
        return _band(self.floors(scale) + self.draws.bowls(octaves, np.array([halvings]))[:, 0] + noise)

    def best(self) -> tuple[float, float]:
        """Return the rate of the least expected regret at the target, and that regret in nats."""
        middle = self.optima(self.target)
        rates = np.exp2(np.linspace(np.quantile(middle, 0.02), np.quantile(middle, 0.98), 129))
        expected = self.costs(rates).mean(axis=0)
        best = int(expected.argmin())
        return float(rates[best]), float(expected[best])

    @property
    def noise(self) -> float:
        """Return the scale of the losses' noise in nats."""
        return float(np.median(self.draws.noise))

    @property
    def curvature(self) -> tuple[float, float]:
        """Return nats for a squared octave below and above the best rate, at the target."""
        return float(np.median(self.draws.curvature)), float(np.median(self.draws.curvature * self.draws.asymmetry))

    @property
    def slope(self) -> Band:
        """Return the drift: for a power law the exponent with which the best rate falls in the steps."""
        return _band(self.draws.slope)

    @property
    def wall(self) -> Band:
        """Return octaves above the best rate at which runs diverge."""
        return _band(self.draws.wall)

    def floors(self, scale: Scale) -> Floats:
        """Return draws of the loss at the best rate of a scale."""
        for index, rung in enumerate(self.rungs):
            if rung.scale == scale and rung.losses:
                return np.asarray(self.draws.floors[:, index])
        alike = [
            index
            for index, rung in enumerate(self.rungs)
            if rung.losses and replace(rung.scale, steps=scale.steps) == scale
        ]
        if len(alike) < 2:
            raise UserError("a loss can be foretold from two rungs of the same model on; run another rung first")
        steps = np.array([self.rungs[index].scale.steps for index in alike], dtype=np.float64)
        return _extended(steps, self.draws.floors[:, alike], float(scale.steps))


def distances(scale: Scale, target: Scale) -> tuple[float, float]:
    """Return how often steps, and parameters without embeddings, are halved from a target to a scale."""
    return math.log2(target.steps / scale.steps), math.log2(target.body / scale.body)


def comparable(outcome: Outcome, target: Scale) -> bool:
    """Return whether a run can be compared with the target: a whole schedule, its own warm-up, not too short."""
    experiment, scale = outcome.experiment, outcome.experiment.scale
    whole = experiment.stop_after is None or experiment.stop_after >= scale.steps
    warmed = abs(experiment.warmup - WARMUP_SHARE * scale.steps) <= max(1.0, 0.05 * scale.steps)
    trained = REACH * scale.steps / scale.parameters >= target.steps / target.parameters
    return whole and warmed and trained


def rungs_of(outcomes: Sequence[Outcome], target: Scale) -> tuple[Rung, ...]:
    """Return the comparable runs by scale, the farthest from the target first."""
    scales = {each.experiment.scale for each in outcomes if comparable(each, target)}
    rungs = []
    for scale in sorted(scales, key=lambda scale: (scale.parameters * scale.steps, scale)):
        here = [each for each in outcomes if each.experiment.scale == scale and comparable(each, target)]
        ended = sorted((each.experiment.learning_rate, each.loss) for each in here if each.loss is not None)
        lost = sorted(each.experiment.learning_rate for each in here if each.loss is None)
        rungs.append(Rung(scale, tuple(r for r, _ in ended), tuple(loss for _, loss in ended), tuple(lost)))
    return tuple(rungs)


def fit(outcomes: Sequence[Outcome], target: Scale, family: str = "power", draws: int = DRAWS) -> Fit:
    """Return the fit of what is comparable. Where nothing is, it tells the literature's belief alone.

    family: of `FAMILIES`. draws: of the posterior; `QUICK` do to choose a run by. The same runs
    give the same fit, in any order.
    """
    return _fit(rungs_of(outcomes, target), target, family, draws)


@lru_cache(maxsize=64)
def _fit(rungs: tuple[Rung, ...], target: Scale, family: str, draws: int) -> Fit:
    return Fit(target, family, rungs, sample(_data(rungs, target), beliefs(target, family), draws))


def beliefs(target: Scale, family: str = "power") -> Beliefs:
    """Return what is believed of a target before any run: the laws, and their spread widened."""
    known = literature.prior(target)
    drift = families(literature.HORIZON_SLOPE)[family]
    return Beliefs((math.log2(known.rate), _DOUBT * known.octaves), drift, literature.SIZE_SLOPE)


def compare_families(outcomes: Sequence[Outcome], target: Scale) -> dict[str, float]:
    """Return for each family how well it foretells the largest rung from the smaller ones: mean squared nats, rooted.

    The floor of the rung left out is free, since no family speaks of it. Raises UserError with fewer than two rungs of
    three runs that ended.
    """
    rungs = rungs_of(outcomes, target)
    usable = [rung for rung in rungs if len(rung.losses) >= 3]
    if len(usable) < 2:
        raise UserError("families are compared by leaving a rung out: run two rungs of three rates or more first")
    left_out, smaller = usable[-1], tuple(rung for rung in rungs if rung != usable[-1])
    return {name: _error(_fit(smaller, target, name, QUICK), left_out) for name in FAMILIES}


def _error(fitted: Fit, rung: Rung) -> float:
    """Return the root of the mean squared residual of a rung's losses about the bowl expected there, its floor free."""
    halvings, _ = distances(rung.scale, fitted.target)
    octaves = np.log2(np.array(rung.rates)) - fitted.optima(rung.scale)[:, None]
    expected = fitted.draws.bowls(octaves, np.full(len(rung.rates), halvings)).mean(axis=0)
    residuals = np.array(rung.losses) - expected
    return float(np.std(residuals))


def _data(rungs: tuple[Rung, ...], target: Scale) -> Data:
    rows = [
        (math.log2(rate), loss, index, *distances(rung.scale, target))
        for index, rung in enumerate(rungs)
        for rate, loss in [*zip(rung.rates, rung.losses, strict=True), *((rate, math.nan) for rate in rung.diverged)]
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return Data(table[:, 0], table[:, 1], table[:, 2].astype(np.intp), table[:, 3], table[:, 4])


def _extended(steps: Floats, floors: Floats, ahead: float) -> Floats:
    """Return draws of the floor at other steps, by E + B steps^-b through the floors of the rungs, (m,).

    Each exponent b counts by how well it goes through them, give or take a hundredth of their range, and by what is
    usual of language models, 0.35 give or take 0.15.
    """
    exponents = np.linspace(0.05, 1.2, 47)
    means, spread = floors.mean(axis=0), floors.std(axis=0)
    misfit = np.sqrt(spread**2 + (0.01 * np.ptp(means)) ** 2)
    logs, found = [], []
    for exponent in exponents:
        design = np.stack([np.ones_like(steps), steps**-exponent], axis=1) / misfit[:, None]
        solve = np.linalg.pinv(design)
        line = solve @ (floors / misfit).T  # (2, m)
        residuals = means / misfit - design @ line.mean(axis=1)
        logs.append(-0.5 * np.sum(residuals**2) - 0.5 * ((exponent - 0.35) / 0.15) ** 2)
        found.append(line[0] + line[1] * ahead**-exponent)
    weights = np.exp(np.array(logs) - max(logs))
    random = np.random.default_rng(0)
    chosen = random.choice(exponents.size, size=len(floors), p=weights / weights.sum())
    return np.asarray(np.stack(found)[chosen, np.arange(len(floors))])


def _band(draws: Floats, power: bool = False) -> Band:
    found = np.quantile(draws, _QUANTILES)
    low95, low68, median, high68, high95 = (float(value) for value in (np.exp2(found) if power else found))
    return Band(median, low68, high68, low95, high95)
