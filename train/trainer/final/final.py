"""The final run: from a seed model at half of the schedule to its end, with all that can go wrong looked at before.

What costs money is checked first: that the seed loads, that the shards last, that the disk and the GPU's memory are
large enough; a probe of 20 steps tells hours and dollars. The run can be started again with the same words at any time.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder
from sparkprep.io.paths import normalise
from sparkprep.options import Integer, Number, OneOf, Switch, Text, check_options, option, options_of
from sparkprep.units import human_bytes
from trainer import device as machine
from trainer.checkpoints import checkpoint, model_file
from trainer.data.loader import Loader, open_shards
from trainer.final.cost import checkpoint_bytes, checkpoints_due, estimate
from trainer.flags import DEVICES
from trainer.loop.loop import train
from trainer.loop.run import Run
from trainer.loop.start import SHUFFLE_SEED
from trainer.settings import TrainSettings, check, defaults

_KEPT_FREE = 1 << 30


@dataclass(frozen=True)
class FinalRun:
    """A final run. changes: what else its training is to have, as names and values of TrainSettings."""

    seed_model: str | None = option(None, "the model file to start from", Text(), "FILE")
    learning_rate: float | None = option(None, "highest learning rate of the schedule", Number(0, above=True), "X")
    data: str | None = option(
        None,
        "folder of token shards (NAME_train_*.bin and NAME_val_*.bin), or a pattern of the former",
        Text(),
        "FOLDER",
    )
    output: str | None = option(
        None, "folder of logs and checkpoints (default logGPT, of a rehearsal: rehearsal)", Text(), "FOLDER"
    )
    start_step: int = option(2365, "updates the seed has had", Integer(0))
    steps: int = option(4725, "updates of the whole schedule", Integer(1))
    micro_batch: int = option(32, "rows at a time", Integer(1), short=("-b",))
    hellaswag_data: str | None = option(
        None, "hellaswag_val.bin (default data/hellaswag_val.bin, if it is there)", Text(), "FILE"
    )
    val_tokens: int | None = option(None, "tokens of a validation: the same set for any --micro-batch", Integer(1))
    keep: int = option(0, "keep only the newest N checkpoints; 0: all", Integer(0))
    price_per_hour: float = option(1.5, "dollars", Number(0), "X")
    budget: float | None = option(None, "do not start where the estimate is above so many dollars", Number(0), "X")
    allow_repeats: bool = option(False, "bear that too few shards are gone through more than once", Switch())
    device: str = option("auto", "cpu trains the real thing on a CPU", OneOf(DEVICES))
    changes: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def folder(self) -> str:
        """Where it writes to."""
        return normalise(self.output or "logGPT")

    def settings(self) -> TrainSettings:
        """Return the settings of its training, whose flags are those of the course. Raises UserError for what lacks."""
        for value, flag in (
            (self.seed_model, "SEED_MODEL=file (--seed-model)"),
            (self.learning_rate, "LR=rate (--learning-rate)"),
            (self.data, "DATA=folder (--data)"),
        ):
            if value is None:
                raise UserError(f"{flag} is missing; --help shows an example")
        if self.start_step >= self.steps:
            raise UserError(
                f"--start-step {self.start_step} leaves nothing of the {self.steps} steps (--steps); give a smaller one"
            )
        train_data, val_data = shard_patterns(self.data or "")
        same = ("learning_rate", "start_step", "steps", "micro_batch", "val_tokens", "keep", "device")
        values: dict[str, Any] = {
            "output": self.folder,
            "train_data": train_data,
            "val_data": val_data,
            "resume": True,
            "model": self.seed_model,
            **{name: getattr(self, name) for name in same},
        }
        if self.hellaswag_data is not None:
            values["hellaswag_data"] = self.hellaswag_data
        settings = defaults(**{**values, **dict(self.changes)})
        check(settings)
        return settings


def shard_patterns(data: str) -> tuple[str, str]:
    """Return the patterns of the training and validation shards of a folder, or of a pattern that names the former."""
    if os.path.isdir(data):
        return os.path.join(data, "*_train_*.bin"), os.path.join(data, "*_val_*.bin")
    if "_train_" in os.path.basename(data):
        folder, name = os.path.split(data)
        return data, os.path.join(folder, name.replace("_train_", "_val_"))
    raise UserError(
        f"--data {data}: neither a folder of shards nor a pattern with _train_ in it; `sparkprep tokenize … --shards "
        "FOLDER` makes such a folder"
    )


def run_final(final: FinalRun, say: Callable[[str], None], *, check_only: bool = False) -> Run | None:
    """Check, estimate and train; return the finished run, or None with check_only.

    say: is told each line of the check. Raises UserError for what stands in the way.
    """
    settings = final.settings()
    say(f"seed model   {_check_seed(settings)}")
    say(f"data         {_check_tokens(settings, final)}")
    say(f"disk         {_check_disk(settings)}")
    cost = estimate(settings, final.price_per_hour, say)
    say(
        f"estimate     {cost.steps:,} steps at {cost.step_seconds:.3g} s: {cost.hours:.2f} hours, "
        f"${cost.dollars:.2f} at ${final.price_per_hour:.2f} an hour"
    )
    if final.budget is not None and cost.dollars > final.budget:
        raise UserError(
            f"the run would cost ${cost.dollars:.2f}, more than --budget {final.budget:g}; nothing was started. "
            "Take a cheaper machine, or a larger --budget"
        )
    say(f"command      {command(settings)}")
    return None if check_only else train(settings)


_ALWAYS = ("output", "train_data", "val_data", "micro_batch", "resume", "model", "start_step", "learning_rate", "steps")


def command(settings: TrainSettings) -> str:
    """Return the command line of train_gpt2.py that does the same: to be given again after an interruption."""
    options = {option.name: option for option in options_of(TrainSettings)}
    changed = [name for name, option in options.items() if getattr(settings, name) != option.default]
    words = ["python train/train_gpt2.py"]
    for name in [*_ALWAYS, *(name for name in changed if name not in _ALWAYS)]:
        option, value = options[name], getattr(settings, name)
        words.append(option.short[0] if option.short else option.flag)
        if not isinstance(option.kind, Switch):
            words.append(shlex.quote(str(int(value) if isinstance(value, bool) else value)))
    return " ".join(words)


def _check_seed(settings: TrainSettings) -> str:
    """Return the line about the seed model. Raises UserError where it is damaged or has too few positions."""
    path = settings.model or ""
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file; name the seed model with SEED_MODEL=file (--seed-model)")
    checkpoint.verify_model(path)
    model = model_file.open_model(path)  # reads all of it: sizes, and that every weight is a finite number
    if settings.seq_len > model.shape.max_seq_len:
        raise UserError(f"{path}: has {model.shape.max_seq_len} positions; give -t {model.shape.max_seq_len} or less")
    return f"{path}: {model.shape}, {model.shape.num_parameters:,} parameters, {machine.precision_name(model.dtype)}"


def _check_tokens(settings: TrainSettings, final: FinalRun) -> str:
    """Return the line about the tokens. Raises UserError where they do not last for the steps that are left."""
    shards = open_shards(settings.train_data, "--data")
    loader = Loader(shards, settings.micro_batch, settings.seq_len, SHUFFLE_SEED, "--data")
    Loader(open_shards(settings.val_data, "--data"), settings.micro_batch, settings.seq_len, None, "--data")
    needed = (settings.steps - settings.start_step) * settings.tokens_per_update
    have = loader.windows * loader.window
    line = (
        f"{have:,} tokens in {len(shards)} shards for the {needed:,} of steps {settings.start_step} to {settings.steps}"
    )
    if have < needed and not final.allow_repeats:
        raise UserError(
            f"--data {final.data}: {line}: too few, so that {needed / have:.1f} epochs would repeat them; make more "
            "shards, or bear the repetition with --allow-repeats"
        )
    return line


def _check_disk(settings: TrainSettings) -> str:
    """Return the line about the disk. Raises UserError where checkpoints that are still to be written find no room."""
    if settings.checkpoint_every == 0:
        raise UserError("-n 0: no weights would ever be written; give -n 1000")
    size = checkpoint_bytes(settings)
    make_folder(settings.output)
    count = checkpoints_due(settings)
    if settings.keep:
        count = min(count, settings.keep + 1)  # an old one is deleted when the new one is whole
    free = shutil.disk_usage(settings.output).free
    if count * size + _KEPT_FREE > free:
        raise UserError(
            f"-o {settings.output}: {count} checkpoints of {human_bytes(size)} are to be written and "
            f"{human_bytes(free)} are free; free some, choose another disk, or keep fewer with -nk 1"
        )
    return f"{count} checkpoints of {human_bytes(size)} to come, {human_bytes(free)} free"
