"""A model of a file's shape, if the command line and the trainer can take it."""

from __future__ import annotations

import sys

import torch

from sparkprep.errors import UserError
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE
from trainer import device as machine
from trainer.checkpoints import model_file
from trainer.models.gpt2 import GPT2
from trainer.settings import Settings


class DoesNotFit(UserError):
    """A command line that contradicts a model file, of which no other checkpoint would be a way out."""


def model_for(settings: Settings, path: str, device: torch.device) -> GPT2:
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
        raise DoesNotFit(f"{path}: does not fit {', '.join(wrong)}; leave these flags out, or give another file")
    if shape.vocab_size < VOCABULARY_SIZE:
        raise DoesNotFit(
            f"{path}: its vocabulary has {shape.vocab_size:,} tokens, and the shards' {VOCABULARY_SIZE:,}; give a "
            "model with GPT-2's vocabulary"
        )
    dtype = machine.choose_dtype(settings.precision, device, head.dtype)
    model = GPT2(shape, device=device, dtype=dtype, recompute=settings.recompute)
    check_length(settings, model, path)
    return model


def check_length(settings: Settings, model: GPT2, path: str) -> None:
    if settings.seq_len > model.shape.max_seq_len:
        raise DoesNotFit(
            f"-t {settings.seq_len}: {path} has {model.shape.max_seq_len} positions; give -t {model.shape.max_seq_len} "
            "or less"
        )
    if settings.seq_len < model.shape.max_seq_len and "seq-len" in settings.given:
        print(
            f"note: -t {settings.seq_len} is shorter than the model's {model.shape.max_seq_len} positions; those "
            "beyond it stay as they are",
            file=sys.stderr,
        )
