"""Activations that are computed again in the backward pass instead of being kept (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def maybe_again(again: bool, step: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return step(x); with `again` only x is kept for the backward pass, which computes the rest anew.

    A step ends with a matrix product, whose own result the backward pass does not need and does not compute. Under
    torch.compile its partitioner decides instead.
    """
    if again and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        result: Tensor = checkpoint(step, x, use_reentrant=False, preserve_rng_state=False)
        return result
    return step(x)
