"""`early-stop`: ten rates on the target's model for a tenth of its steps or less, a parabola, a law of horizons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from sparkprep.errors import UserError
from trainer.tune import literature
from trainer.tune.experiments import Outcome, Planned, Recommendation, Terms
from trainer.tune.fit import REACH
from trainer.tune.parabola import vertex
from trainer.tune.strategies.common import (
    BEYOND,
    Script,
    Scripted,
    beyond_edge,
    largest,
    losses_of,
    normal,
    of_steps,
    planned,
    spread,
    whole,
)

_COUNTS = (10, 8, 6)


class EarlyStop(Scripted):
    """Rates even in their logarithm, one short schedule each; what the last run is for, the others tell.

    It goes beyond the edge where the best rate stands on one, else to the bottom of the parabola.
    """

    name = "early-stop"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return the grid and the last run, as long as the budget allows, a tenth of the target at most."""
        shapes = [partial(self._plan, terms, count) for count in _COUNTS]
        return largest(terms, self.name, shapes, math.ceil(terms.target.steps / REACH), terms.target.steps // 10)

    def script(self, terms: Terms) -> Script:
        """Yield the grid, then runs beyond an edge while the budget lasts, or one at the parabola's bottom."""
        grid = self.plan(terms)[0]
        seen = []
        for rate in grid.rates or ():
            seen.append((yield whole("grid", rate, grid.scale)))
        if (beyond := beyond_edge(seen)) is None:
            yield whole("check", 2 ** vertex(losses_of(seen)).place, grid.scale)
        for _ in range(BEYOND):
            if beyond is None:
                return
            seen.append((yield whole("beyond", beyond, grid.scale)))
            beyond = beyond_edge(seen)

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return the parabola's bottom, moved to the target's length by the published exponent."""
        points = losses_of(outcomes)
        if len(points) < 2:
            raise UserError("early-stop: fewer than two runs have ended with a loss; run more of its plan first")
        bottom, steps = vertex(points), outcomes[0].experiment.scale.steps
        halvings = math.log2(terms.target.steps / steps)
        mean, deviation = literature.HORIZON_SLOPE
        edge = beyond_edge(outcomes) is not None
        return normal(
            bottom.place - mean * halvings,
            math.hypot(bottom.deviation * (2 if edge else 1), deviation * halvings),
            [
                f"a parabola through the best of {len(points)} rates at {steps} steps has its bottom at "
                f"{2**bottom.place:.2e}",
                f"moved to {terms.target.steps} steps by the exponent {mean} +- {deviation} of published sweeps",
            ],
            ["the best rate stands on the edge of what was tried: try beyond it"] if edge else [],
            bottom.curvature,
        )

    def _plan(self, terms: Terms, count: int, steps: int) -> list[Planned]:
        scale = of_steps(terms.target, steps)
        return [
            planned(terms, "grid", scale, count, spread(terms.low, terms.high, count)),
            planned(terms, "check", scale, 1),
        ]
