"""`greedy`: double the rate until a few steps diverge, then search below: the course's first strategy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from sparkprep.errors import UserError
from trainer.tune import literature
from trainer.tune.experiments import Experiment, Outcome, Planned, Recommendation, Terms
from trainer.tune.strategies.common import Script, Scripted, largest, losses_of, normal

_FIRST = 4e-3
_DOUBLINGS, _FRACTIONS, _BETWEEN, _REFINED, _ROUNDS = 6, 6, 4, 3, 2
_SHORT, _LONGER = 10, 5
"""Steps of the first looks in the course's budget; the refinement's are so many times as long."""


class Greedy(Scripted):
    """Double from 4e-3 until a short look diverges, then halve six times, look between, and refine twice at length.

    Looks are the first steps of the target's own schedule with no warm-up; they grow with the budget from 10 steps on.
    """

    name = "greedy"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return the looks in order, as long as the budget allows; at most a tenth of the target."""
        most = max(2, terms.target.steps // (10 * _LONGER))
        return largest(terms, self.name, [partial(self._plan, terms)], min(_SHORT, most), most)

    def script(self, terms: Terms) -> Script:
        """Yield looks: doublings, fractions of what diverged, those between, two rounds about the best."""
        steps = _steps(self.plan(terms)[0])
        rate = min(_FIRST, terms.high)
        for _ in range(_DOUBLINGS):
            if (yield self._look(terms, "double", rate, steps)).diverged:
                break
            rate *= 2
        seen = []
        for halvings in range(1, _FRACTIONS + 1):
            seen.append((yield self._look(terms, "fraction", rate / 2**halvings, steps)))
        best = _best(seen, rate / 4)
        for octaves in (-0.5, 0.5, -0.25, 0.25):
            seen.append((yield self._look(terms, "between", best * 2**octaves, steps)))
        best = _best(seen, best)
        for turn in range(_ROUNDS):
            width = 0.5 / 2**turn
            refined = []
            for octaves in (0.0, -width, width):
                look = self._look(terms, f"refine {turn + 1}", best * 2**octaves, steps * _LONGER, seed=turn)
                refined.append((yield look))
            best = _best(refined, best)

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return the best rate of the last looks as it is: no law moves it to the target's length."""
        stages = [f"refine {turn}" for turn in range(_ROUNDS, 0, -1)] + ["between", "fraction", "double"]
        found = next((points for stage in stages if (points := losses_of(outcomes, [stage]))), None)
        if found is None:
            raise UserError("greedy: no look has ended with a loss yet; run more of its plan first")
        rate = min(found, key=lambda point: point[1])[0]
        steps = max(outcome.experiment.steps for outcome in outcomes)
        halvings = math.log2(terms.target.steps / steps)
        mean, deviation = literature.HORIZON_SLOPE
        return normal(
            math.log2(rate) - mean * halvings,
            math.hypot(0.5, deviation * halvings),
            [f"the best of short looks, {steps} steps at most and without warm-up"],
            [
                f"looks of {steps} steps favour rates that are too high for {terms.target.steps}: by published laws "
                f"the best is {2 ** (mean * halvings):.1f} times lower there, which this strategy leaves aside"
            ],
            rate=rate,
        )

    def _look(self, terms: Terms, stage: str, rate: float, steps: int, seed: int = 0) -> Experiment:
        return Experiment(stage, rate, terms.target, warmup=0, seed=seed, stop_after=steps)

    def _plan(self, terms: Terms, steps: int) -> list[Planned]:
        def place(stage: str, runs: int, length: int) -> Planned:
            cost = terms.price(self._look(terms, stage, _FIRST, length))
            return Planned(stage, terms.target, runs, runs * cost, stop_after=length)

        return [
            place("double", _DOUBLINGS, steps),
            place("fraction", _FRACTIONS, steps),
            place("between", _BETWEEN, steps),
            *(place(f"refine {turn + 1}", _REFINED, steps * _LONGER) for turn in range(_ROUNDS)),
        ]


def _steps(first: Planned) -> int:
    return first.stop_after or first.scale.steps


def _best(outcomes: Sequence[Outcome], otherwise: float) -> float:
    points = losses_of(outcomes)
    return min(points, key=lambda point: point[1])[0] if points else otherwise
