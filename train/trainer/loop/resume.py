"""Going on from a checkpoint: the newest that is sound, and only with data in the order that it was written with."""

from __future__ import annotations

import importlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from sparkprep.console import say_line
from sparkprep.errors import UserError
from trainer.checkpoints import checkpoint, model_file, state_file
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.state_file import Moments
from trainer.data.loader import Loader, LoaderState
from trainer.loop.run import DoesNotFit, Run, Start, model_for
from trainer.models.architectures import by_name
from trainer.optim.adamw import AdamW
from trainer.settings import TrainSettings

_SAME_ORDER = {"micro_batch": "-b", "seq_len": "-t"}
_WORTH_TELLING = {
    "learning_rate": "-l",
    "steps": "-x",
    "warmup": "-u",
    "scheduler": "-k",
    "final_fraction": "-q",
    "weight_decay": "-c",
    "total_batch": "-d",
}


def manifest_of(run: Run) -> dict[str, Any]:
    """Return what a checkpoint keeps beside llm.c's fields.

    That is what the order of the data hangs on, and the windows of the outlier detectors.
    """
    settings = run.settings
    return {
        "settings": {name: getattr(settings, name) for name in (*_SAME_ORDER, *_WORTH_TELLING)},
        "shards": names_and_tokens(run.loader),
        "outliers": {"loss": run.loss_outliers.values, "norm": run.norm_outliers.values},
        "torch": torch.__version__,
    }


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A sound checkpoint in memory. data: where its loader stood."""

    files: Checkpoint
    start: Start
    data: LoaderState


def newest_sound(settings: TrainSettings, checkpoints: list[Checkpoint], device: torch.device) -> LoadedCheckpoint:
    """Return the newest checkpoint that is sound, loaded. Raises UserError where none is."""
    for files in checkpoints:
        try:
            return _load(settings, files, device)
        except DoesNotFit:
            raise
        except UserError as error:
            say_line(f"warning: {error}; this checkpoint is left out", sys.stderr)
    steps = ", ".join(str(files.step) for files in checkpoints)
    raise UserError(
        f"{os.path.dirname(checkpoints[0].done)}: none of its checkpoints (steps {steps}) is sound; restore one of "
        "them, or start anew in another folder (-o)"
    )


def _load(settings: TrainSettings, files: Checkpoint, device: torch.device) -> LoadedCheckpoint:
    with ThreadPoolExecutor(1) as pool:
        verified = pool.submit(checkpoint.verify, files)
        # The optimizer would load it, for some seconds: here it is loaded while 2 GB are hashed.
        importlib.import_module("torch._dynamo")
        verified.result()
    manifest = checkpoint.read_manifest(files)
    _check_architecture(files, manifest)
    model = model_for(settings, files.model, device)
    optimizer = AdamW(model, settings.weight_decay, masters=settings.masters)
    model_file.load(files.model, model)
    # The state file's masters replace the weights of the model file, which may be rounded; -w 0 wants these.
    masters = model.flat if settings.masters else None
    head, data = state_file.read(files.state, Moments(optimizer.m, optimizer.v, masters))
    with torch.no_grad():
        model_file.clear_padding(files.state, model)
    optimizer.rounding, optimizer.rounding_before = head.rounding, head.rounding_before
    if head.step != files.step:
        raise UserError(f"{files.state}: of step {head.step:,}, not {files.step:,}; it has been renamed or mixed up")
    return LoadedCheckpoint(files, Start(model, optimizer, head.step, files.model, manifest), data)


def _check_architecture(files: Checkpoint, manifest: dict[str, Any]) -> None:
    """Raise DoesNotFit where the manifest tells of another architecture than the model file."""
    name = checkpoint.architecture_of(manifest)
    if name not in by_name():
        raise DoesNotFit(
            f"{files.manifest}: its model is of the architecture {name!r}, which this version does not have; go on "
            "with the version that wrote it"
        )
    stored = model_file.read_header(files.model).shape.NAME
    if name != stored:
        raise DoesNotFit(
            f"{files.manifest}: tells of the architecture {name!r}, and {os.path.basename(files.model)} is {stored!r}; "
            "copy both anew"
        )


def compare(settings: TrainSettings, start: Start) -> None:
    """Refuse what would change the order of the data, and tell of other changes since the checkpoint was written."""
    before = start.manifest.get("settings", {})
    changed = {
        name: flag
        for name, flag in {**_SAME_ORDER, **_WORTH_TELLING}.items()
        if name in before and before[name] != getattr(settings, name)
    }
    for name, flag in changed.items():
        if name in _SAME_ORDER:
            raise UserError(
                f"{flag} {getattr(settings, name)}: this run was started with {flag} {before[name]}, on which the "
                f"order of its data depends; give {flag} {before[name]}"
            )
        say_line(f"note: {flag} was {before[name]} and is now {getattr(settings, name)}", sys.stderr)


def restore_data(loaded: LoadedCheckpoint, loader: Loader) -> None:
    """Set the loader to where the checkpoint's stood. Raises UserError where the data are not those of the run."""
    files, start = loaded.files, loaded.start
    anew = f"start from its weights alone in another folder (-e {start.weights} -ss {start.step})"
    try:
        loader.restore(loaded.data)
    except ValueError as error:
        raise UserError(
            f"{files.state}: does not fit the training data: {error}; give the -b, -t and -id that it was written "
            f"with, or {anew}"
        ) from error
    before, now = start.manifest.get("shards", []), names_and_tokens(loader)
    changed = [(a, b) for a, b in zip(before, now, strict=False) if a != b]
    if changed:
        (old, tokens), (name, count) = changed[0]
        raise UserError(
            f"{files.manifest}: does not fit the training data: {old} with {tokens:,} tokens stood where {name} with "
            f"{count:,} is now; give the -id that it was written with, or {anew}"
        )


def names_and_tokens(loader: Loader) -> list[list[Any]]:
    """Return the name and the number of tokens of each shard, as a manifest keeps them."""
    return [[os.path.basename(shard.path), shard.header.tokens] for shard in loader.shards]
