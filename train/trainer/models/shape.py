"""The shape of a GPT-2 and the order of its 16 parameter tensors, which is that of llm.c's files.

All parameters lie in one flat float32 buffer in this order, so that a file is the buffer written out, and the moments
of the optimizer, the gradients and the masters are each one array of the same layout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE

MAX_SEQ_LEN = 1024
INITIAL_STD = 0.02

_PADDING = 128


@dataclass(frozen=True)
class Shape:
    """layers, heads, channels; max_seq_len: positions it has; vocab_size: real tokens, to which padding is added."""

    layers: int
    heads: int
    channels: int
    max_seq_len: int = MAX_SEQ_LEN
    vocab_size: int = VOCABULARY_SIZE

    @property
    def padded_vocab_size(self) -> int:
        """The next multiple of 128: rows of `wte`, of which those from vocab_size on are zero and stay so."""
        return math.ceil(self.vocab_size / _PADDING) * _PADDING

    @property
    def num_parameters(self) -> int:
        """Of all tensors, padded rows included, as llm.c counts."""
        return sum(tensor.size for tensor in tensors(self))

    def flops_per_token(self, seq_len: int) -> int:
        """Floating-point operations for one token of training: 6 N + 6 L C T, as llm.c counts.

        A multiply-add is two; padded parameters count; half of attention's square, as it is causal.
        """
        return 6 * self.num_parameters + 6 * self.layers * self.channels * seq_len

    def __str__(self) -> str:
        return f"{self.layers} layers, {self.channels} channels, {self.heads} heads"


NAMED = {
    "d12": Shape(12, 12, 768),
    "d24": Shape(24, 16, 1024),
    "d36": Shape(36, 20, 1280),
    "d48": Shape(48, 25, 1600),
}
"""GPT-2 small, medium, large and XL by llm.c's names (Radford et al. 2019, table 2)."""


@dataclass(frozen=True)
class Tensor:
    """One of the 16. layers: 0 where it is not repeated for each layer. decayed: whether weight decay applies.

    std: of its initial values (normal, mean 0); None where they are all `fill`.
    """

    name: str
    layers: int
    shape: tuple[int, ...]
    decayed: bool
    std: float | None = None
    fill: float = 0.0

    @property
    def size(self) -> int:
        """Elements, of all layers."""
        return max(1, self.layers) * math.prod(self.shape)


def tensors(shape: Shape) -> tuple[Tensor, ...]:
    """The tensors in llm.c's order. Weights are (out_features, in_features), as in torch.nn.Linear."""
    L, C = shape.layers, shape.channels
    # What is added to the residual stream starts smaller, since 2 L such terms add up.
    residual = INITIAL_STD / math.sqrt(2 * L)
    return (
        Tensor("wte", 0, (shape.padded_vocab_size, C), True, INITIAL_STD),
        Tensor("wpe", 0, (shape.max_seq_len, C), True, INITIAL_STD),
        Tensor("ln1.weight", L, (C,), False, fill=1.0),
        Tensor("ln1.bias", L, (C,), False),
        Tensor("qkv.weight", L, (3 * C, C), True, INITIAL_STD),
        Tensor("qkv.bias", L, (3 * C,), False),
        Tensor("out.weight", L, (C, C), True, residual),
        Tensor("out.bias", L, (C,), False),
        Tensor("ln2.weight", L, (C,), False, fill=1.0),
        Tensor("ln2.bias", L, (C,), False),
        Tensor("up.weight", L, (4 * C, C), True, INITIAL_STD),
        Tensor("up.bias", L, (4 * C,), False),
        Tensor("down.weight", L, (C, 4 * C), True, residual),
        Tensor("down.bias", L, (C,), False),
        Tensor("lnf.weight", 0, (C,), False, fill=1.0),
        Tensor("lnf.bias", 0, (C,), False),
    )


def offsets(shape: Shape) -> dict[str, int]:
    """Where each tensor begins in the flat buffer, in elements."""
    sizes = [tensor.size for tensor in tensors(shape)]
    starts = [0, *accumulate(sizes)]
    return {tensor.name: start for tensor, start in zip(tensors(shape), starts, strict=False)}
