"""Operators for the steps of GPT-2 between its matrix products, on a GPU, where bytes moved are what they cost.

A compiler moves more than are needed: it reads gradients again to sum them for a bias, and rows of logits a few bytes
at a time. torch.compile takes these operators as they stand. Sums over rows are made by each program for its own and
added up in one order: equal inputs give equal bits.

Activations are contiguous, in float32 or bfloat16; parameters and their gradients float32.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from trainer.models import gpu_kernels

_CROSS_ENTROPY_BLOCK = 4096
_COLUMNS = 128  # of a tile
_GELU_ROWS = 32  # of a tile
_ROWS_SUMMED = 1024  # by one program
_NORM_PROGRAMS = 1056  # eight for each multiprocessor of an H100


@torch.library.custom_op("sparkprep::cross_entropy", mutates_args=())
def cross_entropy(logits: Tensor, targets: Tensor, vocab_size: int, scale: float) -> tuple[Tensor, Tensor]:
    """Return each row's loss in nats, (N,) float32, and `scale` times its gradient by the logits, in their dtype.

    logits (N, padded vocabulary), of which columns from vocab_size on take no part; targets (N,) integers below it.
    """
    rows, columns = logits.shape
    losses, gradient = _cross_entropy_results(logits, targets, vocab_size, scale)
    gpu_kernels.cross_entropy[(rows,)](
        logits, targets, losses, gradient, columns, vocab_size, scale, BLOCK=_CROSS_ENTROPY_BLOCK, num_warps=4
    )
    return losses, gradient


@cross_entropy.register_fake
def _cross_entropy_results(logits: Tensor, targets: Tensor, vocab_size: int, scale: float) -> tuple[Tensor, Tensor]:
    return logits.new_empty(logits.shape[0], dtype=torch.float32), torch.empty_like(logits)


@torch.library.custom_op("sparkprep::gelu_backward", mutates_args=())
def gelu_backward(gradient: Tensor, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of gelu(x + bias) by x, as x, and by bias, (C,). gradient and x: (N, C); GELU by tanh."""
    rows, columns = x.shape
    dx = torch.empty_like(x)
    programs = triton.cdiv(rows, _ROWS_SUMMED)
    sums = x.new_empty(programs, columns, dtype=torch.float32)
    gpu_kernels.gelu_backward[(triton.cdiv(columns, _COLUMNS), programs)](
        gradient, x, bias, dx, sums, rows, columns, _ROWS_SUMMED,
        BLOCK_M=_GELU_ROWS, BLOCK_N=_COLUMNS, num_warps=8,
    )  # fmt: skip
    return dx, sums.sum(0)


@gelu_backward.register_fake
def _gelu_backward_results(gradient: Tensor, x: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(bias)


@torch.library.custom_op("sparkprep::norm_backward", mutates_args=())
def norm_backward(
    by_total: Tensor, by_normal: Tensor, total: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return the gradient by the sum `total` of itself and its LayerNorm, as total, and (3, C): that summed over rows,
    and the gradients by the LayerNorm's weight and bias.

    by_total, by_normal: gradients by the two results, (N, C) as total; weight (C,).
    """
    rows, columns = total.shape
    dx = torch.empty_like(total)
    sums = total.new_empty(_NORM_PROGRAMS, 3, columns, dtype=torch.float32)
    gpu_kernels.norm_backward[(_NORM_PROGRAMS,)](
        by_total, by_normal, total, weight, dx, sums, rows, columns, eps,
        BLOCK=triton.next_power_of_2(columns), num_warps=2,
    )  # fmt: skip
    return dx, sums.sum(0)


@norm_backward.register_fake
def _norm_backward_results(
    by_total: Tensor, by_normal: Tensor, total: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(total), weight.new_empty(3, *weight.shape)
