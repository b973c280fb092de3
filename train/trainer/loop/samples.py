"""Text that a model writes while it is trained, for people to read, in the frame that llm.c prints."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sparkprep.console import say
from sparkprep.llmc import tokenizer_file
from sparkprep.tokenizer import vocabulary
from trainer.device import attention_kernels
from trainer.generate.generate import sample_ids, text_of
from trainer.models.layout import Model


def show(model: Model, words: Sequence[bytes], count: int) -> None:
    """Print what follows an end-of-text, `count` tokens with it. words: the bytes of each id."""
    # Each token is a new shape, for which cuDNN's attention, first in training, would make a plan.
    with attention_kernels(model.device, deterministic=True):
        text = text_of(sample_ids(model, count), words)
    say(f"generating:\n---\n{text}\n---")


def words_of(path: str) -> Sequence[bytes]:
    """Return the bytes of each id from a tokenizer file, or from the package's vocabulary where there is no file."""
    if os.path.exists(path):
        return tokenizer_file.read(path).tokens
    return vocabulary.all_tokens()
