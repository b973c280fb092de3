"""What strategies share: scripts that are replayed, ways to spread rates, and a plan's size by the budget."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace

from sparkprep.errors import UserError
from trainer.tune.experiments import Experiment, Outcome, Planned, Recommendation, Scale, Terms

Script = Generator[Experiment, Outcome, None]
"""The runs of a strategy in order: each is yielded, and its outcome is sent back."""
_CURVATURE = 0.02
"""Nats for a squared octave, where the runs do not tell: of published sweeps."""
BEYOND = 6
"""Runs at most beyond the edges of a rung."""


class Scripted(ABC):
    """A strategy written as a script. What comes next is found by playing the script again over the outcomes so far.

    So it reads from top to bottom and yet keeps nothing between two questions.
    """

    name: str

    @abstractmethod
    def plan(self, terms: Terms) -> list[Planned]:
        """Return what will be run, in order, within the budget; raise UserError naming what would suffice."""

    @abstractmethod
    def script(self, terms: Terms) -> Script:
        """Yield the experiments; what is over the money that is left ends the script."""

    @abstractmethod
    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return the rate for the target; raise UserError where the outcomes do not suffice."""

    def next(self, terms: Terms, outcomes: Sequence[Outcome]) -> Experiment | None:
        """Return the next experiment, or None where the script has ended or the money does not reach."""
        script = self.script(terms)
        try:
            experiment = next(script)
            for outcome in outcomes:
                experiment = script.send(outcome)
        except StopIteration:
            return None
        return experiment if terms.price(experiment) <= left(terms, outcomes) + 1e-9 else None

    def play(self, terms: Terms, run: Callable[[Experiment], Outcome]) -> list[Outcome]:
        """Return the outcomes of the whole script, each experiment run by `run`: what asking for the next one gives."""
        outcomes: list[Outcome] = []
        script = self.script(terms)
        experiment = next(script, None)
        while experiment is not None and terms.price(experiment) <= left(terms, outcomes) + 1e-9:
            outcomes.append(run(experiment))
            try:
                experiment = script.send(outcomes[-1])
            except StopIteration:
                break
        return outcomes


def left(terms: Terms, outcomes: Iterable[Outcome]) -> float:
    """Return the dollars that are not spent."""
    return terms.budget - sum(outcome.dollars for outcome in outcomes)


def whole(stage: str, rate: float, scale: Scale, hellaswag: bool = False, seed: int = 0) -> Experiment:
    """Return a run of a whole schedule, with the warm-up that makes it comparable."""
    return Experiment(stage, rate, scale, scale.warmup, seed=seed, hellaswag=hellaswag)


def spread(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return rates even in their logarithm, both bounds included; the middle for one."""
    if count == 1:
        return (math.sqrt(low * high),)
    return tuple(low * (high / low) ** (place / (count - 1)) for place in range(count))


def planned(
    terms: Terms, stage: str, scale: Scale, runs: int, rates: Sequence[float] | None = None, hellaswag: bool = False
) -> Planned:
    """Return a place in a plan, priced."""
    cost = terms.price(whole(stage, terms.low, scale, hellaswag))
    return Planned(stage, scale, runs, runs * cost, tuple(rates) if rates is not None else None, hellaswag)


def dollars(plan: Iterable[Planned]) -> float:
    """Return what a plan costs."""
    return sum(each.dollars for each in plan)


def largest(
    terms: Terms, name: str, shapes: Sequence[Callable[[int], list[Planned]]], least: int, most: int
) -> list[Planned]:
    """Return the largest plan within the budget: of the first shape that fits with some steps, with the most steps.

    shapes: plans of a number of steps, the favourite first. least, most: the bounds of that number. Raises UserError
    naming the dollars that the cheapest takes.
    """
    most = max(least, most)
    for shape in shapes:
        if dollars(shape(least)) > terms.budget:
            continue
        low, high = least, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if dollars(shape(middle)) <= terms.budget else (low, middle - 1)
        return shape(low)
    cheapest = min(dollars(shape(least)) for shape in shapes)
    raise UserError(
        f"{name} takes ${math.ceil(cheapest * 100) / 100:.2f} at the least, and the budget is ${terms.budget:.2f}: "
        "raise it, or choose a cheaper strategy"
    )


def of_steps(target: Scale, steps: int) -> Scale:
    """Return the target's model, trained for other steps."""
    return replace(target, steps=steps)


def losses_of(outcomes: Iterable[Outcome], stages: Iterable[str] | None = None) -> list[tuple[float, float]]:
    """Return (rate, loss) of the runs that ended, of some stages or all; by rate."""
    named = set(stages) if stages is not None else None
    return sorted(
        (each.experiment.learning_rate, each.loss)
        for each in outcomes
        if each.loss is not None and (named is None or each.experiment.stage in named)
    )


def beyond_edge(outcomes: Sequence[Outcome]) -> float | None:
    """Return the rate to try next where the best of runs of one scale stands on the edge of what was tried, else None.

    One step beyond, as wide as the step inside. A diverged rate above closes the upper edge.
    """
    ended = losses_of(outcomes)
    tried = sorted({each.experiment.learning_rate for each in outcomes})
    if len(tried) < 2:
        return None
    best = min(ended, key=lambda pair: pair[1])[0] if ended else None
    if best is None or best == tried[0]:
        return tried[0] ** 2 / tried[1]
    return tried[-1] ** 2 / tried[-2] if best == tried[-1] else None


def normal(
    middle: float,
    deviation: float,
    reasons: Sequence[str],
    warnings: Sequence[str] = (),
    curvature: float | None = None,
    rate: float | None = None,
) -> Recommendation:
    """Return a recommendation whose optimum is normal in its doublings.

    middle: log2 of the likeliest optimum. deviation: octaves. rate: what is recommended, where it is not the middle.
    """
    off = math.log2(rate) - middle if rate is not None else 0.0
    regret = (curvature or _CURVATURE) * (deviation**2 + off**2)

    def within(octaves: float) -> tuple[float, float]:
        return 2 ** (middle - octaves), 2 ** (middle + octaves)

    return Recommendation(
        rate if rate is not None else 2**middle,
        within(deviation),
        within(1.96 * deviation),
        regret,
        tuple(reasons),
        tuple(warnings),
    )
