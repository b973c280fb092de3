"""The final run: from a seed model at half of the schedule to its end, with all that can go wrong looked at before.

What costs money is checked first: that the seed loads, that the shards last, that the disk and the GPU's memory are
large enough; a probe of 20 steps tells hours and dollars. The run can be started again with the same words at any time.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder
from sparkprep.io.paths import normalise
from trainer import device as machine
from trainer.checkpoints import checkpoint, model_file
from trainer.data.loader import Loader, open_shards
from trainer.evaluate import hellaswag
from trainer.loop.loop import train
from trainer.loop.start import SHUFFLE_SEED, Run
from trainer.runs import log as run_log
from trainer.settings import Settings, check, defaults

PROBE_STEPS = 20
PROBE_FROM = 10
"""Times are taken from this step of the probe on: the first ones compile, allocate and fill caches."""

_FORWARD_SHARE = 1 / 3
_WRITE_BYTES_A_SECOND = 200e6
_KEPT_FREE = 1 << 30


@dataclass(frozen=True)
class Final:
    """A final run. data: a folder of shards, or a pattern of the training shards among them. budget: dollars, or None.

    train: what else stands on the command line, as names and values of Settings.
    """

    seed_model: str
    learning_rate: float
    data: str
    output: str
    start_step: int = 2365
    steps: int = 4725
    price_per_hour: float = 1.5
    budget: float | None = None
    allow_repeats: bool = False
    options: tuple[tuple[str, object], ...] = ()

    def settings(self) -> Settings:
        """The settings of its training, whose flags are those of the course."""
        if self.start_step >= self.steps:
            raise UserError(
                f"--start-step {self.start_step} leaves nothing of the {self.steps} steps (--steps); give a smaller one"
            )
        train_data, val_data = shard_patterns(self.data)
        changes: dict[str, object] = {
            "output": normalise(self.output),
            "train_data": train_data,
            "val_data": val_data,
            "micro_batch": 32,
            "resume": True,
            "model": self.seed_model,
            "start_step": self.start_step,
            "learning_rate": self.learning_rate,
            "steps": self.steps,
        }
        changes.update(self.options)
        settings = defaults(**changes)
        check(settings)
        return settings


@dataclass(frozen=True)
class Estimate:
    """What is left to pay. step_seconds: of an update; hours: of all that is left, with evaluations and checkpoints."""

    step_seconds: float
    hours: float
    dollars: float
    steps: int


def shard_patterns(data: str) -> tuple[str, str]:
    """The patterns of the training and validation shards of a folder, or of a pattern that names the former."""
    if os.path.isdir(data):
        return os.path.join(data, "*_train_*.bin"), os.path.join(data, "*_val_*.bin")
    if "_train_" in os.path.basename(data):
        folder, name = os.path.split(data)
        return data, os.path.join(folder, name.replace("_train_", "_val_"))
    raise UserError(
        f"--data {data}: neither a folder of shards nor a pattern with _train_ in it; `sparkprep tokenize … --shards "
        "FOLDER` makes such a folder"
    )


def run_final(final: Final, say: Callable[[str], None], *, check_only: bool = False) -> Run | None:
    """Check, estimate, train; the finished run, None with check_only. Raises UserError for what stands in the way."""
    settings = final.settings()
    say(f"seed model   {_check_seed(settings)}")
    say(f"data         {_check_tokens(settings, final)}")
    say(f"disk         {_check_disk(settings)}")
    estimate = _estimate(settings, final, say)
    say(
        f"estimate     {estimate.steps:,} steps at {estimate.step_seconds:.3g} s: {estimate.hours:.2f} hours, "
        f"${estimate.dollars:.2f} at ${final.price_per_hour:.2f} an hour"
    )
    if final.budget is not None and estimate.dollars > final.budget:
        raise UserError(
            f"the run would cost ${estimate.dollars:.2f}, more than --budget {final.budget:g}; nothing was started. "
            "Take a cheaper machine, or a larger --budget"
        )
    say(f"command      {command(settings)}")
    return None if check_only else train(settings)


def command(settings: Settings) -> str:
    """The command line of train_gpt2.py that does the same: to be given again after an interruption."""
    flags = {
        "-o": settings.output,
        "-id": settings.train_data,
        "-iv": settings.val_data,
        "-b": settings.micro_batch,
        "-y": 1,
        "-e": settings.model,
        "-ss": settings.start_step,
        "-l": settings.learning_rate,
        "-x": settings.steps,
    }
    known = defaults()
    others = {
        "-t": "seq_len",
        "-d": "total_batch",
        "-u": "warmup",
        "-n": "checkpoint_every",
        "-v": "val_every",
        "-m": "val_batches",
        "-h": "hellaswag",
        "-ih": "hellaswag_data",
        "-s": "sample_every",
        "-nk": "keep",
        "--val-tokens": "val_tokens",
        "--device": "device",
        "--precision": "precision",
    }
    for flag, name in others.items():
        value = getattr(settings, name)
        if value != getattr(known, name):
            flags[flag] = int(value) if isinstance(value, bool) else value
    words = [word for flag, value in flags.items() for word in (flag, shlex.quote(str(value)))]
    return " ".join(["python train/train_gpt2.py", *words])


def _check_seed(settings: Settings) -> str:
    path = settings.model or ""
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file; name the seed model with SEED_MODEL=file (--seed-model)")
    checkpoint.verify_model(path)
    model = model_file.open_model(path)  # reads all of it: sizes, and that every weight is a finite number
    if settings.seq_len > model.shape.max_seq_len:
        raise UserError(f"{path}: has {model.shape.max_seq_len} positions; give -t {model.shape.max_seq_len} or less")
    return f"{path}: {model.shape}, {model.shape.num_parameters:,} parameters, {machine.precision_name(model.dtype)}"


def _check_tokens(settings: Settings, final: Final) -> str:
    shards = open_shards(settings.train_data, "--data")
    loader = Loader(shards, settings.micro_batch, settings.seq_len, SHUFFLE_SEED, "--data")
    Loader(open_shards(settings.val_data, "--data"), settings.micro_batch, settings.seq_len, None, "--data")
    wanted = (settings.steps - settings.start_step) * settings.tokens_per_update
    have = loader.windows * loader.window
    told = (
        f"{have:,} tokens in {len(shards)} shards for the {wanted:,} of steps {settings.start_step} to {settings.steps}"
    )
    if have < wanted and not final.allow_repeats:
        raise UserError(
            f"--data {final.data}: {told}: too few, so that {wanted / have:.1f} epochs would repeat them; make more "
            "shards, or bear the repetition with --allow-repeats"
        )
    return told


def _check_disk(settings: Settings) -> str:
    """Checkpoints that are still to be written must find room."""
    found = model_file.read_header(settings.model or "")
    count = found.shape.num_parameters
    each = checkpoint.bytes_needed(max(found.bytes, 2 * count), count, masters=settings.masters)
    make_folder(settings.output)
    done = {found.step for found in checkpoint.find(settings.output)}
    last = settings.stop_after if settings.stop_after != -1 else settings.steps
    every = settings.checkpoint_every
    if every == 0:
        raise UserError("-n 0: no weights would ever be written; give -n 1000")
    start = settings.start_step
    # llm.c, and so the trainer, saves before its first update too where the first step is due.
    due = last // every - start // every + (last % every > 0) + (start > 0 and start % every == 0)
    count = due - sum(start <= step <= last for step in done)
    if settings.keep:
        count = min(count, settings.keep + 1)
    free = shutil.disk_usage(settings.output).free
    if count * each + _KEPT_FREE > free:
        raise UserError(
            f"-o {settings.output}: {count} checkpoints of {each / 1e9:.2f} GB are to be written and "
            f"{free / 1e9:.2f} GB are free; free some, choose another disk, or keep fewer with -nk 1"
        )
    return f"{count} checkpoints of {each / 1e9:.3g} GB to come, {free / 1e9:,.0f} GB free"


def _estimate(settings: Settings, final: Final, say: Callable[[str], None]) -> Estimate:
    """From the log of a run that is resumed, or from a probe."""
    done = checkpoint.find(settings.output)
    at = done[0].step if done else settings.start_step
    seconds = _seconds_logged(settings.output) if done else None
    if seconds is None:
        say(f"probe        {PROBE_STEPS} steps, thrown away afterwards")
        seconds = _probe(settings)
    last = settings.stop_after if settings.stop_after != -1 else settings.steps
    steps = max(0, last - at)
    total = steps * seconds + _evaluation_seconds(settings, at, last, seconds) + _saving_seconds(settings, steps)
    return Estimate(seconds, total / 3600, total / 3600 * final.price_per_hour, steps)


def _probe(settings: Settings) -> float:
    """The worst time of the later steps of a run of 20, in a folder of its own; memory that lacks shows up here."""
    with tempfile.TemporaryDirectory(prefix="probe-", dir=settings.output) as folder:
        stop = min(settings.start_step + PROBE_STEPS, settings.steps)
        train(
            replace(
                settings,
                output=folder,
                resume=False,
                checkpoint_every=0,
                stop_after=stop,
                hellaswag=False,
                sample_every=0,
                val_every=0,
                val_tokens=settings.seq_len,
            )
        )
        history = run_log.read(os.path.join(folder, run_log.NAME))
    times = history.ms[min(PROBE_FROM, len(history.ms) - 1) :]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return float(times.max()) / 1000


def _seconds_logged(folder: str) -> float | None:
    """The worst of the last steps that a run's log tells."""
    path = os.path.join(folder, run_log.NAME)
    if not os.path.exists(path):
        return None
    times = run_log.read(path).ms
    return float(times[-PROBE_FROM:].max()) / 1000 if len(times) else None


def _evaluation_seconds(settings: Settings, at: int, last: int, step_seconds: float) -> float:
    """Validation and HellaSwag cost a forward pass, a third of a training step for each token."""
    every = settings.val_every
    count = len({step for step in range(at, last) if every and step % every == 0} | {last})
    tokens = settings.val_tokens or max(0, settings.val_batches) * settings.micro_batch * settings.seq_len
    if settings.hellaswag and os.path.exists(settings.hellaswag_data):
        shape = model_file.read_header(settings.model or "").shape
        tokens += len(hellaswag.prepare(settings.hellaswag_data, shape.max_seq_len).tokens)
    return count * tokens / settings.tokens_per_update * step_seconds * _FORWARD_SHARE


def _saving_seconds(settings: Settings, steps: int) -> float:
    parameters = model_file.read_header(settings.model or "").shape.num_parameters
    size = checkpoint.bytes_needed(2 * parameters, parameters, masters=settings.masters)
    return (1 + steps // settings.checkpoint_every) * size / _WRITE_BYTES_A_SECOND
