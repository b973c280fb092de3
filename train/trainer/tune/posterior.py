"""The joint model of losses over rate and scale, as arrays, and draws of its posterior.

A loss is the floor of its rung, and a bowl about the rung's best rate, steeper above it than below, and noise with the
tails of Student's t; the best rates of rungs follow a drift from the target's. A run that diverged says that its rate
lay beyond a wall some octaves above the best, one that did not that it lay before it: censored data, not values.

Draws come from a sequential Monte Carlo sampler (Del Moral, Doucet & Jasra, 2006): particles drawn from the prior, the
likelihood let in by degrees, each time a resampling and moves by Metropolis' rule. That takes a tenth of a second for
a study, is seeded, and unlike a bootstrap stays honest where a rung has three points, and lets the prior and censored
runs count. Floors are maximised and integrated by Laplace's approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 1000
"""That a posterior is told by, of equal weight."""
_MOVES, _LAST_MOVES = 3, 10
"""Of each particle, after each resampling and at the end."""
_ROUNDS = 40
_FREEDOM = 4.0
"""Degrees of freedom of the noise: a loss four deviations out sways the fit little."""
_PRIOR_FREEDOM = 4.0
_BLUR = 0.15
"""Octaves over which the chance of diverging goes from a quarter to three quarters, about."""


@dataclass(frozen=True)
class Data:
    """Runs as arrays of one length n, one row a run. Distances are doublings, down from the target's scale.

    rates: log2. losses: NaN where it diverged. rungs: index of its rung. halvings: of steps; shrunk: of parameters
    without embeddings.
    """

    rates: Floats
    losses: Floats
    rungs: NDArray[np.intp]
    halvings: Floats
    shrunk: Floats

    @property
    def sizes_vary(self) -> bool:
        """Whether any run was of another size than the target."""
        return bool(np.any(np.abs(self.shrunk) > 1e-9))


Drift = Callable[[Floats, Floats], Floats]
"""Octaves by which the best rate of a scale lies above the target's, of slopes (m, 1), halvings of steps (n,)."""


def _no_drift(slope: Floats, halvings: Floats) -> Floats:
    return np.zeros((slope.shape[0], halvings.size))


def _power(slope: Floats, halvings: Floats) -> Floats:
    return np.asarray(slope * halvings)


def _linear(slope: Floats, halvings: Floats) -> Floats:
    left = 1 - np.exp2(-halvings)
    return np.asarray(np.log2(np.maximum(1 + (np.exp2(slope) - 1) * left, 1e-3)))


def _exponential(slope: Floats, halvings: Floats) -> Floats:
    return np.asarray(slope * (1 - np.exp2(-halvings)))


@dataclass(frozen=True)
class Family:
    """How the best rate depends on the steps; mean and deviation of its one slope before any run was seen.

    power: octaves a halving of the steps. linear, exponential: octaves from the target's steps down to none, the rate
    or its logarithm changing evenly with the steps.
    """

    drift: Drift
    mean: float
    deviation: float


def families(horizon: tuple[float, float]) -> dict[str, Family]:
    """Return the families by name. horizon: mean and deviation of the power law's exponent."""
    far = 4.0  # halvings from a target to a usual rung, where all families begin with the same belief
    return {
        "none": Family(_no_drift, 0.0, 1e-6),
        "linear": Family(_linear, far * horizon[0], far * horizon[1]),
        "power": Family(_power, *horizon),
        "exponential": Family(_exponential, far * horizon[0], far * horizon[1]),
    }


@dataclass(frozen=True)
class Beliefs:
    """Before any run was seen: (mean, deviation) each. optimum: log2 of the target's best rate, with the tails of
    Student's t of 4 degrees of freedom, since published recipes may all be unlike this one. size: exponent in the
    parameters. curvature, asymmetry, noise, wall: log2 of them. growth: doublings of the curvature for a
    halving of the steps.
    """

    optimum: tuple[float, float]
    family: Family
    size: tuple[float, float]
    curvature: tuple[float, float] = (math.log2(0.017), 1.0)
    asymmetry: tuple[float, float] = (0.7, 0.8)
    growth: tuple[float, float] = (0.1, 0.12)
    noise: tuple[float, float] = (math.log2(0.005), 1.0)
    wall: tuple[float, float] = (math.log2(1.9), 0.5)


@dataclass(frozen=True)
class Draws:
    """Draws of the posterior, m of each: shape (m,); floors (m, rungs). Units as in `Beliefs`, without logarithms."""

    optimum: Floats
    slope: Floats
    size: Floats
    curvature: Floats
    asymmetry: Floats
    growth: Floats
    noise: Floats
    wall: Floats
    floors: Floats
    family: Family

    def every(self, step: int) -> Draws:
        """Return every so many of the draws."""
        kept = {name: values[::step] for name, values in self.__dict__.items() if name != "family"}
        return Draws(**kept, family=self.family)

    def optima(self, halvings: Floats, shrunk: Floats) -> Floats:
        """Return log2 of the best rate at n scales, (m, n)."""
        drift = self.family.drift(self.slope[:, None], halvings)
        return np.asarray(self.optimum[:, None] + drift + self.size[:, None] * shrunk)

    def bowls(self, octaves: Floats, halvings: Floats) -> Floats:
        """Return nats that rates so many octaves above the best cost, (m, n)."""
        steep = np.where(octaves > 0, self.asymmetry[:, None], 1.0)
        return np.asarray(self.curvature[:, None] * np.exp2(self.growth[:, None] * halvings) * steep * octaves**2)

    def diverging(self, octaves: Floats) -> Floats:
        """Return the probability of diverging that many octaves above the best, (m, n)."""
        return np.asarray(1 / (1 + np.exp(-np.clip((octaves - self.wall[:, None]) / _BLUR, -40, 40))))


