"""How a run begins: from random weights, from a model file, or from its newest sound checkpoint (llm.c's rules).

| command line              | weights      | moments    | first step | data          |
| ------------------------- | ------------ | ---------- | ---------- | ------------- |
| neither -e nor -y         | random       | 0          | -ss        | from the start |
| -e FILE                   | FILE         | 0          | -ss        | from the start |
| -y 1, a checkpoint in -o  | checkpoint   | checkpoint | that step  | where it stood |

AdamW's t is the step + 1 in each, so that after -ss its moments, which are 0, are not corrected for their bias.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gpt2 import device as machine
from gpt2 import hellaswag, samples
from gpt2.data import Loader, open_shards
from gpt2.evaluation import check_val_tokens
from gpt2.files import checkpoint, model_file, state_file
from gpt2.files.checkpoint import Checkpoint
from gpt2.files.state_file import Moments
from gpt2.folder import set_aside
from gpt2.model import GPT2, initialise
from gpt2.optimizer import AdamW
from gpt2.outliers import OutlierDetector
from gpt2.settings import Settings
from sparkprep.errors import UserError
from sparkprep.tokens.formats.shard import ShardFile
from sparkprep.tokens.vocabulary import VOCABULARY_SIZE

SHUFFLE_SEED = 42

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
class Run:
    """All that training goes on from. step: the next update; steps: of the schedule; stop: where this run ends.

    questions: of HellaSwag, if it is asked; words: the bytes of each token, for samples.
    """

    settings: Settings
    folder: str
    device: torch.device
    model: GPT2
    optimizer: AdamW
    loader: Loader
    val_shards: list[ShardFile]
    val_loader: Loader | None
    loss_outliers: OutlierDetector
    norm_outliers: OutlierDetector
    step: int
    steps: int
    stop: int
    resumed: bool
    weights: str
    questions: hellaswag.Questions | None
    words: Sequence[bytes]


def begin(settings: Settings, folder: str) -> Run:
    """The run that a command line asks for, in a folder that is held. Raises UserError for all that does not fit."""
    device = machine.choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:
        machine.make_deterministic()
    loader, val_shards, val_loader = _open_data(settings)
    steps = _steps(settings, loader)
    found = checkpoint.find(folder) if settings.resume else []
    if found:
        start = _resume(settings, found, device)
        _compare(settings, start)
        _restore_data(start, loader)
    else:
        _warn_of_scratch(settings)
        start = _fresh(settings, device)
    questions, words = _questions(settings, start.model), samples.words_of(settings.tokenizer)
    if not settings.resume:
        _tell_of_earlier(folder)  # last: a command line that is refused leaves an earlier run where it was
    stop = settings.stop_after if settings.stop_after != -1 else steps
    return Run(
        settings=settings,
        folder=folder,
        device=device,
        model=start.model,
        optimizer=start.optimizer,
        loader=loader,
        val_shards=val_shards,
        val_loader=val_loader,
        loss_outliers=OutlierDetector(start.manifest.get("outliers", {}).get("loss", ())),
        norm_outliers=OutlierDetector(start.manifest.get("outliers", {}).get("norm", ())),
        step=start.step,
        steps=steps,
        stop=stop,
        resumed=bool(found),
        weights=start.weights,
        questions=questions,
        words=words,
    )


def manifest_of(run: Run) -> dict[str, Any]:
    """What a checkpoint keeps beside llm.c's fields: what the order of the data hangs on, and the outlier windows."""
    settings = run.settings
    return {
        "settings": {name: getattr(settings, name) for name in (*_SAME_ORDER, *_WORTH_TELLING)},
        "shards": _names_and_tokens(run.loader),
        "outliers": {"loss": run.loss_outliers.values, "norm": run.norm_outliers.values},
        "torch": torch.__version__,
    }


class _DoesNotFit(UserError):
    """A command line that contradicts a model file, of which no other checkpoint would be a way out."""


