"""Steps of a layer for a GPU, in fewer passes over its memory.

A bias is added where the next step reads anyway, and the gradients of biases and LayerNorms are summed where a backward
pass writes anyway (`models/gpu_ops.py`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.models import gpu_ops


def add_and_norm(
    x: Tensor, y: Tensor, y_bias: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return s = x + y + y_bias and its LayerNorm. x and y: (N, C) in the compute dtype; the others: (C,) float32."""
    result: tuple[Tensor, Tensor] = _AddAndNorm.apply(x, y, y_bias, weight, bias, eps)  # type: ignore[no-untyped-call]
    return result


def biased_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """Return gelu(x + bias), approximated by tanh, for x (N, C) in the compute dtype and bias (C,) float32."""
    result: Tensor = _BiasedGelu.apply(x, bias)  # type: ignore[no-untyped-call]
    return result


class _AddAndNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, y_bias: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        total = (x.float() + y.float() + y_bias).to(x.dtype)
        ctx.save_for_backward(total, weight)
        ctx.eps = eps
        return total, F.layer_norm(total, total.shape[-1:], weight.to(x.dtype), bias.to(x.dtype), eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        by_total, by_normal = (grad.contiguous() for grad in grads)
        total, weight = ctx.saved_tensors
        dx, sums = gpu_ops.norm_backward(by_total, by_normal, total, weight, ctx.eps)
        return dx, dx, sums[0], sums[1], sums[2], None


class _BiasedGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, bias)
        return F.gelu(x.float() + bias, approximate="tanh").to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, bias = ctx.saved_tensors
        dx, by_bias = gpu_ops.gelu_backward(grads[0].contiguous(), x, bias)
        return dx, by_bias
