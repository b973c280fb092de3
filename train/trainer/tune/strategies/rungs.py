"""Rungs of a grid each, a parabola a rung, a line through their bottoms: what data and model scaling share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparkprep.errors import UserError
from trainer.tune.experiments import Outcome, Planned, Scale
from trainer.tune.parabola import Vertex, vertex
from trainer.tune.strategies.common import BEYOND, Script, beyond_edge, losses_of, whole


def climb(plan: Iterable[Planned]) -> Script:
    """Yield the grids of a plan, rung by rung; then, the largest first, what the last run of each is for.

    It goes beyond the edge where the best rate stands on one, else to the bottom of the parabola.
    """
    seen: dict[Scale, list[Outcome]] = {}
    stages: dict[Scale, str] = {}
    for place in plan:
        for rate in place.rates or ():
            outcome = yield whole(place.stage, rate, place.scale)
            seen.setdefault(place.scale, []).append(outcome)
            stages[place.scale] = place.stage
    for scale in reversed(seen):
        here = seen[scale]
        if beyond_edge(here) is None:
            yield whole(f"{stages[scale]}, check", 2 ** vertex(losses_of(here)).place, scale)
        for _ in range(BEYOND):
            if (beyond := beyond_edge(here)) is None:
                break
            here.append((yield whole(f"{stages[scale]}, beyond", beyond, scale)))


def bottoms(name: str, outcomes: Sequence[Outcome]) -> tuple[dict[Scale, Vertex], list[str], list[str]]:
    """Return the bottom of each rung that has two losses, with reasons and warnings; UserError with fewer than two."""
    found, warnings = {}, []
    for scale in sorted(
        {outcome.experiment.scale for outcome in outcomes}, key=lambda scale: scale.parameters * scale.steps
    ):
        here = [outcome for outcome in outcomes if outcome.experiment.scale == scale]
        points = losses_of(here)
        if len(points) >= 2:
            found[scale] = vertex(points)
        if beyond_edge(here) is not None:
            warnings.append(f"the best rate of {rung_name(scale)} stands on the edge of what was tried: try beyond it")
    if len(found) < 2:
        raise UserError(f"{name}: fewer than two rungs have two runs that ended; run more of its plan first")
    reasons = [
        f"{rung_name(scale)}: the parabola's bottom is {2**each.place:.2e}, give or take {each.deviation:.2f} octaves"
        for scale, each in found.items()
    ]
    return found, reasons, warnings


def rung_name(scale: Scale) -> str:
    """Return how messages call a scale."""
    return f"{scale.depth}/{scale.channels}/{scale.heads} at {scale.steps} steps"
