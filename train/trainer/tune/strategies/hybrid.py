"""`hybrid`, the default: a bracket, a ladder, one joint fit, a hold-out foretold before it is run, then what pays most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from trainer.tune import advice
from trainer.tune.experiments import Outcome, Planned, Recommendation, Scale, Terms
from trainer.tune.fit import REACH, Fit, fit
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


class Hybrid(Scripted):
    """Find where it diverges by a few steps; climb from 100 to 200 to 400 steps (scaled to the budget), each rate where
    the fit of all so far says that it is worth most; foretell a rung twice as long and run it; spend what is left on
    what lowers the expected regret most for a dollar.
    """

    name = "hybrid"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return bracket, ladder and hold-out, as long as the budget allows; shorter ladders where it is small."""
        shapes = [partial(self._plan, terms, counts) for counts in _COUNTS]
        least = max(2, math.ceil(terms.target.steps / REACH))
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
        for place in ladder:
            for number in range(place.runs):
                rate = self._rate(fit(runs, terms.target), place.scale, number if place is ladder[0] else None, ceiling)
                runs.append((yield whole(place.stage, rate, place.scale)))
        rate = min(fit(runs, terms.target).optimum(hold_out.scale).median, ceiling)
        runs.append((yield whole(hold_out.stage, rate, hold_out.scale, hellaswag=True)))
        while (worth := advice.next_experiment(terms, runs)) is not None:
            for experiment in worth.experiments:
                if terms.price(experiment) > left(terms, runs):
                    return
                last = experiment.scale == hold_out.scale
                runs.append((yield whole("finalist" if last else "next", experiment.learning_rate, experiment.scale)))

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return what the joint fit of all comparable runs advises."""
        return advice.recommend(outcomes, terms.target)

    def _rate(self, fitted: Fit, scale: Scale, number: int | None, ceiling: float) -> float:
        """Return where the next run of a rung is worth most; number: of the run, on the first rung."""
        if number is not None and number < len(_FIRST):
            rate = fitted.optimum(scale).median * 2 ** _FIRST[number]
            return min(rate, ceiling / 2 ** (0.5 * (len(_FIRST) - number)))
        rates = [group for group in advice.singly(fitted, scale) if group[0] <= ceiling] or [(ceiling / 2,)]
        gains = advice.worth(fitted, rates, scale)
        return rates[gains.index(max(gains))][0]

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


def _belief(terms: Terms) -> float:
    """Return the rate that is believed best for the target before any run."""
    return fit([], terms.target).optimum().median