@dataclass
class _Start:
    model: GPT2
    optimizer: AdamW
    step: int
    weights: str
    manifest: dict[str, Any]
    checkpoint: Checkpoint | None = None
    data: Any = None


def _open_data(settings: Settings) -> tuple[Loader, list[ShardFile], Loader | None]:
    rows, seq_len = settings.micro_batch, settings.seq_len
    val_shards = open_shards(settings.val_data, "-iv")
    if settings.overfit:
        train, seed, flag = val_shards, None, "-iv"
    else:
        train, seed, flag = open_shards(settings.train_data, "-id"), SHUFFLE_SEED, "-id"
    loader = Loader(train, rows, seq_len, seed, flag)
    if settings.val_tokens is not None:
        check_val_tokens(val_shards, settings.val_tokens, seq_len)
        return loader, val_shards, None
    return loader, val_shards, Loader(val_shards, rows, seq_len, None, "-iv")


def _steps(settings: Settings, loader: Loader) -> int:
    """Updates of the schedule: -x, or one epoch, which only the shards tell."""
    if settings.steps != -1:
        return settings.steps
    steps = loader.tokens // settings.tokens_per_update
    if steps == 0:
        raise UserError(
            f"-x -1: the training shards hold {loader.tokens:,} tokens, fewer than one update's "
            f"{settings.tokens_per_update:,} (-d); give a smaller -d, or more shards"
        )
    for flag, value in (("-es", settings.stop_after), ("-ss", settings.start_step)):
        if value > steps:
            raise UserError(
                f"{flag} {value} lies beyond the {steps} steps of one epoch (-x -1); give a smaller {flag}, or -x"
            )
    return steps


def _fresh(settings: Settings, device: torch.device) -> _Start:
    path = settings.model_file
    if path is None:
        shape = settings.shape
        model = GPT2(
            shape, device=device, dtype=machine.choose_dtype(settings.precision, device), recompute=settings.recompute
        )
        _check_length(settings, model, "a new model")
        initialise(model)
        weights = "random"
    else:
        checkpoint.verify_model(path)
        model = _model_for(settings, path, device)
        model_file.load(path, model)
        weights = path
    optimizer = AdamW(model, settings.weight_decay, masters=settings.masters)
    return _Start(model, optimizer, settings.start_step, weights, {})


def _resume(settings: Settings, found: list[Checkpoint], device: torch.device) -> _Start:
    """The newest checkpoint that is sound."""
    for each in found:
        try:
            return _read(settings, each, device)
        except _DoesNotFit:
            raise
        except UserError as error:
            print(f"warning: {error}; this checkpoint is left out", file=sys.stderr)
    raise UserError(
        f"{os.path.dirname(found[0].done)}: none of its checkpoints (steps "
        f"{', '.join(str(each.step) for each in found)}) is sound; restore one of them, or start anew in another "
        "folder (-o)"
    )


def _read(settings: Settings, found: Checkpoint, device: torch.device) -> _Start:
    checkpoint.verify(found)
    model = _model_for(settings, found.model, device)
    optimizer = AdamW(model, settings.weight_decay, masters=settings.masters)
    model_file.load(found.model, model)
    # With float32 weights the state file's masters replace those of the model file, which are rounded.
    masters = model.flat if settings.masters or model.dtype == torch.float32 else None
    head, data = state_file.read(found.state, Moments(optimizer.m, optimizer.v, masters))
    optimizer.rounding, optimizer.rounding_before = head.rounding, head.rounding_before
    if head.step != found.step:
        raise UserError(f"{found.state}: of step {head.step:,}, not {found.step:,}; it has been renamed or mixed up")
    return _Start(model, optimizer, head.step, found.model, checkpoint.read_manifest(found), found, data)


def _compare(settings: Settings, start: _Start) -> None:
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


