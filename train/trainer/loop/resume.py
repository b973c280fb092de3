"""Going on from a checkpoint: the newest that is sound, and only with data in the order that it was written with."""

from __future__ import annotations

import importlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sparkprep.errors import UserError
from trainer.checkpoints import checkpoint, model_file, state_file
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.state_file import Moments
from trainer.data.loader import Loader
from trainer.loop.fitting import DoesNotFit, model_for
from trainer.models.gpt2 import GPT2
from trainer.optim.adamw import AdamW
from trainer.settings import Settings

if TYPE_CHECKING:
    from trainer.loop.start import Run

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


@dataclass
class Start:
    model: GPT2
    optimizer: AdamW
    step: int
    weights: str
    manifest: dict[str, Any]
    checkpoint: Checkpoint | None = None
    data: Any = None


def manifest_of(run: Run) -> dict[str, Any]:
    """What a checkpoint keeps beside llm.c's fields: what the order of the data hangs on, and the outlier windows."""
    settings = run.settings
    return {
        "settings": {name: getattr(settings, name) for name in (*_SAME_ORDER, *_WORTH_TELLING)},
        "shards": names_and_tokens(run.loader),
        "outliers": {"loss": run.loss_outliers.values, "norm": run.norm_outliers.values},
        "torch": torch.__version__,
    }


def newest_sound(settings: Settings, found: list[Checkpoint], device: torch.device) -> Start:
    """The newest checkpoint that is sound."""
    for each in found:
        try:
            return _read(settings, each, device)
        except DoesNotFit:
            raise
        except UserError as error:
            print(f"warning: {error}; this checkpoint is left out", file=sys.stderr)
    raise UserError(
        f"{os.path.dirname(found[0].done)}: none of its checkpoints (steps "
        f"{', '.join(str(each.step) for each in found)}) is sound; restore one of them, or start anew in another "
        "folder (-o)"
    )


def _read(settings: Settings, found: Checkpoint, device: torch.device) -> Start:
    with ThreadPoolExecutor(1) as pool:
        verified = pool.submit(checkpoint.verify, found)
        # The optimizer would load it, for some seconds: here it is loaded while 2 GB are hashed.
        importlib.import_module("torch._dynamo")
        verified.result()
    model = model_for(settings, found.model, device)
    optimizer = AdamW(model, settings.weight_decay, masters=settings.masters)
    model_file.load(found.model, model)
    # With float32 weights the state file's masters replace those of the model file, which are rounded.
    masters = model.flat if settings.masters or model.dtype == torch.float32 else None
    head, data = state_file.read(found.state, Moments(optimizer.m, optimizer.v, masters))
    with torch.no_grad():
        model_file.clear_padding(found.state, model)
    optimizer.rounding, optimizer.rounding_before = head.rounding, head.rounding_before
    if head.step != found.step:
        raise UserError(f"{found.state}: of step {head.step:,}, not {found.step:,}; it has been renamed or mixed up")
    return Start(model, optimizer, head.step, found.model, checkpoint.read_manifest(found), found, data)


def compare(settings: Settings, start: Start) -> None:
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
        print(f"note: {flag} was {before[name]} and is now {getattr(settings, name)}", file=sys.stderr)


def restore_data(start: Start, loader: Loader) -> None:
    """Set the loader to where the checkpoint's stood; that it cannot is no damage of the checkpoint."""
    assert start.checkpoint is not None
    try:
        loader.restore(start.data)
    except ValueError as error:
        raise UserError(
            f"{start.checkpoint.state}: does not fit the training data: {error}; give the -b, -t and -id that it was "
            f"written with, or start from its weights alone in another folder (-e {start.weights} -ss {start.step})"
        ) from error
    before, now = start.manifest.get("shards", []), names_and_tokens(loader)
    changed = [(a, b) for a, b in zip(before, now, strict=False) if a != b]
    if changed:
        (old, tokens), (name, count) = changed[0]
        raise UserError(
            f"{start.checkpoint.manifest}: does not fit the training data: {old} with {tokens:,} tokens stood where "
            f"{name} with {count:,} is now; give the -id that it was written with, or start from its weights alone in "
            f"another folder (-e {start.weights} -ss {start.step})"
        )


def names_and_tokens(loader: Loader) -> list[list[Any]]:
    return [[os.path.basename(each.path), each.header.tokens] for each in loader.shards]
