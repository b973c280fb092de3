"""`data-scaling`: the target's model at three lengths, a parabola each, a line through the bottoms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from trainer.tune.experiments import Outcome, Planned, Recommendation, Terms
from trainer.tune.fit import REACH
from trainer.tune.parabola import extrapolate
from trainer.tune.strategies.common import Script, Scripted, largest, normal, of_steps, planned, spread
from trainer.tune.strategies.rungs import bottoms, climb

_COUNTS = (10, 8, 6, 5)
_LENGTHS = (1, 2, 4)


class DataScaling(Scripted):
    """Lengths of s, 2s and 4s steps (50, 100 and 200 in the course), as many rates each, ln LR* = a - beta ln D."""

    name = "data-scaling"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return the three rungs, as long as the budget allows; fewer rates where it does not allow ten."""
        shapes = [partial(self._plan, terms, count) for count in _COUNTS]
        return largest(terms, self.name, shapes, math.ceil(terms.target.steps / REACH), terms.target.steps // 12)

    def script(self, terms: Terms) -> Script:
        """Yield the rungs, the shortest first, then a run more each."""
        yield from climb(self.plan(terms))

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return where the line through the rungs' bottoms meets the target's length; no prior bends it."""
        found, reasons, warnings = bottoms(self.name, outcomes)
        distances = [math.log2(terms.target.steps / scale.steps) for scale in found]
        middle, deviation, slope = extrapolate(distances, list(found.values()))
        reasons.append(f"a line through the bottoms falls with the steps by the exponent {slope:.2f}")
        if slope < 0:
            warnings.append("the best rate rises with the steps here, against all published sweeps: noise is likelier")
        return normal(middle, deviation, reasons, warnings, list(found.values())[-1].curvature)

    def _plan(self, terms: Terms, count: int, steps: int) -> list[Planned]:
        rates = spread(terms.low, terms.high, count)
        scales = [of_steps(terms.target, steps * length) for length in _LENGTHS]
        grids = [planned(terms, f"rung {place}", scale, count, rates) for place, scale in enumerate(scales, 1)]
        return grids + [planned(terms, f"rung {place}, check", scale, 1) for place, scale in enumerate(scales, 1)]
