"""What a tuner runs and what comes of it: scales, experiments, their outcomes, and the recommendation in the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

VOCABULARY, POSITIONS = 50_304, 1024
"""Rows of the token and position embeddings, as llm.c pads them."""
WARMUP_SHARE = 0.1
"""Of the steps of any run that is compared with another, as of the course's run of 4,725 steps."""


@dataclass(frozen=True, order=True)
class Scale:
    """A model's size and how long it is trained; one rung of a ladder. steps: updates of the whole schedule."""

    depth: int
    channels: int
    heads: int
    steps: int

    @property
    def parameters(self) -> int:
        """All parameters of GPT-2 of this size, embeddings padded."""
        return (VOCABULARY + POSITIONS) * self.channels + self.body

    @property
    def body(self) -> int:
        """Parameters without embeddings: weights, biases and layer norms of the blocks, and the last norm."""
        c = self.channels
        return self.depth * (12 * c * c + 13 * c) + 2 * c

    @property
    def warmup(self) -> int:
        """Steps of the warm-up that make runs of different length comparable."""
        return max(1, round(WARMUP_SHARE * self.steps))


@dataclass(frozen=True)
class Experiment:
    """One training run: a whole schedule, warm-up and decay included, at one maximal learning rate.

    stage: what it is for, as tables and plots name it: "bracket", "ladder", "hold-out", "rung 3", ... seed: of a
    repeat; 0 is the usual one. hellaswag: whether it ends with an evaluation on HellaSwag. stop_after: steps after
    which it ends before its schedule does (`greedy` alone looks at such); None: at its end.
    """

    stage: str
    learning_rate: float
    scale: Scale
    warmup: int
    seed: int = 0
    hellaswag: bool = False
    stop_after: int | None = None

    @property
    def steps(self) -> int:
        """Updates that it makes."""
        return self.scale.steps if self.stop_after is None else self.stop_after


@dataclass(frozen=True)
class Outcome:
    """What came of an experiment. loss: the last validation loss; None where it diverged, which is a fact of its own.

    diverged_at: step. hellaswag: share of right answers, where it was asked. seconds, dollars: as charged.
    """

    experiment: Experiment
    loss: float | None
    seconds: float
    dollars: float
    hellaswag: float | None = None
    diverged_at: int | None = None
    train_loss: float | None = None

    @property
    def diverged(self) -> bool:
        """Whether it ended without a loss that means anything."""
        return self.loss is None


@dataclass(frozen=True)
class Verdict:
    """Whether the rate predicted for a rung, before it was run, held there: the transfer is believed or not."""

    predicted: float
    """the loss of the hold-out at the predicted rate, by the fit of the smaller rungs"""
    low: float
    high: float
    """bounds that hold 95 of 100 such losses"""
    observed: float | None

    @property
    def passed(self) -> bool:
        """Whether what was observed lies within the bounds."""
        return self.observed is not None and self.low <= self.observed <= self.high


@dataclass(frozen=True)
class Recommendation:
    """The rate for the target run, and how sure that is. regret: nats of loss that its choice costs, as expected.

    reasons: how it was come to, a sentence each. warnings: what makes it doubtful, such as an optimum on the edge of
    what was tried.
    """

    learning_rate: float
    interval68: tuple[float, float]
    interval95: tuple[float, float]
    regret: float
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    verdict: Verdict | None = None


Price = Callable[[Experiment], float]
"""Dollars that an experiment costs: training, validation, HellaSwag where asked, and its start."""


@dataclass(frozen=True)
class Terms:
    """What a strategy has to keep to. target: the run that a rate is sought for. budget: dollars for all experiments.

    low, high: of the rates that are tried at first; an optimum on an edge widens them. seed: of all random choices.
    """

    target: Scale
    budget: float
    price: Price
    low: float = 2e-4
    high: float = 2e-2
    seed: int = 0

    def octaves(self) -> float:
        """Return how many doublings lie between the bounds."""
        return math.log2(self.high / self.low)


@dataclass(frozen=True)
class Planned:
    """A place in a plan: experiments that are alike but for their rate. rates: None where earlier ones will tell.

    stop_after: as an experiment's.
    """

    stage: str
    scale: Scale
    runs: int
    dollars: float
    rates: tuple[float, ...] | None = None
    hellaswag: bool = False
    stop_after: int | None = None


class Strategy(Protocol):
    """A way to spend a budget. It keeps nothing: what comes next follows from the terms and what came before.

    So a study that was killed goes on as if it had not been, and a replay runs what a GPU would.
    """

    name: str

    def plan(self, terms: Terms) -> list[Planned]:
        """Return what will be run, in order, within the budget; raise UserError naming what would suffice."""

    def next(self, terms: Terms, outcomes: Sequence[Outcome]) -> Experiment | None:
        """Return the next experiment, given all that came before, in order; None where the strategy is done.

        It is within the budget that the outcomes, as they were charged, have left.
        """

    def recommend(self, terms: Terms, outcomes: Sequence[Outcome]) -> Recommendation:
        """Return the rate for the target. Raises UserError where the outcomes do not suffice, and says what does."""
