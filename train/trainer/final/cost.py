"""What is left of a run to pay: seconds of a step from its log or a probe, hours from these, dollars at a price."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from sparkprep.io.files import delete_folder
from trainer import device as machine
from trainer import run_files
from trainer.checkpoints import checkpoint, model_file
from trainer.checkpoints.folder import held
from trainer.data.loader import open_shards
from trainer.evaluate import hellaswag
from trainer.loop.forecast import FORWARD_SHARE, evaluation_tokens
from trainer.loop.loop import train_in
from trainer.models.layout import Shape
from trainer.runs import log as run_log
from trainer.settings import TrainSettings

PROBE_STEPS = 20
_PROBE_FROM = 10
"""Times are taken from this step of the probe on, or from its middle: the first steps compile and fill caches."""

WRITE_BYTES_A_SECOND = 200e6


@dataclass(frozen=True)
class Estimate:
    """What is left to pay. step_seconds: of an update; hours: of all that is left, with evaluations and checkpoints."""

    step_seconds: float
    hours: float
    dollars: float
    steps: int


def estimate(settings: TrainSettings, price_per_hour: float, say: Callable[[str], None]) -> Estimate:
    """Return what is left to pay of a run, begun or not, whose `steps` are a number.

    The time of a step is that of the run's log, if there is one to go on with, else that of a probe, of which `say` is
    told. Raises UserError where the probe cannot run.
    """
    checkpoints = checkpoint.find(settings.output)
    first = checkpoints[0].step if checkpoints else settings.start_step
    step_seconds = logged_step_seconds(settings.output) if checkpoints else None
    if step_seconds is None:
        say(f"probe        {probe_steps(settings)} steps, thrown away afterwards")
        step_seconds = probe(settings)
    last = last_step(settings)
    steps = max(0, last - first)
    evaluations = _evaluation_seconds(settings, first, last, step_seconds)
    saving = checkpoints_due(settings) * checkpoint_bytes(settings) / WRITE_BYTES_A_SECOND
    hours = (steps * step_seconds + evaluations + saving) / 3600
    return Estimate(step_seconds, hours, hours * price_per_hour, steps)


def last_step(settings: TrainSettings) -> int:
    """Return the step at which a run stops."""
    return settings.stop_after if settings.stop_after != -1 else settings.steps


def checkpoints_due(settings: TrainSettings) -> int:
    """Return how many checkpoints a run, begun or not, is still to write: at multiples of -n, and at its end."""
    every = settings.checkpoint_every
    if every == 0:
        return 0
    checkpoints = checkpoint.find(settings.output)
    # The checkpoint that a run goes on from is not written again; that of its very first step is, unless that is 0.
    first = checkpoints[0].step + 1 if checkpoints else max(1, settings.start_step)
    last = last_step(settings)
    return last // every - (first - 1) // every + (last % every > 0) if first <= last else 0


def checkpoint_bytes(settings: TrainSettings) -> int:
    """Return the bytes of one checkpoint, whose weights are in the number format that is computed in."""
    parameters = _shape(settings).num_parameters
    dtype = machine.choose_dtype(settings.precision, machine.choose_device(settings.device))
    return checkpoint.bytes_needed(dtype.itemsize * parameters, parameters, masters=settings.masters)


def probe_steps(settings: TrainSettings) -> int:
    """Return how many steps a probe takes: PROBE_STEPS, or a quarter of a run that is short itself."""
    return min(PROBE_STEPS, max(1, (last_step(settings) - settings.start_step) // 4))


def probe(settings: TrainSettings) -> float:
    """Return the seconds of a step: the worst of the later ones of a short run, in a folder of its own.

    That folder is deleted; what a killed probe leaves goes when the output folder is next held. Raises UserError where
    memory lacks, as the run itself would.
    """
    folder = os.path.join(settings.output, run_files.PROBE)
    try:
        short = replace(
            settings,
            output=folder,
            resume=False,
            checkpoint_every=0,
            stop_after=settings.start_step + probe_steps(settings),
            hellaswag=False,
            sample_every=0,
            val_every=0,
            val_tokens=settings.seq_len,
        )
        with held(folder):
            train_in(folder, short, save_on_signal=False)
        seconds = slowest(run_log.read(os.path.join(folder, run_files.LOG))).seconds
    finally:
        delete_folder(folder)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return seconds


@dataclass(frozen=True)
class Step:
    """An update, by its number in the log, and what it took."""

    number: int
    seconds: float


def slowest(history: run_log.History) -> Step:
    """Return the slowest of a probe's later steps: of the 11th to the last, or, where there are few, of its half."""
    start = min(_PROBE_FROM, len(history.ms) // 2)
    worst = start + int(history.ms[start:].argmax())
    return Step(int(history.train.steps[worst]), float(history.ms[worst]) / 1000)


def logged_step_seconds(folder: str) -> float | None:
    """Return the seconds of the worst of the last steps in a run's log; None where it tells no times."""
    path = os.path.join(folder, run_files.LOG)
    if not os.path.exists(path):
        return None
    times = run_log.read(path).ms
    return float(times[-_PROBE_FROM:].max()) / 1000 if len(times) else None


def _shape(settings: TrainSettings) -> Shape:
    """Return the shape of the model that is trained."""
    path = settings.model_file
    return settings.shape if path is None else model_file.read_header(path).shape


def _evaluation_seconds(settings: TrainSettings, first: int, last: int, step_seconds: float) -> float:
    """Return the time of validations and HellaSwag: for each token a forward pass, a third of a training step."""
    questions = None
    if settings.hellaswag and os.path.exists(settings.hellaswag_data):
        questions = hellaswag.prepare(settings.hellaswag_data, _shape(settings).max_seq_len)
    tokens = evaluation_tokens(settings, first, last, open_shards(settings.val_data, "-iv"), questions)
    return tokens / settings.tokens_per_update * step_seconds * FORWARD_SHARE
