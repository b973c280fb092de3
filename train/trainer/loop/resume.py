"""Going on from a checkpoint: the newest that is sound, and only with data in the order that it was written with."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from sparkprep.console import say_line
from sparkprep.errors import UserError
from sparkprep.io.files import sha256_of
from trainer import run_files
from trainer.checkpoints import checkpoint, model_file, state_file
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.state_file import Moments
from trainer.data.loader import Loader, LoaderState
from trainer.loop.run import DoesNotFit, Run, Start, model_for
from trainer.models.architectures import by_name
from trainer.optim.adamw import AdamW
from trainer.runs import log as run_log
from trainer.settings import TrainSettings

_LOOKED_AT = 1 << 13  # tokens at either end of a shard
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

    That is what the run began with, what the order of the data hangs on, and the windows of the outlier detectors.
    """
    settings = run.settings
    return {
        "settings": {name: getattr(settings, name) for name in (*_SAME_ORDER, *_WORTH_TELLING)},
        "began": run.began,
        "shards": names_and_tokens(run.loader),
        "contents": digests(run.loader),
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


def beginning_of(settings: TrainSettings) -> dict[str, Any]:
    """Return what a run that starts anew begins with, to be kept in its checkpoints: step, and weights by hash."""
    path = settings.model_file
    seed = None if path is None else {"name": os.path.basename(path), "sha256": sha256_of(path)[1]}
    return {"step": settings.start_step, "seed": seed}


def check_beginning(settings: TrainSettings, files: Checkpoint) -> dict[str, Any]:
    """Return what the run of a checkpoint began with; empty where it does not tell, as llm.c's do not.

    Raises DoesNotFit where the command line names another beginning: it asks for another run than that in its folder.
    """
    try:
        began = checkpoint.read_manifest(files).get("began")
    except UserError:
        began = None  # a damaged one is told of where the checkpoint is loaded
    if not (isinstance(began, dict) and began.keys() == {"step", "seed"}):
        began = {}
    lies_below = settings.start_step > files.step
    other_step = bool(began) and settings.start_step > 0 and settings.start_step != began["step"]
    if lies_below or other_step or (began and _other_seed(settings, began["seed"])):
        raise DoesNotFit(
            f"{files.done}: this checkpoint of step {files.step} is of a run {_told(began)}, and the command line asks "
            f"for one {_told(_asked_for(settings))}; give that one another folder (-o), or -y 0, which sets aside "
            "what lies here; without -e and -ss the run that lies here goes on"
        )
    return began


def _asked_for(settings: TrainSettings) -> dict[str, Any]:
    """Return what the command line says that the run begins with, without a look at the file."""
    path = settings.model_file
    return {"step": settings.start_step, "seed": None if path is None else {"name": path}}


def _told(began: dict[str, Any]) -> str:
    if not began:
        return "that began elsewhere"
    seed = began["seed"]
    return f"that begins at step {began['step']} from {'random weights' if seed is None else seed['name']}"


def _other_seed(settings: TrainSettings, seed: dict[str, Any] | None) -> bool:
    """Return whether -e names other weights than a run began with; a file that has gone is known by its name."""
    if settings.model is None:
        return False
    path = settings.model_file
    if path is None or seed is None:
        return path is not None or seed is not None
    if not os.path.exists(path):
        return bool(os.path.basename(path) != seed["name"])
    return bool(sha256_of(path)[1] != seed["sha256"])


def check_data(files: Checkpoint, loader: Loader) -> None:
    """Raise DoesNotFit where a checkpoint's shards were others, by name, tokens or content; where it tells of them."""
    try:
        manifest = checkpoint.read_manifest(files)
    except UserError:
        return  # a damaged one is told of where the checkpoint is loaded
    now, before = names_and_tokens(loader), manifest.get("shards", [])
    contents = zip(manifest.get("contents", []), digests(loader), strict=False)
    for (old, tokens), (name, count) in zip(before, now, strict=False):
        if (old, tokens) != (name, count):
            difference = f"{old} with {tokens:,} tokens stood where {name} with {count:,} is now"
            break
    else:
        changed = next((place for place, (a, b) in enumerate(contents) if a != b), None)
        if changed is None and (not before or len(before) == len(now)):
            return
        difference = (
            f"it was written with {len(before)} shards, and there are {len(now)}"
            if changed is None
            else f"{now[changed][0]} holds other tokens than the shard of that name that it was written with"
        )
    raise DoesNotFit(
        f"{files.manifest}: does not fit the training data: {difference}; give the -id that it was written with, or "
        f"start from its weights alone in another folder (-e {files.model} -ss {files.step})"
    )


def evaluations_logged(folder: str, step: int) -> frozenset[str]:
    """Return which of run_log.VALIDATION and run_log.HELLASWAG a run's log has of a step; none where it is no log."""
    try:
        history = run_log.read(os.path.join(folder, run_files.LOG))
    except UserError:
        return frozenset()
    streams = {run_log.VALIDATION: history.validation, run_log.HELLASWAG: history.hellaswag}
    return frozenset(kind for kind, stream in streams.items() if step in stream.steps)


def compare(settings: TrainSettings, start: Start) -> list[str]:
    """Refuse what would change the order of the data; return a sentence on each other change since the checkpoint."""
    before = start.manifest.get("settings", {})
    notes = []
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
        notes.append(f"{flag} was {before[name]} and is now {getattr(settings, name)}")
    return notes


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
    check_data(files, loader)


def names_and_tokens(loader: Loader) -> list[list[Any]]:
    """Return the name and the number of tokens of each shard, as a manifest keeps them."""
    return [[os.path.basename(shard.path), shard.header.tokens] for shard in loader.shards]


def digests(loader: Loader) -> list[str]:
    """Return a SHA-256 of the beginning and the end of each shard: what tells two of a name and length apart."""
    ends = ((shard.tokens[:_LOOKED_AT], shard.tokens[-_LOOKED_AT:]) for shard in loader.shards)
    return [hashlib.sha256(first.tobytes() + last.tobytes()).hexdigest() for first, last in ends]
