"""One trial: the settings that the trainer is started with, and what the log that it leaves says came of it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkprep.errors import UserError
from sparkprep.options import option_named
from trainer import run_files
from trainer.runs import log as run_log
from trainer.settings import TrainSettings, check, defaults
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.settings import TuneSettings

ALWAYS_TOLD = (
    *("output", "train_data", "val_data", "micro_batch", "seq_len", "total_batch", "resume"),
    *("learning_rate", "steps", "start_step", "warmup", "checkpoint_every", "hellaswag"),
)
"""What stands in every trial's command, at its default too, so that trials can be compared by reading them."""

RISE = 0.3
"""Nats above the least loss so far; a run that ends three updates in a row above that has diverged."""
_LAST = 3
_MOST_NOISE = (
    0.5  # nats of a loss from one update to the next: of the few dozen tokens that are the least anybody takes
)
_HOPELESS = 20
"""Updates in a row above the loss of the first one, after which a run is not worth its money."""

Losses = npt.NDArray[np.float64]


def settings_of(tune: TuneSettings, experiment: Experiment, folder: str, *, save_every: int = 0) -> TrainSettings:
    """Return the settings of the training that an experiment is, in a folder of its own. Raises UserError.

    It is whole schedules that are compared (-x), each with the experiment's own warm-up. A continuation is a branch: it
    begins from the seed at the same share of its schedule as the real one does, and ends as that does. save_every:
    updates between checkpoints, which a trial that was killed goes on from; 0: only a signal has one written.
    """
    train_data, val_data = tune.patterns
    first, last, warmup = schedule_of(tune, experiment)
    hellaswag = experiment.hellaswag and os.path.exists(tune.hellaswag_data)
    values: dict[str, Any] = {
        "train_data": train_data,
        "val_data": val_data,
        "output": folder,
        "resume": True,
        "start_step": first,
        "steps": last,
        "stop_after": -1 if experiment.stop_after is None else first + experiment.stop_after,
        "learning_rate": experiment.learning_rate,
        "warmup": warmup,
        "checkpoint_every": save_every,
        "keep": 1,
        "val_every": 0,
        "sample_every": 0,
        "seed": option_named(TrainSettings, "seed").default + experiment.seed,
        "hellaswag": hellaswag,
        "hellaswag_data": tune.hellaswag_data,
    }
    same = ("micro_batch", "seq_len", "total_batch", "val_tokens", "device", "precision", "compile", "threads")
    values |= {name: getattr(tune, name) for name in same}
    scale = experiment.scale
    if tune.seed_model is None:
        values |= {"layers": scale.depth, "channels": scale.channels, "heads": scale.heads}
    else:
        target = tune.target()
        if replace(scale, steps=target.steps) != target:
            raise UserError(
                f"--continue {tune.seed_model}: --strategy {tune.strategy} asks for a model of {scale.depth} layers "
                f"and {scale.channels} channels, and a continuation has that of its seed alone; choose a strategy that "
                "changes the steps, such as data-scaling or early-stop"
            )
        values["model"] = os.path.abspath(os.path.expanduser(tune.seed_model))
    settings = defaults(**values)
    check(settings)
    return settings


def schedule_of(tune: TuneSettings, experiment: Experiment) -> tuple[int, int, int]:
    """Return the first update of an experiment, the end of its schedule, and the updates of its warm-up.

    From random weights these are 0, its steps and its warm-up. A branch of a continuation has a schedule as much
    shorter as the branch is, so that all of them, and the real one, begin at the same share of the highest rate.
    """
    steps = experiment.scale.steps
    if tune.seed_model is None:
        return 0, steps, experiment.warmup
    whole = round(steps * tune.steps / (tune.steps - tune.start_step))
    return whole - steps, whole, round(experiment.warmup * whole / steps)


@dataclass(frozen=True)
class Course:
    """How far a trial has come. step: updates made; loss: of the last one; ended: with its last evaluation.

    diverged_at: the update, counted from the trial's first, from which its loss means nothing any more. hopeless:
    whether nothing better is to be expected of the rest.
    """

    step: int = 0
    loss: float | None = None
    ended: bool = False
    diverged_at: int | None = None
    hopeless: bool = False
    val_loss: float | None = None
    hellaswag: float | None = None

    @property
    def over(self) -> bool:
        """Whether all is known that the trial can tell."""
        return self.ended or self.diverged_at is not None


