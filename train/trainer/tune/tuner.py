"""A study from its probes to its recommendation: what a strategy asks for is run, one experiment after another.

All that it goes by is on disk, so that a tuner that was killed goes on when the same command is given again: a trial
whose log is whole is not run again, one that has a checkpoint goes on from it, and no second is charged twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from sparkprep.console import if_interrupted
from sparkprep.errors import UserError
from sparkprep.io.files import delete_folder, make_folder, write_text
from trainer.checkpoints import checkpoint
from trainer.final.cost import PROBE_STEPS
from trainer.final.final import command
from trainer.launch import command_of
from trainer.settings import TrainSettings, words_of
from trainer.tune import plan as planning
from trainer.tune import runner
from trainer.tune.costs import Costs, Speed, model_name, saving_seconds, size_of, speed_of, write_probes
from trainer.tune.experiments import Experiment, Outcome, Recommendation, Scale, Strategy, Terms
from trainer.tune.plan import Plan
from trainer.tune.settings import TuneSettings
from trainer.tune.study import COMMAND, Study, opened
from trainer.tune.tables import money
from trainer.tune.trial import ALWAYS_TOLD, course_of, outcome_of, probe_of, settings_of

Say = Callable[[str], None]

_TOLD_EVERY = 30.0
_ROUNDED = 1e-6  # dollars: a ledger keeps milliseconds
_RATE = 1e-3
"""Of probes, on whose speed it has no influence."""


@dataclass(frozen=True)
class Finished:
    """How a study stands when there is nothing left to run. stopped: why, where the strategy had not ended."""

    recommendation: Recommendation | None
    outcomes: list[Outcome]
    spent: float
    stopped: str = ""


class Tuner:
    """A study that is held, and how what it does is told."""

    def __init__(self, study: Study, strategies: Mapping[str, Strategy], say: Say) -> None:
        self.study, self.strategies, self._say = study, strategies, say
        self.tune = study.tune
        self.budget = budget_of(self.tune)
        self.target = self.tune.target()
        self.strategy = planning.named(strategies, self.tune.strategy)

    # -- money

    def limit(self) -> float:
        """Return the dollars that probes and experiments may come to."""
        kept = self.tune.reserve
        if kept is None and self.study.costs.probed(self.target):
            kept = self.study.costs.final(self.target)
        return self.budget - (kept or 0.0)

    def left(self) -> float:
        """Return the dollars that may still be spent."""
        return self.limit() - self.study.ledger.dollars

    def probed(self) -> float:
        """Return the dollars that probes have cost."""
        return sum(self.study.ledger.of(self._probe_name(size))[1] for size in self.study.costs.speeds)

    def terms(self) -> Terms:
        """Return what the strategy has to keep to: the budget is without what no experiment was charged."""
        tune, money_left = self.tune, max(0.0, self.limit() - self.probed())
        return Terms(self.target, money_left, self.study.costs.price, tune.low, tune.high, tune.seed)

    # -- probes

    def probe(self, *, again: bool = False) -> None:
        """Probe the target's model, and those of the strategy's plan, but for what was probed before."""
        if again:
            if self.study.outcomes() or self.study.pending():
                raise UserError(
                    f"--again: the study in {self.study.folder} has begun, and its plan goes by the prices that there "
                    "are; probe a study of its own (--output)"
                )
            self.study.costs.speeds.clear()
        self._probe(self.target)
        with suppress(UserError):  # a plan that is refused has no models; it is told where it is asked for
            for stage in self.strategy.plan(self.terms()):
                self._probe(stage.scale)

    def _probe(self, scale: Scale) -> None:
        study, size = self.study, size_of(scale)
        if size in study.costs.speeds:
            return
        name, folder = self._probe_name(size), study.probe_folder(scale)
        experiment = probe_of(Experiment("probe", _RATE, scale, scale.warmup), PROBE_STEPS)
        settings = settings_of(self.tune, experiment, folder)
        left = self.left()
        if left <= 0:
            raise UserError(
                f"--budget {self.budget:g}: {money(max(0.0, left))} are left beside what is kept back for the final "
                f"run and the {money(study.ledger.dollars)} spent: too little to probe a step; give a larger one"
            )
        runner.wait_for(folder)
        delete_folder(folder)  # a probe that was killed begins anew
        make_folder(folder)
        before = study.ledger.of(name)
        self._say(f"probe        {model_name(size)}: {PROBE_STEPS} steps of {self.tune.total_batch:,} tokens")
        ran = self._process(name, settings, left, lambda: False)
        course = course_of(settings)
        if ran.stopped == runner.BUDGET:
            raise UserError(
                f"--budget {self.budget:g}: the probe of {model_name(size)} alone would take more than the "
                f"{money(left)} that were left, and was stopped there after {course.step} of {PROBE_STEPS} steps; "
                "give a larger one"
            )
        if course.step < PROBE_STEPS:
            raise runner.death(f"the probe of {model_name(size)}", ran, folder)
        after = study.ledger.of(name)
        speed = speed_of(settings, after[0] - before[0])
        study.costs.speeds[size] = speed
        write_probes(study.folder, study.costs.speeds)
        for line in self._probe_lines(scale, speed, after[1] - before[1]):
            self._say(line)

    def _probe_lines(self, scale: Scale, speed: Speed, dollars: float) -> list[str]:
        """Return what a probe has found: step and milliseconds, hours and dollars of the run."""
        hours = speed.ms * scale.steps / 3.6e6
        return [
            f"probe        {model_name(size_of(scale))}: the slowest of steps 10 to 19 was step {speed.step} with "
            f"{speed.ms:,.2f} ms (step 0 is not counted; the median is {speed.usual_ms:,.2f} ms); {speed.start:.1f} s "
            f"to start; cost {money(dollars)}",
            f"estimate     {speed.ms:,.2f} ms x {scale.steps:,} steps / 3.6e6 = {hours:.2f} hours; "
            f"x {money(self.tune.price)} an hour = {money(hours * self.tune.price)}, without evaluations",
        ]

    def _probe_name(self, size: tuple[int, int, int]) -> str:
        return f"probe {model_name(size)}"

    # -- experiments

    def plan(self) -> Plan:
        """Return the plan, priced. Raises UserError where it is over the budget."""
        return planning.make(self.strategies, self.tune, self.terms(), self.study.costs, self.probed())

    def run(self) -> Finished:
        """Run what the strategy asks for until it is done, or until the next experiment would cross the line."""
        self.probe()
        for line in planning.lines(self.plan(), self.tune, self.study.costs, self.target):
            self._say(line)
        terms, stopped = self._as_planned(self.terms()), ""
        while not stopped:
            trial = self.study.pending() or self._ask(terms)
            if trial is None:
                break
            stopped = self._carry_out(*trial)
        outcomes = self.study.outcomes()
        recommendation = None
        try:
            recommendation = self.strategy.recommend(terms, outcomes)
        except UserError as error:
            stopped = f"{stopped}; {error}" if stopped else str(error)
        return Finished(recommendation, outcomes, self.study.ledger.dollars, stopped)

    def _as_planned(self, terms: Terms) -> Terms:
        """Return the terms that the study's experiments go by.

        They are those of its first experiment. With other money or another price a strategy may have another plan, of
        which what was run would be no beginning; only where it is one does the new money count.
        """
        then, now = self.study.planned_with(), (terms.budget, self.tune.price)
        outcomes = self.study.outcomes()
        if then is None or not (outcomes or self.study.pending()):
            self.study.plan_with(*now)
            return terms
        if then == now:
            return terms
        begun = [outcome.experiment for outcome in outcomes]
        begun += [pending[1]] if (pending := self.study.pending()) else []
        if all(self.strategy.next(terms, outcomes[:place]) == each for place, each in enumerate(begun)):
            self.study.plan_with(*now)
            return terms
        self._say(
            f"note: the plan stays that of {money(then[0])} for experiments at {money(then[1])} an hour, since what "
            f"was run belongs to it; `{command_of('tune_lr.py')} next` names what other money is best spent on"
        )
        as_then = Costs(replace(self.tune, price_per_hour=then[1]), self.study.costs.speeds)
        return replace(terms, budget=then[0], price=as_then.price)

    def _ask(self, terms: Terms) -> tuple[int, Experiment] | None:
        """Return the next trial, made in the study once it is known that it can be paid."""
        experiment = self.strategy.next(terms, self.study.outcomes())
        if experiment is None:
            return None
        settings_of(self.tune, experiment, self.study.folder)  # what cannot be trained is refused before it is a trial
        return self.study.ask(experiment), experiment

    def _carry_out(self, number: int, experiment: Experiment) -> str:
        """Run a trial, or what is left of it, and note what came of it; return why nothing more is to be run, or ""."""
        study, name, folder = self.study, f"trial {number}", self.study.trial_folder(number)
        told = f"{name} ({words_of_experiment(experiment)})"
        settings = settings_of(self.tune, experiment, folder, save_every=study.costs.save_every(experiment))
        make_folder(folder)
        runner.wait_for(folder)
        course = course_of(settings)
        if not course.over:
            parts = study.costs.parts(experiment)
            price = study.costs.dollars(parts.seconds - parts.training * self._share_made(settings, experiment))
            if study.ledger.of(name)[0]:  # begun before, and not again where money lacks for a step and a checkpoint
                price = max(price, study.costs.dollars(parts.start + 2 * saving_seconds(settings)))
            left = self.left()
            if price > left + _ROUNDED:
                return (
                    f"{told} would cost {money(price)} and {money(max(0.0, left))} are left, so it was not started; a "
                    "larger --budget goes on with it"
                )
            self._say(f"trial {number:<6} {words_of_experiment(experiment)}: {money(price)} of the {money(left)} left")
            write_text(os.path.join(folder, COMMAND), command(settings) + "\n")
            ran = self._process(name, settings, left, self._watcher(number, experiment, settings))
            course = course_of(settings)
            if not course.over:
                if ran.stopped == runner.BUDGET:
                    return (
                        f"{told} was stopped at step {course.step} of "
                        f"{experiment.steps:,}, as the money was used up; a larger --budget goes on with it"
                    )
                raise runner.death(name, ran, folder)
        outcome = outcome_of(experiment, course, *study.ledger.of(name))
        study.tell(number, outcome)
        for each in checkpoint.find(folder):
            checkpoint.delete(each)
        self._say(self._told(number, outcome))
        return ""

    def _share_made(self, settings: TrainSettings, experiment: Experiment) -> float:
        """Return the share of its updates that a trial goes on behind."""
        newest = checkpoint.find(settings.output)[:1]
        return (newest[0].step - settings.start_step) / experiment.steps if newest else 0.0

    def _process(self, name: str, settings: TrainSettings, left: float, watch: Callable[[], bool]) -> runner.Ran:
        words = words_of(settings, ALWAYS_TOLD)
        meter = self.study.ledger.begin(name, self.tune.price, left)
        again = f"what it cost is in {self.study.ledger.path}; the same command goes on with it"
        with if_interrupted(f"{name} was stopped; {again}"):
            return runner.run(words, settings.output, meter, saving_seconds(settings), watch)

    def _watcher(self, number: int, experiment: Experiment, settings: TrainSettings) -> Callable[[], bool]:
        """Return what tells of a trial under way now and then, and says whether to stop it."""
        told = time.monotonic()

        def watch() -> bool:
            nonlocal told
            course = course_of(settings)
            if time.monotonic() - told >= _TOLD_EVERY and course.loss is not None:
                told = time.monotonic()
                self._say(f"trial {number:<6} step {course.step:,}/{experiment.steps:,}, loss {course.loss:.4f}; "
                          f"{self._money()}")  # fmt: skip
            return course.hopeless

        return watch

    def _told(self, number: int, outcome: Outcome) -> str:
        what = f"diverged at step {outcome.diverged_at}" if outcome.loss is None else f"loss {outcome.loss:.4f}"
        if outcome.hellaswag is not None:
            what += f", HellaSwag {100 * outcome.hellaswag:.2f} %"
        return f"trial {number:<6} {what}; {outcome.seconds:.0f} s, {money(outcome.dollars)}; {self._money()}"

    def _money(self) -> str:
        return f"{money(self.study.ledger.dollars)} spent, {money(max(0.0, self.left()))} left"


def tuned(tune: TuneSettings, strategies: Mapping[str, Strategy], say: Say) -> Finished:
    """Make a study, or go on with it, to its end; return how it stands. Raises UserError for what stands in the way."""
    with at_work(tune, strategies, say) as tuner:
        return tuner.run()


@contextmanager
def at_work(tune: TuneSettings, strategies: Mapping[str, Strategy], say: Say) -> Iterator[Tuner]:
    """Make or open a study to work on. Raises UserError for what lacks before the study is made."""
    budget_of(tune)
    planning.named(strategies, tune.strategy)
    _ = tune.price, tune.patterns, tune.target()
    with opened(tune) as study:
        yield Tuner(study, strategies, say)


def budget_of(tune: TuneSettings) -> float:
    """Return the dollars that there are in all. Raises UserError where they are not named."""
    if tune.budget is None:
        raise UserError("--budget is missing: the dollars that there are in all, the final run's among them")
    return float(tune.budget)


def words_of_experiment(experiment: Experiment) -> str:
    """Return stage, model, steps and rate of an experiment, as lines about it tell them."""
    scale = experiment.scale
    steps = f"{experiment.steps:,} of {scale.steps:,}" if experiment.stop_after is not None else f"{scale.steps:,}"
    return (
        f"{experiment.stage}, {model_name(size_of(scale))}, {steps} steps, rate {experiment.learning_rate:.3g}"
        f"{f', repeat {experiment.seed}' if experiment.seed else ''}"
    )
