"""`model-scaling`: small models on 20 tokens for each parameter, a parabola each, a line through the bottoms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from sparkprep.errors import UserError
from trainer.tune import literature
from trainer.tune.experiments import Outcome, Planned, Recommendation, Scale, Terms
from trainer.tune.parabola import extrapolate
from trainer.tune.strategies.common import Script, Scripted, dollars, normal, planned, spread
from trainer.tune.strategies.rungs import bottoms, climb

_SIZES = ((1, 64, 1), (2, 128, 2), (3, 192, 3), (6, 384, 6))
"""Depth, channels and heads of the course's tiniest, tinier and tiny models, and of an optional larger one."""
_COUNTS = (10, 8, 6, 5)


class ModelScaling(Scripted):
    """Tiniest, tinier and tiny, and a larger one where the budget allows; ln LR* = a + b ln N.

    N counts parameters without embeddings, which are nearly all of the tiniest; and since three rungs tell a slope
    badly over so long a way, a published one counts as a fourth.
    """

    name = "model-scaling"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return a grid for each size: with the larger rung if six rates of it can be paid, else without."""
        scales = self._scales(terms)
        if len(scales) < 2:
            raise UserError(
                "model-scaling needs two sizes below the target's: choose data-scaling or early-stop for it"
            )
        shapes = [
            partial(self._plan, terms, scales[:sizes], count, last)
            for sizes in range(len(scales), 1, -1)
            for count, last in ((10, 10), (10, 8), (10, 6), *((count, count) for count in _COUNTS))
        ]
        for shape in shapes:
            if dollars(shape()) <= terms.budget:
                return shape()
        cheapest = min(dollars(shape()) for shape in shapes)
        raise UserError(
            f"{self.name} takes ${cheapest:.2f} at the least, and the budget is ${terms.budget:.2f}: raise it, or "
            "choose a cheaper strategy"
        )

    def script(self, terms: Terms) -> Script:
        """Yield the grids, the smallest model first, then a run more each."""
        yield from climb(self.plan(terms))

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return where the line through the bottoms, with the published slope, meets the target's size."""
        found, reasons, warnings = bottoms(self.name, outcomes)
        distances = [math.log2(terms.target.body / scale.body) for scale in found]
        middle, deviation, slope = extrapolate(distances, list(found.values()), literature.PATH_SLOPE)
        reasons.append(
            f"a line through the bottoms, the published exponent {literature.PATH_SLOPE[0]} +- "
            f"{literature.PATH_SLOPE[1]} among them, falls with the parameters by {slope:.2f}"
        )
        far = 2 ** min(distances)
        warnings.append(f"the target's blocks have {far:.0f} times the parameters of the largest model that was run")
        return normal(middle, deviation, reasons, warnings, list(found.values())[-1].curvature)

    def _scales(self, terms: Terms) -> list[Scale]:
        """Return the small models with as many tokens for each parameter as the target, 20 where about that."""
        target = terms.target
        tokens = target.steps * literature.TOKENS_PER_STEP / target.parameters
        ratio = round(tokens) if tokens >= 10 else tokens
        scales = []
        for depth, channels, heads in _SIZES:
            parameters = Scale(depth, channels, heads, 1).parameters
            steps = max(10, math.ceil(ratio * parameters / literature.TOKENS_PER_STEP))
            scale = Scale(depth, channels, heads, steps)
            if scale.body < target.body:
                scales.append(scale)
        return scales

    def _plan(self, terms: Terms, scales: Sequence[Scale], count: int, last: int) -> list[Planned]:
        """Return grids of `count` rates, `last` for the largest; small models stand higher rates."""
        grids = []
        for place, scale in enumerate(scales):
            runs = last if place == len(scales) - 1 else count
            up = 2 ** (0.25 * math.log2(terms.target.body / scale.body))
            rates = spread(terms.low * up, terms.high * up, runs)
            grids.append(planned(terms, f"rung {place + 1}", scale, runs, rates))
        return grids + [planned(terms, f"{grid.stage}, check", grid.scale, 1) for grid in grids]
