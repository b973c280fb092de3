"""Questions of random tokens, and a model whose answers differ."""

import numpy as np
import torch

from sparkprep.llmc.hellaswag import Example
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.models.layout import views_of

SMALL = GPT2Shape(2, 2, 16, max_seq_len=40, vocab_size=300)


def examples_of(seed: int, count: int, context: tuple[int, int], ending: tuple[int, int], vocab: int) -> list[Example]:
    """Examples of random tokens; lengths drawn from the half-open ranges."""
    rng = np.random.default_rng(seed)

    def tokens(lengths: tuple[int, int]) -> np.ndarray:
        return rng.integers(0, vocab, rng.integers(*lengths), dtype=np.uint16)

    return [
        Example(index, int(rng.integers(4)), tokens(context), tuple(tokens(ending) for _ in range(4)))
        for index in range(count)
    ]


def model_of(shape: GPT2Shape, scale: float = 20.0) -> GPT2:
    """A model whose logits are larger than initial ones so that scores differ; its padded rows hold rubbish."""
    model = GPT2(shape)
    model.initialise(seed=7)
    with torch.no_grad():
        model.leaves("lnf.weight")[0].mul_(scale)
        views_of(model.flat, shape.tensors())["wte"][0][shape.vocab_size :] = 3.0
    return model
