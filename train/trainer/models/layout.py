"""Named tensors in one flat float32 buffer, and what a model owes the trainer.

All parameters of a model lie in one buffer, in the order of its file: so that a file is the buffer written out, and
gradients, the optimizer's moments and the masters are each one array of the same layout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a layout. layers: 0 where it is not repeated for each layer. decayed: whether weight decay applies.

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


def count_elements(tensors: Sequence[TensorSpec]) -> int:
    """Return how many elements a flat buffer of these tensors has."""
    return sum(tensor.size for tensor in tensors)


def offsets(tensors: Sequence[TensorSpec]) -> dict[str, int]:
    """Return where each tensor begins in the flat buffer, in elements."""
    starts = accumulate((tensor.size for tensor in tensors), initial=0)
    return {tensor.name: start for tensor, start in zip(tensors, starts, strict=False)}


def views_of(flat: Tensor, tensors: Sequence[TensorSpec]) -> dict[str, list[Tensor]]:
    """Return the tensors as views of a flat buffer of as many elements: for each name a list, one view a layer."""
    views = {}
    for tensor, start in zip(tensors, offsets(tensors).values(), strict=True):
        whole = flat[start : start + tensor.size].view(max(1, tensor.layers), *tensor.shape)
        views[tensor.name] = list(whole.unbind(0))
    return views


def leaves_of(flat: Tensor, tensors: Sequence[TensorSpec]) -> dict[str, list[nn.Parameter]]:
    """Return the views of `views_of` as parameters, whose gradients the caller may place."""
    return {name: [nn.Parameter(view) for view in views] for name, views in views_of(flat, tensors).items()}


class Shape(Protocol):
    """An architecture with its sizes: the layout of its parameters, and how its model files tell of both.

    A class of shapes is what `models/architectures.py` lists; it is frozen and compares by value.
    """

    NAME: ClassVar[str]
    """of the architecture, as a checkpoint tells it"""
    MAGIC: ClassVar[int]
    """the first field of its model files"""
    VERSIONS: ClassVar[Mapping[int, torch.dtype]]
    """their second field -> the number format of the parameters in them"""
    HEAD: ClassVar[str]
    """the tensor, (rows, C), that makes logits of hidden states; its rows from vocab_size on are zero and stay so"""

    @classmethod
    def named(cls) -> Mapping[str, Self]:
        """Return the sizes that have names, by which `-e` asks for a new model."""

    @classmethod
    def of_fields(cls, fields: Sequence[int]) -> Self:
        """Return the shape that a header tells from its third field on. Raises ValueError for what cannot be one."""

    def fields(self) -> tuple[int, ...]:
        """Return what a header tells of the shape, from its third field on."""

    @property
    def max_seq_len(self) -> int:
        """Positions that it has."""

    @property
    def vocab_size(self) -> int:
        """Tokens, without padding."""

    @property
    def num_parameters(self) -> int:
        """Elements of the flat buffer, padding included."""

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return the layout of the flat buffer and of its file."""

    def flops_per_token(self, seq_len: int) -> int:
        """Return the floating-point operations of one token of training in rows of `seq_len`."""

    def size_table(self) -> list[tuple[str, str]]:
        """Return the sizes as names and values for the table of a run's parameters."""

    def build(self, *, device: str | torch.device, dtype: torch.dtype, recompute: int = 0) -> Model:
        """Return an empty model. dtype: what it computes in; recompute: llm.c's -r, 0 to 2."""


class Model(Protocol):
    """A network whose parameters are views of one flat float32 buffer."""

    flat: Tensor
    dtype: torch.dtype

    @property
    def shape(self) -> Shape:
        """Its architecture and sizes."""

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""

    def leaves(self, name: str) -> list[nn.Parameter]:
        """Return the parameters of one tensor of the layout, one a layer (or a single one)."""

    def initialise(self, seed: int = 42) -> None:
        """Set the parameters to random values."""

    def cache(self, rows: int, positions: int) -> Any:
        """Return what `hidden` may keep of earlier positions; the caller only hands it on."""

    def hidden(self, ids: Tensor, cache: Any = None) -> Tensor:
        """Return what the head sees, (B, T, C) in `dtype`, of integer ids (B, T), which follow those in the cache."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the float32 logits (..., vocab_size) of hidden states (..., C)."""

    def __call__(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss in nats, a float32 scalar, of predicting targets (B, T) from ids (B, T)."""
