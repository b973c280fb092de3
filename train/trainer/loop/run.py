"""What a run is: the state that training goes on from, and the model that its command line and its files allow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from sparkprep.console import say
from sparkprep.errors import UserError
from sparkprep.llmc.shard import ShardFile
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE
from trainer import device as machine
from trainer.checkpoints import model_file
from trainer.data.loader import Loader
from trainer.evaluate.hellaswag import Questions
from trainer.models.layout import Model
from trainer.optim.adamw import AdamW
from trainer.optim.outliers import OutlierDetector
from trainer.settings import SIZES, TrainSettings


class DoesNotFit(UserError):
    """A command line that contradicts a model file, of which no other checkpoint would be a way out."""


@dataclass
class Start:
    """What a run begins with. weights: where they come from. manifest: of the checkpoint, empty without one."""

    model: Model
    optimizer: AdamW
    step: int
    weights: str
    manifest: dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """All that training goes on from. step: the next update; steps: of the schedule; stop: where this run ends.

    resumed: whether it goes on from a checkpoint. began: step and weights that it began with, as a manifest tells them.
    changes: sentences on settings that are others than when the checkpoint was written. weights: where they come from.
    questions: of HellaSwag, if it is asked; words: the bytes of each token, for samples.
    """

    settings: TrainSettings
    folder: str
    device: torch.device
    model: Model
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
    began: dict[str, Any]
    changes: list[str]
    weights: str
    questions: Questions | None
    words: Sequence[bytes]


def model_for(settings: TrainSettings, path: str, device: torch.device) -> Model:
    """Return an empty model of a file's shape. Raises DoesNotFit where the command line contradicts it."""
    head = model_file.read_header(path)
    shape = head.shape
    wrong = [
        f"{SIZES[name]} {getattr(settings, name)} (it has {getattr(shape, name, 'none')})"
        for name in settings.contradicted(shape)
    ]
    if wrong:
        raise DoesNotFit(f"{path}: does not fit {', '.join(wrong)}; leave these flags out, or give another file")
    if settings.model is not None and settings.model_file is None and settings.shape != shape:
        raise DoesNotFit(
            f"{path}: has {shape}, and -e {settings.model} {settings.shape}; leave out -e, or take another -o"
        )
    if shape.vocab_size < VOCABULARY_SIZE:
        raise DoesNotFit(
            f"{path}: its vocabulary has {shape.vocab_size:,} tokens, and the shards' {VOCABULARY_SIZE:,}; give a "
            "model with GPT-2's vocabulary"
        )
    dtype = machine.choose_dtype(settings.precision, device)
    model = shape.build(device=device, dtype=dtype, recompute=settings.recompute)
    check_length(settings, model, path)
    return model


def check_length(settings: TrainSettings, model: Model, name: str) -> None:
    """Raise DoesNotFit where the model has fewer positions than -t; `name` is what the model is called in messages."""
    positions = model.shape.max_seq_len
    if settings.seq_len > positions:
        raise DoesNotFit(f"-t {settings.seq_len}: {name} has {positions} positions; give -t {positions} or less")
    if settings.seq_len < positions and "seq-len" in settings.given:
        say(
            f"note: -t {settings.seq_len} is shorter than the model's {positions} positions; those beyond it stay as "
            "they are",
            stream=sys.stderr,
        )
