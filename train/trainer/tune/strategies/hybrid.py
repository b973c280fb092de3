"""`hybrid`, the default: a bracket, a ladder, one joint fit, a hold-out foretold before it is run, and more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from sparkprep.errors import UserError
from trainer.tune import advice
from trainer.tune.experiments import Outcome, Planned, Recommendation, Scale, Terms
from trainer.tune.fit import QUICK, REACH, Fit, fit
from trainer.tune.strategies.common import (
    Script,
    Scripted,
    largest,
    left,
    of_steps,
    planned,
    whole,
)

_BRACKETS = 6
_BRACKET_STEPS = 10
_COUNTS = ((6, 5, 3), (5, 4, 2), (4, 3, 2), (4, 3))
"""Runs of each length of the ladder; each is twice as long as the one before, and the hold-out twice the last."""
_FIRST = (0.0, -1.5, 1.2)
"""Octaves about the belief of the first runs, before a fit can tell where the next are worth most."""

_EXTRA, _NEGLIGIBLE = 12, 1e-6
"""Runs at most after the hold-out, and nats that are worth none."""


class Hybrid(Scripted):
    """Find where it diverges by a few steps; climb from 100 to 200 to 400 steps (scaled to the budget), each rate where
    the fit of all so far says that it is worth most; foretell a rung twice as long and run it; spend what is left on
    what lowers the expected regret most for a dollar.
    """

    name = "hybrid"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return bracket, ladder and hold-out, as long as the budget allows; shorter ladders where it is small."""
        least = max(_BRACKET_STEPS, math.ceil(terms.target.steps / REACH))
        fitting = [counts for counts in _COUNTS if least * 2 ** len(counts) <= terms.target.steps]
        if not fitting:
            raise UserError(
                f"a run of {terms.target.steps} steps is too short for a ladder below it: tune it by early-stop or "
                "greedy, or by whole runs"
            )
        shapes = [partial(self._plan, terms, counts) for counts in fitting]
        return largest(terms, self.name, shapes, least, terms.target.steps // 24)

    def script(self, terms: Terms) -> Script:
        """Yield the stages; the ladder's rates follow from the fit."""
        bracket, *ladder, hold_out = self.plan(terms)
        runs: list[Outcome] = []
        ceiling = math.inf
        rate = 2 * _belief(terms)
        for _ in range(bracket.runs):
            outcome = yield whole(bracket.stage, rate, bracket.scale)
            runs.append(outcome)
            if outcome.diverged:
                ceiling = min(ceiling, rate)
            if outcome.diverged != runs[0].diverged:
                break
            rate *= 0.5 if outcome.diverged else 2
        reserved = terms.price(whole(hold_out.stage, rate, hold_out.scale, hellaswag=True))
        for place in ladder:
            for number in range(place.runs):
                if terms.price(whole(place.stage, rate, place.scale)) + reserved > left(terms, runs) + 1e-9:
                    break  # what ran was dearer than planned: the hold-out comes first
                fitted = fit(runs, terms.target, draws=QUICK)
                if place is ladder[0] and number < len(_FIRST):
                    rate = fitted.optimum(place.scale).median * 2 ** _FIRST[number]
                    rate = min(max(rate, terms.low), terms.high, ceiling / 1.5)
                else:
                    rate = _worthiest(fitted, place.scale, ceiling)
                runs.append((yield whole(place.stage, rate, place.scale)))
        rate = min(fit(runs, terms.target, draws=QUICK).optimum(hold_out.scale).median, ceiling)
        runs.append((yield whole(hold_out.stage, rate, hold_out.scale, hellaswag=True)))
        for _ in range(_EXTRA):
            worth = advice.next_experiment(terms, runs)
            if worth is None or worth.gain < _NEGLIGIBLE:
                return
            for experiment in worth.experiments:
                if terms.price(experiment) > left(terms, runs):
                    return
                last = experiment.scale == hold_out.scale
                runs.append((yield whole("finalist" if last else "next", experiment.learning_rate, experiment.scale)))

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return what the joint fit of all comparable runs advises."""
        return advice.recommend(outcomes, terms.target)

    def _plan(self, terms: Terms, counts: Sequence[int], steps: int) -> list[Planned]:
        ladder = [
            planned(terms, "ladder", of_steps(terms.target, steps * 2**place), count)
            for place, count in enumerate(counts)
        ]
        longest = of_steps(terms.target, steps * 2 ** len(counts))
        return [
            planned(terms, "bracket", of_steps(terms.target, min(_BRACKET_STEPS, steps)), _BRACKETS),
            *ladder,
            planned(terms, advice.HOLD_OUT, longest, 1, hellaswag=True),
        ]


def _worthiest(fitted: Fit, scale: Scale, ceiling: float) -> float:
    """Return the rate at which the next run of a rung is worth most, of those below what diverged."""
    rates = [group for group in advice.singly(fitted, scale) if group[0] < ceiling] or [(ceiling / 2,)]
    gains = advice.worth(fitted, rates, scale)
    return rates[gains.index(max(gains))][0]


def _belief(terms: Terms) -> float:
    """Return the rate that is believed best for the target before any run."""
    return fit([], terms.target).optimum().median
