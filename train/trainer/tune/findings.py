"""What a study has come to, as report and pictures take it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from sparkprep.commands import make
from sparkprep.console import say_line
from sparkprep.errors import UserError
from sparkprep.io.paths import join_path
from trainer import run_files
from trainer.runs import log as run_log
from trainer.runs.log import History
from trainer.tune.advice import next_experiment
from trainer.tune.experiments import Outcome, Recommendation, Strategy, Terms, Verdict
from trainer.tune.fit import Band, fit, rungs_of
from trainer.tune.literature import TOKENS_PER_STEP, Prediction, predictions
from trainer.tune.plots import Goal, Model
from trainer.tune.tables import ExperimentTable, money, rate
from trainer.tune.u_curves import UCurve, rate_limits, u_curves_of


def train_final(learning_rate: float) -> str:
    """Return the command of the final run at a rate."""
    return make("train-final", "SEED_MODEL=FILE", f"LR={rate(learning_rate, 3)}", "DATA=SHARDS", "OUT=FOLDER")


@dataclass(frozen=True)
class Findings:
    """A study, finished or not, and what is concluded from it.

    folders: of the trials, in the order of `outcomes`; None where one has none. model: the fit. prior: of the target's
    best rate, before anything was run. predictions: of published laws for the target.
    spent: dollars charged in all; None: those of the outcomes. budget: dollars that were allowed for probes and
    experiments; None: those of the terms. reserve: dollars kept back for the final run. train: of a rate, the command
    of the final run. next_experiment: what would be worth running, in a
    sentence. command: that made this.
    """

    strategy: str
    terms: Terms
    outcomes: Sequence[Outcome]
    folders: Sequence[str | None] = ()
    recommendation: Recommendation | None = None
    model: Model | None = None
    prior: Band | None = None
    predictions: Sequence[Prediction] = ()
    spent: float | None = None
    budget: float | None = None
    reserve: float | None = None
    price_per_hour: float | None = None
    tokens_per_step: int = TOKENS_PER_STEP
    train: Callable[[float], str] = train_final
    next_experiment: str | None = None
    command: str | None = None

    @property
    def allowed(self) -> float:
        """Dollars that probes and experiments might come to."""
        return self.terms.budget if self.budget is None else self.budget

    @property
    def table(self) -> ExperimentTable:
        """All experiments, with what was spent of the budget."""
        return ExperimentTable(self.outcomes, self.spent, self.allowed)

    @cached_property
    def u_curves(self) -> list[UCurve]:
        """The experiments by what may be compared, from the smallest to the largest."""
        return u_curves_of(self.outcomes)

    @property
    def rates(self) -> tuple[float, float]:
        """The ends of an axis of learning rates, the same for all pictures. Raises UserError before any experiment."""
        if not self.outcomes:
            raise UserError("this study has no finished experiment yet; there is nothing to draw")
        return rate_limits(self.u_curves)

    @property
    def goal(self) -> Goal:
        """The target, with the recommended rate and the prior."""
        told = self.recommendation
        recommended = None if told is None else Band(told.learning_rate, *told.interval68, *told.interval95)
        return Goal(self.terms.target, recommended, self.prior)

    @property
    def final_command(self) -> str | None:
        """The command of the final run at the recommended rate; words in capitals are for the user to replace."""
        return None if self.recommendation is None else self.train(self.recommendation.learning_rate)

    @property
    def warnings(self) -> list[str]:
        """What makes the recommendation doubtful: its own warnings, and what any study should be warned of."""
        told = self.recommendation
        warnings = list(told.warnings) if told else []
        if self.table.total > self.allowed:
            over = f"{money(self.table.total)} were spent, more than the {money(self.allowed)} that were allowed"
            warnings.append(over)
        return warnings

    def summary(self) -> str:
        """Return in a few lines what was found, what it cost, and the command of the final run."""
        told = self.recommendation
        lines = ["no rate can be recommended yet: too few experiments have ended"]
        if told is not None:
            lines = [
                f"max learning rate  {rate(told.learning_rate, 3)}",
                f"68 % interval      {_range(told.interval68)}",
                f"95 % interval      {_range(told.interval95)}",
                f"expected regret    {told.regret:.4f} nats",
                f"hold-out           {_verdict(told.verdict)}",
                *told.reasons,
            ]
        lines += [self.table.spending(), *(f"warning: {warning}" for warning in self.warnings)]
        if self.next_experiment is not None:
            lines.append(f"worth running next: {self.next_experiment}")
        if self.final_command is not None:
            lines.append(f"the final run: {self.final_command}")
        return "\n".join(lines)

    def json(self) -> str:
        """Return the recommendation for programs; null where there is none yet."""
        told = self.recommendation
        content = None
        if told is not None:
            verdict = told.verdict and {**asdict(told.verdict), "passed": told.verdict.passed}
            content = {**asdict(told), "verdict": verdict, "warnings": self.warnings, "command": self.final_command}
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    @cached_property
    def histories(self) -> list[History | None]:
        """The log of each trial, in the order of the outcomes; None where there is none that can be read."""
        folders = [*self.folders, *[None] * (len(self.outcomes) - len(self.folders))]
        return [_history(folder) for folder in folders]

    def curves(self, curve: UCurve) -> list[tuple[float, History, bool]]:
        """Return of the runs of a U-curve that have a log the rate, the log, and whether it diverged."""
        members = {id(outcome) for outcome in curve.outcomes}
        return [
            (outcome.experiment.learning_rate, history, outcome.diverged)
            for outcome, history in zip(self.outcomes, self.histories, strict=True)
            if history is not None and id(outcome) in members
        ]


def conclude(strategy: Strategy, terms: Terms, outcomes: Sequence[Outcome], **more: Any) -> Findings:
    """Return what a study has come to so far, with the fit of its runs and the strategy's recommendation, if any yet.

    more: fields of `Findings` that a study knows beside its outcomes, such as folders and spent.
    """
    try:
        recommendation = strategy.recommend(terms, outcomes)
    except UserError:  # not enough has been run
        recommendation = None
    target = terms.target
    return Findings(
        strategy.name,
        terms,
        outcomes,
        recommendation=recommendation,
        model=fit(outcomes, target) if rungs_of(outcomes, target) else None,
        prior=fit((), target).optimum(),
        predictions=predictions(target),  # at the batch that the fit's prior is told for
        next_experiment=None if recommendation is None else worth_running(terms, outcomes),
        **more,
    )


def worth_running(terms: Terms, outcomes: Sequence[Outcome]) -> str | None:
    """Return in a sentence what is worth most for a dollar of what is left; None where nothing that it pays is."""
    found = next_experiment(terms, outcomes)
    if found is None or found.gain <= 0:
        return None
    scale = found.experiments[0].scale
    rates = ", ".join(rate(each.learning_rate, 3) for each in found.experiments)
    return (
        f"{scale.depth}/{scale.channels}/{scale.heads}, {scale.steps:,} steps at {rates}: for {money(found.dollars)} "
        f"the expected regret falls by {found.gain:.2g} nats"
    )


def _range(ends: tuple[float, float]) -> str:
    return f"{rate(ends[0], 3)} to {rate(ends[1], 3)}"


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return "none: no rung was foretold before it was run"
    foretold = f"{verdict.predicted:.4f} foretold, 95 % between {verdict.low:.4f} and {verdict.high:.4f}"
    if verdict.observed is None:
        return f"not run; {foretold}"
    return f"{'passed' if verdict.passed else 'FAILED'}: {verdict.observed:.4f}; {foretold}"


def _history(folder: str | None) -> History | None:
    if folder is None or not os.path.exists(path := join_path(folder, run_files.LOG)):
        return None
    try:
        history = run_log.read(path)
    except UserError as error:
        say_line(f"warning: {error}; its curve is left out", sys.stderr)
        return None
    return history if len(history.train) or len(history.validation) else None
