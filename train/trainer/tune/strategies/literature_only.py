"""`literature`: the published laws alone, for nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.tune import literature
from trainer.tune.experiments import Outcome, Planned, Recommendation, Terms
from trainer.tune.strategies.common import Script, Scripted, normal


class Literature(Scripted):
    """Run nothing: the laws' mean, weighted by trust, and their spread."""

    name = "literature"

    def plan(self, terms: Terms) -> list[Planned]:
        """Return nothing: no run is needed."""
        return []

    def script(self, terms: Terms) -> Script:
        """Yield nothing."""
        yield from ()

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return the laws' mean for the target, each law's own prediction among the reasons."""
        known = literature.prior(terms.target)
        laws = [f"{law.rate:.2e} by {law.source}: {law.rule}" for law in literature.predictions(terms.target)]
        return normal(
            math.log2(known.rate),
            known.octaves,
            [f"the mean of {len(laws)} published laws, weighted by trust", *laws],
            ["no run was made: recipes differ, and ours may be unlike all of theirs"],
        )