def course_of(settings: TrainSettings) -> Course:
    """Return how far the training with these settings has come, by its log alone."""
    path = os.path.join(settings.output, run_files.LOG)
    if not (os.path.exists(path) and os.path.getsize(path)):
        return Course()
    history = run_log.read(path)
    first = settings.start_step
    stop = settings.steps if settings.stop_after == -1 else settings.stop_after
    losses = history.train.values
    val_loss = _at(history.validation, stop)
    hellaswag = _at(history.hellaswag, stop)
    nothing = np.flatnonzero(~(np.isfinite(losses) & np.isfinite(history.norm)))
    diverged_at = int(history.train.steps[nothing[0]]) - first if len(nothing) else None
    ended = diverged_at is not None or (val_loss is not None and (hellaswag is not None or not settings.hellaswag))
    # A model that goes on rises at first, until its moments have been found again.
    slack = 0.0 if settings.model is None else RISE
    hopeless = len(losses) > _HOPELESS and bool((losses[-_HOPELESS:] > losses[0] + slack).all())
    if diverged_at is None and (hopeless or (ended and len(losses))):
        diverged_at = divergence(losses, slack)
    if diverged_at is None and val_loss is not None and not math.isfinite(val_loss):
        diverged_at = stop - first
    step = int(history.train.steps[-1]) + 1 - first if len(losses) else 0
    last = float(losses[-1]) if len(losses) else None
    return Course(step, last, ended, diverged_at, hopeless, val_loss, hellaswag)


def divergence(losses: Losses, slack: float = 0.0) -> int | None:
    """Return from which update on a run had diverged by its end, None where it had not.

    It has where a loss is no number, where the last one is above the first and `slack`, or where the last three are
    each more than RISE, or than chance explains, above the least mean of three before them.
    """
    nothing = np.flatnonzero(~np.isfinite(losses))
    if len(nothing):
        return int(nothing[0])
    if len(losses) <= _LAST:
        return len(losses) - 1 if len(losses) > 1 and losses[-1] > losses[0] + slack else None
    # A falling loss has small second differences: what they vary by is chance or, where it is much, divergence.
    noise = min(_MOST_NOISE, float(np.median(np.abs(np.diff(losses, 2)))) / (0.6745 * math.sqrt(6)))
    means = np.convolve(losses, np.full(_LAST, 1 / _LAST), "valid")
    least = np.concatenate([np.full(_LAST, np.inf), np.minimum.accumulate(means)[:-1]])
    high = losses > least + max(RISE, 4 * noise)
    if not high[-_LAST:].all() and not losses[-1] > losses[0] + max(slack, 4 * noise):
        return None
    high |= losses > losses[0] + slack
    high[-1] = True
    below = np.flatnonzero(~high)
    return int(below[-1]) + 1 if len(below) else 0


def outcome_of(experiment: Experiment, course: Course, seconds: float, dollars: float) -> Outcome:
    """Return what came of an experiment that has ended, with what it was charged."""
    diverged = course.diverged_at is not None
    return Outcome(
        experiment,
        None if diverged else course.val_loss,
        seconds,
        dollars,
        hellaswag=course.hellaswag,
        diverged_at=course.diverged_at,
        train_loss=None if diverged else course.loss,
    )


def experiment_from(told: dict[str, Any]) -> Experiment:
    """Return an experiment from what `dataclasses.asdict` made of it."""
    return Experiment(**{**told, "scale": Scale(**told["scale"])})


def outcome_from(told: dict[str, Any]) -> Outcome:
    """Return an outcome from what `dataclasses.asdict` made of it."""
    return Outcome(**{**told, "experiment": experiment_from(told["experiment"])})


def probe_of(experiment: Experiment, steps: int) -> Experiment:
    """Return the experiment's probe: its first steps, of a schedule that is as long or, at least, twice that."""
    scale = replace(experiment.scale, steps=max(experiment.scale.steps, 2 * steps))
    return replace(experiment, stage="probe", scale=scale, stop_after=steps, hellaswag=False)


def _at(stream: run_log.Stream, step: int) -> float | None:
    place = int(np.searchsorted(stream.steps, step))
    return float(stream.values[place]) if place < len(stream) and stream.steps[place] == step else None