def sample(data: Data, beliefs: Beliefs, count: int = DRAWS, seed: int = 0) -> Draws:
    """Return `count` draws of the posterior. The same data give the same."""
    random = np.random.default_rng(seed)
    free = 8 if data.sizes_vary else 7
    points = random.standard_normal((count, free))
    points[:, 0] *= np.sqrt(_PRIOR_FREEDOM / random.chisquare(_PRIOR_FREEDOM, count))
    likelihood = _log_likelihood(_unpack(points, data, beliefs), data)[0]
    power = 0.0
    for _ in range(_ROUNDS):
        if power >= 1:
            break
        step = _next_step(likelihood, 1 - power)
        weights, power = _weights(step * likelihood), power + step
        root = np.linalg.cholesky(np.cov(points.T, aweights=weights) + 1e-6 * np.eye(free))
        picked = _systematic(weights, count, random.random())
        points, likelihood = points[picked], likelihood[picked]
        for _ in range(_MOVES if power < 1 else _LAST_MOVES):
            tried = points + (2.0 / math.sqrt(free)) * random.standard_normal((count, free)) @ root.T
            likely = _log_likelihood(_unpack(tried, data, beliefs), data)[0]
            gain = _log_prior(tried) - _log_prior(points) + power * (likely - likelihood)
            taken = np.log(random.random(count)) < gain
            points, likelihood = np.where(taken[:, None], tried, points), np.where(taken, likely, likelihood)
    draws = _unpack(points, data, beliefs)
    _, floors, spread = _log_likelihood(draws, data)
    floors = floors + spread * random.standard_normal(floors.shape)
    return replace(draws, floors=floors)


def _unpack(points: Floats, data: Data, beliefs: Beliefs) -> Draws:
    """Return standardised points, (m, free), as what they stand for."""
    fields = ("optimum", "slope", "curvature", "asymmetry", "growth", "noise", "wall", "size")
    bounds: dict[str, tuple[float, float]] = {
        **beliefs.__dict__,
        "slope": (beliefs.family.mean, beliefs.family.deviation),
    }
    found: dict[str, Any] = {}
    for column, field in enumerate(fields):
        mean, deviation = bounds[field]
        known = column < points.shape[1]
        values = mean + deviation * points[:, column] if known else np.full(len(points), mean)
        found[field] = np.exp2(values) if field in ("curvature", "asymmetry", "noise", "wall") else values
    return Draws(**found, floors=np.zeros((len(points), 0)), family=beliefs.family)


def _log_prior(points: Floats) -> Floats:
    """Return the log density of standardised points, up to a constant: the optimum has Student's tails."""
    optimum = -(_PRIOR_FREEDOM + 1) / 2 * np.log1p(points[:, 0] ** 2 / _PRIOR_FREEDOM)
    return np.asarray(optimum - 0.5 * np.sum(points[:, 1:] ** 2, axis=1))


def _log_likelihood(draws: Draws, data: Data) -> tuple[Floats, Floats, Floats]:
    """Return the log likelihood, (m,), and the floors with their deviations, (m, rungs)."""
    octaves = data.rates - draws.optima(data.halvings, data.shrunk)
    diverging = draws.diverging(octaves)
    ended = np.isfinite(data.losses)
    total = np.sum(np.log(np.where(ended, 1 - diverging, diverging) + 1e-12), axis=1)
    rungs = int(data.rungs.max(initial=0)) + 1
    member = (data.rungs[ended, None] == np.arange(rungs)).astype(np.float64)
    above = data.losses[ended] - draws.bowls(octaves[:, ended], data.halvings[ended])
    noise = draws.noise[:, None]
    trust = np.ones_like(above)
    for _ in range(3):  # iteratively reweighted least squares: the most likely floors under Student's t
        floors = (trust * above) @ member / np.maximum(trust @ member, 1e-9)
        residuals = (above - floors @ member.T) / noise
        trust = (_FREEDOM + 1) / (_FREEDOM + residuals**2)
    held = np.maximum(trust @ member, 1e-9) / noise**2
    occupied = member.sum(axis=0) > 0
    total = total - np.sum((_FREEDOM + 1) / 2 * np.log1p(residuals**2 / _FREEDOM) + np.log(noise), axis=1)
    total = total - 0.5 * np.sum(np.log(held[:, occupied]), axis=1)
    return np.asarray(total), np.where(occupied, floors, np.nan), np.asarray(1 / np.sqrt(held))


def _weights(logs: Floats) -> Floats:
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _effective(weights: Floats) -> float:
    return float(1 / np.sum(weights**2))


def _next_step(likelihood: Floats, left: float) -> float:
    """Return how much more of the likelihood can count so that half of the particles still do."""
    least = likelihood.size / 2
    if _effective(_weights(left * likelihood)) >= least:
        return left
    low, high = 0.0, left
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _effective(_weights(middle * likelihood)) >= least else (low, middle)
    return max(low, left / 1e4)


def _systematic(weights: Floats, count: int, start: float) -> NDArray[np.intp]:
    """Return indices drawn by weight, evenly spaced from a random start of 0 to 1 on."""
    places = (np.arange(count) + start) / count
    return np.minimum(np.searchsorted(np.cumsum(weights), places), weights.size - 1)
