"""`hyperband`: brackets of successive halving (Li et al., arXiv 1603.06560), the course's table or one that fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from sparkprep.errors import UserError
from trainer.tune import literature
from trainer.tune.experiments import Outcome, Planned, Recommendation, Terms
from trainer.tune.strategies.common import Script, Scripted, largest, normal, of_steps, planned, whole

RESOURCE, ETA = 555, 3
"""Of the course's table: steps of the longest runs, and one in how many goes on."""
_LEAST = 9


def table(resource: int = RESOURCE, eta: int = ETA) -> list[list[tuple[int, int]]]:
    """Return the brackets, each a list of rungs (configurations, steps), as the paper's table has them.

    >>> [bracket[0] for bracket in table()]
    [(243, 2), (98, 6), (41, 20), (18, 61), (9, 185), (6, 555)]
    """
    deepest = 0
    while eta ** (deepest + 1) <= resource:
        deepest += 1
    brackets = []
    for halvings in range(deepest, -1, -1):
        count = math.ceil((deepest + 1) * eta**halvings / (halvings + 1))
        brackets.append([(count // eta**rung, resource * eta**rung // eta**halvings) for rung in range(halvings + 1)])
    return brackets


class Hyperband(Scripted):
    """Random rates, the best third of each rung by validation loss to the next, each rung with a schedule of its own.

    Runs start anew at each rung, since losses of schedules cut off do not compare. Steps of the longest runs: the
    course's 555, or the most that the budget allows; with fewer steps the deepest brackets fall away.
    """

    name = "hyperband"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return every rung of every bracket, of the largest table within the budget."""
        most = min(RESOURCE, terms.target.steps)
        return largest(terms, self.name, [partial(self._plan, terms)], min(_LEAST, most), most)

    def script(self, terms: Terms) -> Script:
        """Yield the brackets, the one of most configurations first."""
        random = np.random.default_rng(terms.seed)
        resource = max(place.scale.steps for place in self.plan(terms))
        for number, bracket in enumerate(table(resource), 1):
            octaves = random.uniform(0.0, terms.octaves(), bracket[0][0])
            rates = [float(terms.low * 2**octave) for octave in octaves]
            for rung, (count, steps) in enumerate(bracket, 1):
                results = []
                for rate in rates[:count]:
                    stage = f"bracket {number}, rung {rung}"
                    outcome = yield whole(stage, rate, of_steps(terms.target, max(2, steps)))
                    results.append((math.inf if outcome.loss is None else outcome.loss, rate))
                rates = [rate for _, rate in sorted(results)]

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return the best rate of the longest runs as it is: no law moves it to the target's length."""
        ended = [
            (each.experiment.scale.steps, each.loss, each.experiment.learning_rate) for each in outcomes if each.loss
        ]
        if not ended:
            raise UserError("hyperband: no run has ended with a loss yet; run more of its plan first")
        steps = max(length for length, _, _ in ended)
        at_length = sorted((loss, rate) for length, loss, rate in ended if length == steps)
        rate = at_length[0][1]
        halvings = math.log2(terms.target.steps / steps)
        mean, deviation = literature.HORIZON_SLOPE
        warnings = []
        if halvings > 0.5:
            warnings.append(
                f"runs of {steps} steps favour rates that are too high for {terms.target.steps}: by published laws the "
                f"best is {2 ** (mean * halvings):.1f} times lower there, which this strategy leaves aside"
            )
        tried = [each.experiment.learning_rate for each in outcomes]
        if rate in (min(tried), max(tried)):
            warnings.append("the best rate stands on the edge of what was tried: try beyond it")
        return normal(
            math.log2(rate) - mean * halvings,
            math.hypot(0.5, deviation * halvings),
            [f"the best of {len(at_length)} survivors at {steps} steps, of {len(outcomes)} runs"],
            warnings,
            rate=rate,
        )

    def _plan(self, terms: Terms, resource: int) -> list[Planned]:
        return [
            planned(terms, f"bracket {number}, rung {rung}", of_steps(terms.target, max(2, steps)), count)
            for number, bracket in enumerate(table(resource), 1)
            for rung, (count, steps) in enumerate(bracket, 1)
        ]
