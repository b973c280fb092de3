"""What a fit advises: the rate and its doubt, whether the hold-out held, alarms, and the run that is worth most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparkprep.errors import UserError
from trainer.tune.experiments import Experiment, Outcome, Recommendation, Scale, Terms, Verdict
from trainer.tune.fit import QUICK, Band, Fit, compare_families, distances, fit
from trainer.tune.posterior import Floats

HOLD_OUT = "hold-out"
"""The stage of the run that is foretold before it is made."""
_WIDER = 1.5
"""By which bands grow, in octaves, where the hold-out failed: the transfer is then not what was believed."""
_LONGEST = 3
"""No run that is advised is longer than the target by this part: what is longer is the target itself."""
_IMAGINED, _GRID = 24, 49


def recommend(outcomes: Sequence[Outcome], target: Scale) -> Recommendation:
    """Return the rate of the least expected regret at the target, with its band, verdict, reasons and warnings.

    Raises UserError where no two comparable runs have ended.
    """
    fitted = fit(outcomes, target)
    ended = sum(len(rung.losses) for rung in fitted.rungs)
    if ended < 2:
        raise UserError(
            f"{ended} comparable runs have ended with a loss; a fit wants two or more: whole schedules with a warm-up "
            "of a tenth, over a hundredth of the target's steps or more"
        )
    rate, regret = fitted.best()
    verdict = verdict_of(outcomes, target)
    warnings = edge_alarms(fitted)
    band = fitted.optimum()
    if verdict is not None and not verdict.passed:
        band, regret = _widened(band), regret * _WIDER**2
        warnings.append(
            "the hold-out did not end as was foretold: the smaller rungs do not carry over as believed, so the bands "
            "are widened by half"
        )
    families, family_warnings = _families(outcomes, target)
    return Recommendation(
        rate,
        band.interval68,
        band.interval95,
        regret,
        (*_reasons(fitted, ended), *families),
        (*warnings, *family_warnings),
        verdict,
    )


def verdict_of(outcomes: Sequence[Outcome], target: Scale) -> Verdict | None:
    """Return how the first hold-out ended beside what the runs before it foretold; None where there is none."""
    at = next((place for place, each in enumerate(outcomes) if each.experiment.stage == HOLD_OUT), None)
    if at is None:
        return None
    experiment = outcomes[at].experiment
    try:
        band = fit(outcomes[:at], target).loss(experiment.learning_rate, experiment.scale)
    except UserError:  # too few rungs before it to foretell anything
        return None
    return Verdict(band.median, band.low95, band.high95, outcomes[at].loss)


def edge_alarms(fitted: Fit) -> list[str]:
    """Return a warning for each rung whose best rate, as fitted, lies outside of the rates that were tried there."""
    alarms = []
    for rung in fitted.rungs:
        tried = rung.rates + rung.diverged
        median = fitted.optimum(rung.scale).median
        if len(tried) >= 3 and not min(tried) <= median <= max(tried):
            side = "below" if median < min(tried) else "above"
            alarms.append(
                f"the optimum at {rung.scale.steps} steps, {median:.2e}, lies {side} all rates tried there "
                f"({min(tried):.2e} to {max(tried):.2e}): try beyond"
            )
    return alarms


@dataclass(frozen=True)
class Suggestion:
    """Experiments that belong together, what they are worth and cost. gain: nats by which the expected regret falls."""

    experiments: tuple[Experiment, ...]
    gain: float
    dollars: float
    why: str

    @property
    def per_dollar(self) -> float:
        """Return nats for a dollar."""
        return self.gain / self.dollars


def next_experiment(terms: Terms, outcomes: Sequence[Outcome]) -> Suggestion | None:
    """Return what shrinks the target's expected regret most for a dollar, of what is left; None for nothing.

    Rates about the optimum of each rung that was run are weighed one by one, and three at once on a rung twice as long
    as the longest, up to a third of the target: so it also answers whether larger or smaller is worth more.
    """
    fitted = fit(outcomes, terms.target, draws=QUICK)
    money = terms.budget - sum(outcome.dollars for outcome in outcomes)
    found = [each for each in suggestions(terms, fitted) if each.dollars <= money + 1e-9]
    return max(found, key=lambda each: each.per_dollar, default=None)


def suggestions(terms: Terms, fitted: Fit) -> list[Suggestion]:
    """Return the best rates for each rung, and for a longer one, with what they are worth."""
    scales = [rung.scale for rung in fitted.rungs]
    alike = [scale for scale in scales if replace(scale, steps=terms.target.steps) == terms.target]
    longest = max((scale.steps for scale in alike), default=math.ceil(terms.target.steps / 50))
    longer = replace(terms.target, steps=2 * longest if alike else longest)
    found = [_best_of(terms, fitted, scale, singly(fitted, scale), scales) for scale in scales]
    if longer.steps * _LONGEST <= terms.target.steps:
        middle = fitted.optimum(longer).median
        triples = [tuple(middle * 2 ** (octaves * width) for octaves in (-1, 0.1, 1)) for width in (0.5, 1.0, 1.5)]
        found.append(_best_of(terms, fitted, longer, triples, scales))
    return found


def singly(fitted: Fit, scale: Scale) -> list[tuple[float, ...]]:
    """Return rates worth weighing at a scale, each alone: within two octaves of its optimum, below what diverged."""
    lost = [rate for rung in fitted.rungs if rung.scale == scale for rate in rung.diverged]
    highest = min(lost, default=math.inf) * 2**-0.1
    middle = fitted.optimum(scale).median
    rates = [middle * 2 ** (quarter / 4) for quarter in range(-8, 7)]
    return [(rate,) for rate in rates if rate < highest] or [(highest / 2,)]


def _best_of(
    terms: Terms, fitted: Fit, scale: Scale, groups: Sequence[tuple[float, ...]], run: Sequence[Scale]
) -> Suggestion:
    gains = worth(fitted, groups, scale)
    best = int(np.argmax(gains))
    experiments = tuple(Experiment("next", rate, scale, scale.warmup) for rate in groups[best])
    cost = sum(terms.price(each) for each in experiments)
    steps = [each.steps for each in run]
    size = "the same lengths" if scale in run else "larger" if not steps or scale.steps > max(steps) else "smaller"
    if scale in run and len(run) > 1:
        size = "larger" if scale.steps == max(steps) else "smaller" if scale.steps == min(steps) else "between"
    return Suggestion(experiments, gains[best], cost, f"{size}: {scale.steps} steps")


def worth(fitted: Fit, groups: Sequence[Sequence[float]], scale: Scale) -> list[float]:
    """Return for each group of rates the nats by which runs of it at a scale are expected to lower the expected regret.

    Outcomes are imagined by draws of the posterior, and each weighs the others by how likely it makes them. Where the
    loss at that scale cannot be foretold, only differences between the runs of a group count.
    """
    thin = fitted.thinned(QUICK)
    middle = thin.optima(thin.target)
    costs = thin.costs(np.exp2(np.linspace(np.quantile(middle, 0.01), np.quantile(middle, 0.99), _GRID)))
    before = costs.mean(axis=0).min()
    optima, halvings = thin.optima(scale)[:, None], distances(scale, thin.target)[0]
    try:
        floors = thin.floors(scale)[:, None]
    except UserError:
        floors = None
    gains = []
    for group in groups:
        octaves = np.log2(np.asarray(group)) - optima
        expected = thin.draws.bowls(octaves, np.full(len(group), halvings))
        expected = expected - expected.mean(axis=1, keepdims=True) if floors is None else expected + floors
        weights = _imagined(expected, thin.draws.diverging(octaves), thin.draws.noise)
        gains.append(float(before - (weights @ costs).min(axis=1).mean()))
    return gains


def _imagined(expected: Floats, chances: Floats, noise: Floats) -> Floats:
    """Return how much each of m draws counts after each of some imagined outcomes, (imagined, m)."""
    random = np.random.default_rng(0)
    picked = np.linspace(0, len(noise) - 1, _IMAGINED).astype(int)
    losses = expected[picked] + noise[picked, None] * random.standard_t(4, (_IMAGINED, expected.shape[1]))
    lost = random.random(losses.shape) < chances[picked]
    residuals = (losses[:, None, :] - expected) / noise[:, None]
    ended = np.log1p(-np.minimum(chances, 1 - 1e-9)) - 2.5 * np.log1p(residuals**2 / 4) - np.log(noise)[:, None]
    logs = np.where(lost[:, None, :], np.log(chances + 1e-9), ended).sum(axis=2)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _widened(band: Band) -> Band:
    bounds = (band.low68, band.high68, band.low95, band.high95)
    return Band(band.median, *(band.median * (bound / band.median) ** _WIDER for bound in bounds))


def _reasons(fitted: Fit, ended: int) -> list[str]:
    slope, (below, above) = fitted.slope, fitted.curvature
    reasons = [
        f"one fit of {ended} runs on {len(fitted.rungs)} rungs, and of {sum(len(r.diverged) for r in fitted.rungs)} "
        "that diverged",
        f"the best rate falls with the steps by the exponent {slope.median:.2f}, 95 % of it between "
        f"{slope.low95:.2f} and {slope.high95:.2f}",
        f"an octave off costs the target {below:.3f} nats below and {above:.3f} above; the noise of a loss is "
        f"{fitted.noise:.4f}",
    ]
    for rung in fitted.rungs:
        band = fitted.optimum(rung.scale)
        reasons.append(
            f"at {rung.scale.steps} steps the best is {band.median:.2e} ({band.low68:.2e} to {band.high68:.2e})"
        )
    return reasons


def _families(outcomes: Sequence[Outcome], target: Scale) -> tuple[list[str], list[str]]:
    """Return how well each family foretold the largest rung, and a warning where another beats the power law."""
    try:
        errors = compare_families(outcomes, target)
    except UserError:  # too few rungs: nothing to compare
        return [], []
    listed = ", ".join(f"{name} {error:.4f}" for name, error in errors.items())
    reasons = [f"nats by which each family of drifts misses the largest rung when it is left out: {listed}"]
    best = min(errors, key=lambda name: errors[name])
    if errors[best] > 0.7 * errors["power"]:
        return reasons, []
    middle = fit(outcomes, target, best, QUICK).optimum().median
    return reasons, [f"the drift is better told by the family {best!r}, which puts the best rate at {middle:.2e}"]
