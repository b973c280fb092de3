"""The final run: from a seed model at half of the schedule to its end, with all that can go wrong looked at before.

What costs money is checked first: that the seed loads, that the shards last, that the disk and the GPU's memory are
large enough; a short probe tells hours and dollars. The run can be started again with the same words at any time.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace

from sparkprep.errors import UserError
from sparkprep.units import human_bytes
from trainer import device as machine
from trainer.checkpoints import checkpoint, model_file
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.folder import held
from trainer.data.loader import Loader, open_shards
from trainer.final.cost import Estimate, checkpoint_bytes, checkpoints_due, estimate, last_step
from trainer.final.health import HealthCheck
from trainer.final.settings import FinalRun
from trainer.launch import command_of
from trainer.loop.loop import train_in
from trainer.loop.resume import check_beginning, check_data
from trainer.loop.run import Run
from trainer.settings import TrainSettings, words_of

_KEPT_FREE = 1 << 30  # bytes for logs and all else, or of one checkpoint where that is less
_FLAGS_ALWAYS_TOLD = (
    *("output", "train_data", "val_data", "micro_batch", "resume"),
    *("model", "start_step", "learning_rate", "steps"),
)


class RunFailed(UserError):
    """Training broke off after all checks, when time had been paid for."""


def run_final(final: FinalRun, say: Callable[[str], None], *, check_only: bool = False) -> Run | None:
    """Check, estimate and train; return the finished run, or None with check_only and where nothing was left to do.

    say: is told each line of the check, and after half an hour one about the run's health. Raises UserError for what
    stands in the way, RunFailed where the training itself broke off.
    """
    settings = final.settings()
    with held(settings.output) as folder:
        newest = checkpoint.find(folder)[:1]
        for files in newest:
            check_beginning(settings, files)
        if newest and newest[0].step >= last_step(settings):
            return None if check_only else train_in(folder, settings)  # which looks whether it is finished indeed
        cost = _look(final, settings, newest, say)
        if check_only:
            return None
        try:
            return train_in(folder, settings, HealthCheck(settings, cost, final.price_per_hour, final.budget, say))
        except UserError as error:
            raise RunFailed(str(error)) from error


def _look(final: FinalRun, settings: TrainSettings, newest: list[Checkpoint], say: Callable[[str], None]) -> Estimate:
    """Tell what there is and what it will cost; return the cost. newest: the checkpoint to go on from, if any."""
    say(f"seed model   {_check_seed(settings)}")
    say(f"data         {_check_tokens(settings, final, newest)}")
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
    return cost


def command(settings: TrainSettings) -> str:
    """Return the command line of train_gpt2.py that does the same: to be given again after an interruption."""
    return " ".join([command_of("train_gpt2.py"), *map(shlex.quote, words_of(settings, _FLAGS_ALWAYS_TOLD))])


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


def _check_tokens(settings: TrainSettings, final: FinalRun, newest: list[Checkpoint]) -> str:
    """Return the line about the tokens.

    Raises UserError where they do not last for the steps that are left, or are others than a checkpoint's.
    """
    shards = open_shards(settings.train_data, "--data")
    loader = Loader(shards, settings.micro_batch, settings.seq_len, settings.seed, "--data")
    Loader(open_shards(settings.val_data, "--data"), settings.micro_batch, settings.seq_len, None, "--data")
    for files in newest:
        check_data(files, loader)
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
    count, lacking = _room(settings, size)
    free = human_bytes(shutil.disk_usage(settings.output).free)
    if lacking > 0:
        fewer = settings.keep != 1 and _room(replace(settings, keep=1), size)[1] <= 0
        raise UserError(
            f"--output {settings.output}: {count} checkpoints of {human_bytes(size)} are to be written and {free} are "
            f"free; free {human_bytes(lacking)} or more, choose another disk{', or keep one with --keep 1' * fewer}"
        )
    return f"{count} checkpoints of {human_bytes(size)} to come, {free} free"


def _room(settings: TrainSettings, size: int) -> tuple[int, int]:
    """Return how many checkpoints of `size` bytes will take new room at once, and the bytes that lack for them."""
    count, folder = checkpoints_due(settings), settings.output
    free = shutil.disk_usage(folder).free
    if settings.keep:
        checkpoints = checkpoint.find(folder)
        step = checkpoints[0].step if checkpoints else 0
        superfluous = checkpoint.to_prune(
            folder, step, settings.checkpoint_every, settings.keep, settings.keep_multiple
        )
        free += sum(map(checkpoint.size, superfluous))
        there = len(checkpoints) - len(superfluous)
        # An old one is deleted when the new one is whole, and that of the end, at no multiple of -n, replaces none.
        most = settings.keep + 1 + (last_step(settings) % settings.checkpoint_every > 0)
        count = min(count, max(1, most - there))
    return count, int(1.05 * (count * size + min(_KEPT_FREE, size) - free))  # as what is told of it is rounded
