"""The architectures that the trainer knows: a new one is a file beside this one and an entry here."""

from __future__ import annotations

from trainer.models.gpt2 import GPT2Shape
from trainer.models.layout import Shape

ARCHITECTURES: tuple[type[Shape], ...] = (GPT2Shape,)


def by_magic() -> dict[int, type[Shape]]:
    """Return the architectures by the first field of their model files."""
    return {architecture.MAGIC: architecture for architecture in ARCHITECTURES}


def by_name() -> dict[str, type[Shape]]:
    """Return the architectures by the name that a checkpoint tells."""
    return {architecture.NAME: architecture for architecture in ARCHITECTURES}


def named_shapes() -> dict[str, Shape]:
    """Return the sizes that have names, of all architectures."""
    return {name: shape for architecture in ARCHITECTURES for name, shape in architecture.named().items()}
