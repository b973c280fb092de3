"""What an experiment costs, told before it is run: seconds of a step from a probe of its model, and all beside it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from sparkprep.errors import UserError
from sparkprep.io.files import write_text
from sparkprep.io.json_files import read_json
from trainer import run_files
from trainer.evaluate import hellaswag
from trainer.final.cost import WRITE_BYTES_A_SECOND, checkpoint_bytes, slowest
from trainer.launch import command_of
from trainer.loop.forecast import FORWARD_SHARE, evaluations
from trainer.runs import log as run_log
from trainer.settings import TrainSettings, defaults
from trainer.tune.experiments import POSITIONS, Experiment, Scale
from trainer.tune.settings import TuneSettings

NAME = "probes.json"
_ADVICE = "delete it, and probe again"
_SMALLER, _LARGER = 0.7, 1.0
"""Powers of the ratio of operations by which a step of a model that was not probed is told from one that was: small
models use a GPU badly."""
_SAVE_SECONDS = 600.0  # of training between checkpoints, so that no more is lost

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Speed:
    """What a probe has found. step: the slowest of its later ones; ms: of that; usual_ms: of the median one.

    start: seconds that its process took beside updates and validation.
    """

    step: int
    ms: float
    usual_ms: float
    start: float


@dataclass(frozen=True)
class Parts:
    """The seconds of an experiment."""

    start: float
    training: float
    validation: float
    hellaswag: float

    @property
    def seconds(self) -> float:
        """Of all of it."""
        return self.start + self.training + self.validation + self.hellaswag


class Costs:
    """The seconds and dollars of experiments, by the probes that there are. speeds: of models, by `size_of`."""

    def __init__(self, tune: TuneSettings, speeds: dict[Size, Speed]) -> None:
        self.tune, self.speeds = tune, dict(speeds)

    def dollars(self, seconds: float) -> float:
        """Return what so many seconds of the machine cost."""
        return seconds * self.tune.price / 3600

    def price(self, experiment: Experiment) -> float:
        """Return the dollars of an experiment."""
        return self.dollars(self.parts(experiment).seconds)

    def parts(self, experiment: Experiment) -> Parts:
        """Return the seconds of an experiment: its start, its updates, one validation, and HellaSwag where asked."""
        speed = self.speed(experiment.scale)
        a_token = speed.ms / 1000 / self.tune.total_batch
        asked = self.hellaswag_tokens if experiment.hellaswag else 0
        return Parts(
            speed.start,
            experiment.steps * speed.ms / 1000,
            self.tune.val_tokens * a_token * FORWARD_SHARE,
            asked * a_token * FORWARD_SHARE,
        )

    def final(self, target: Scale) -> float:
        """Return the dollars of the final run: its updates, and its evaluations as often as that makes them."""
        tune, speed = self.tune, self.speed(target)
        first = 0 if tune.seed_model is None else tune.start_step
        settings = defaults(steps=tune.steps, start_step=first)
        validations, asked = evaluations(settings, first, tune.steps)
        tokens = validations * tune.val_tokens + asked * self.hellaswag_tokens
        a_token = speed.ms / 1000 / tune.total_batch
        return self.dollars(speed.start + target.steps * speed.ms / 1000 + tokens * a_token * FORWARD_SHARE)

    def speed(self, scale: Scale) -> Speed:
        """Return what was found of a scale's model, or what the model nearest to it lets one expect."""
        if size_of(scale) in self.speeds:
            return self.speeds[size_of(scale)]
        if not self.speeds:
            probe = f"{command_of('tune_lr.py')} {shlex.join(['probe', *self.tune.words()])}"
            raise UserError(f"no model was probed yet, so nothing has a price; `{probe}` does that")
        own = operations(size_of(scale))
        near = min(self.speeds, key=lambda size: abs(np.log(operations(size) / own)))
        ratio = own / operations(near)
        factor = ratio ** (_SMALLER if ratio < 1 else _LARGER)
        found = self.speeds[near]
        return Speed(found.step, found.ms * factor, found.usual_ms * factor, found.start)

    def probed(self, scale: Scale) -> bool:
        """Return whether a scale's own model was probed."""
        return size_of(scale) in self.speeds

    def save_every(self, experiment: Experiment) -> int:
        """Return after how many updates each an experiment is to write a checkpoint; 0 where it is a short one."""
        step = self.speed(experiment.scale).ms / 1000
        return max(1, round(_SAVE_SECONDS / step)) if experiment.steps * step > 2 * _SAVE_SECONDS else 0

    @cached_property
    def hellaswag_tokens(self) -> int:
        """Tokens that one evaluation on HellaSwag reads; 0 where its questions are not there."""
        path = self.tune.hellaswag_data
        return len(hellaswag.prepare(path, POSITIONS).tokens) if os.path.exists(path) else 0


def size_of(scale: Scale) -> Size:
    """Return what a step's time hangs on."""
    return scale.depth, scale.channels, scale.heads


def operations(size: Size) -> float:
    """Return floating-point operations a token of training, by llm.c's formula, 6 N + 6 L C T."""
    scale = Scale(*size, steps=1)
    return 6.0 * scale.parameters + 6.0 * scale.depth * scale.channels * POSITIONS


def saving_seconds(settings: TrainSettings) -> float:
    """Return the seconds that a checkpoint of a training takes to write, and some to be safe."""
    return 2.0 + 2 * checkpoint_bytes(settings) / WRITE_BYTES_A_SECOND


def speed_of(settings: TrainSettings, seconds: float) -> Speed:
    """Return what the log of a probe tells, of which the process took so many seconds in all."""
    history = run_log.read(os.path.join(settings.output, run_files.LOG))
    worst = slowest(history)
    later = history.ms[len(history.ms) // 2 :]
    a_token = worst.seconds / settings.tokens_per_update
    validation = (settings.val_tokens or 0) * a_token * FORWARD_SHARE
    start = max(0.0, seconds - float(history.ms.sum()) / 1000 - validation)
    return Speed(worst.number, 1000 * worst.seconds, float(np.median(later)), start)


def read_probes(folder: str) -> dict[Size, Speed]:
    """Return what the probes of a study have found. Raises UserError where the file is damaged."""
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return {}
    try:
        return {_size(name): Speed(**told) for name, told in read_json(path, _ADVICE).items()}
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: not the probes of a study ({error}); {_ADVICE}") from error


def write_probes(folder: str, speeds: dict[Size, Speed]) -> None:
    """Write what the probes of a study have found."""
    told = {model_name(size): asdict(speed) for size, speed in speeds.items()}
    write_text(os.path.join(folder, NAME), json.dumps(told, indent=1) + "\n")


def model_name(size: Sequence[int]) -> str:
    """Return a model as the course writes it: depth/channels/heads."""
    return "/".join(map(str, size))


def _size(name: str) -> Size:
    depth, channels, heads = map(int, name.split("/"))
    return depth, channels, heads
