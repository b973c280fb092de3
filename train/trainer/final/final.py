"""The final run: from a seed model at half of the schedule to its end, with all that can go wrong looked at before.

What costs money is checked first: that the seed loads, that the shards last, that the disk and the GPU's memory are
large enough; a probe of 20 steps tells hours and dollars. The run can be started again with the same words at any time.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder
from sparkprep.options import Switch, options_of
from sparkprep.units import human_bytes
from trainer import device as machine
from trainer.checkpoints import checkpoint, model_file
from trainer.data.loader import Loader, open_shards
from trainer.final.cost import checkpoint_bytes, checkpoints_due, estimate
from trainer.final.health import HealthCheck
from trainer.final.settings import FinalRun
from trainer.loop.loop import train
from trainer.loop.run import Run
from trainer.loop.start import SHUFFLE_SEED
from trainer.settings import TrainSettings

_KEPT_FREE = 1 << 30
_FLAGS_ALWAYS_TOLD = (
    *("output", "train_data", "val_data", "micro_batch", "resume"),
    *("model", "start_step", "learning_rate", "steps"),
)


class RunFailed(UserError):
    """Training broke off after all checks, when time had been paid for."""


def run_final(final: FinalRun, say: Callable[[str], None], *, check_only: bool = False) -> Run | None:
    """Check, estimate and train; return the finished run, or None with check_only.

    say: is told each line of the check, and after half an hour one about the run's health. Raises UserError for what
    stands in the way, RunFailed where the training itself broke off.
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
    if check_only:
        return None
    try:
        return train(settings, HealthCheck(settings, cost, final.price_per_hour, final.budget, say))
    except UserError as error:
        raise RunFailed(str(error)) from error


def command(settings: TrainSettings) -> str:
    """Return the command line of train_gpt2.py that does the same: to be given again after an interruption."""
    options = {option.name: option for option in options_of(TrainSettings)}
    changed = [name for name, option in options.items() if getattr(settings, name) != option.default]
    words = ["python train/train_gpt2.py"]
    for name in [*_FLAGS_ALWAYS_TOLD, *(name for name in changed if name not in _FLAGS_ALWAYS_TOLD)]:
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