def _restore_data(start: _Start, loader: Loader) -> None:
    """Set the loader to where the checkpoint's stood; that it cannot is no damage of the checkpoint."""
    assert start.checkpoint is not None
    try:
        loader.restore(start.data)
    except ValueError as error:
        raise UserError(
            f"{start.checkpoint.state}: does not fit the training data: {error}; give the -b, -t and -id that it was "
            f"written with, or start from its weights alone in another folder (-e {start.weights} -ss {start.step})"
        ) from error
    before, now = start.manifest.get("shards", []), _names_and_tokens(loader)
    changed = [(a, b) for a, b in zip(before, now, strict=False) if a != b]
    if changed:
        (old, tokens), (name, count) = changed[0]
        raise UserError(
            f"{start.checkpoint.manifest}: does not fit the training data: {old} with {tokens:,} tokens stood where "
            f"{name} with {count:,} is now; give the -id that it was written with, or start from its weights alone in "
            f"another folder (-e {start.weights} -ss {start.step})"
        )


def _names_and_tokens(loader: Loader) -> list[list[Any]]:
    return [[os.path.basename(each.path), each.header.tokens] for each in loader.shards]


def _questions(settings: Settings, model: GPT2) -> hellaswag.Questions | None:
    if not settings.hellaswag:
        return None
    if not os.path.exists(settings.hellaswag_data):
        print(f"note: {settings.hellaswag_data} is not there, so HellaSwag is left out (-ih; -h 0 leaves it out too)")
        return None
    return hellaswag.prepare(settings.hellaswag_data, model.shape.max_seq_len)


def _model_for(settings: Settings, path: str, device: torch.device) -> GPT2:
    """An empty model of a file's shape, which the command line's must not contradict."""
    head = model_file.read_header(path)
    shape = head.shape
    asked = {"layers": "-1d", "channels": "-1c", "heads": "-1h"}
    wrong = [
        f"{flag} {getattr(settings, name)} (it has {getattr(shape, name)})"
        for name, flag in asked.items()
        if name in settings.given and getattr(settings, name) != getattr(shape, name)
    ]
    if wrong:
        raise _DoesNotFit(f"{path}: does not fit {', '.join(wrong)}; leave these flags out, or give another file")
    if shape.vocab_size < VOCABULARY_SIZE:
        raise _DoesNotFit(
            f"{path}: its vocabulary has {shape.vocab_size:,} tokens, and the shards' {VOCABULARY_SIZE:,}; give a "
            "model with GPT-2's vocabulary"
        )
    dtype = machine.choose_dtype(settings.precision, device, head.dtype)
    model = GPT2(shape, device=device, dtype=dtype, recompute=settings.recompute)
    _check_length(settings, model, path)
    return model


def _check_length(settings: Settings, model: GPT2, path: str) -> None:
    if settings.seq_len > model.shape.max_seq_len:
        raise _DoesNotFit(
            f"-t {settings.seq_len}: {path} has {model.shape.max_seq_len} positions; give -t {model.shape.max_seq_len} "
            "or less"
        )
    if settings.seq_len < model.shape.max_seq_len and "seq-len" in settings.given:
        print(
            f"note: -t {settings.seq_len} is shorter than the model's {model.shape.max_seq_len} positions; those "
            "beyond it stay as they are",
            file=sys.stderr,
        )


def _tell_of_earlier(folder: str) -> None:
    moved = set_aside(folder)
    if moved:
        print(f"note: {folder} holds an earlier run, and -y 1 is not given; it was moved to {moved}", file=sys.stderr)


def _warn_of_scratch(settings: Settings) -> None:
    """Resuming was asked for, and there is nothing to resume from: often a command line that lost its second half."""
    if settings.resume and settings.model is None and settings.start_step == 0:
        rule = "!" * 100
        print(
            f"{rule}\nwarning: -y 1, but {settings.output} holds no checkpoint and there is no -e: this run starts\n"
            f"from RANDOM weights at step 0 with learning rate {settings.learning_rate:g}. Was the command cut in two\n"
            f"(a backslash lost at a line's end)? Then stop it now.\n{rule}",
            file=sys.stderr,
        )
