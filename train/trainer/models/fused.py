"""GPT-2's layers for a GPU, in fewer passes over its memory: the same function as `models/gpt2.py` up to rounding.

Biases are added where the next step reads anyway, and the gradients of biases and LayerNorms are summed where a
backward pass writes anyway (`models/gpu_ops.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.models import gpu_ops

if TYPE_CHECKING:
    from trainer.models.gpt2 import GPT2, Block


def hidden(model: GPT2, ids: Tensor, eps: float) -> Tensor:
    """Return what the head sees, (B, T, C) in the model's dtype, of integer ids (B, T), as `GPT2.hidden` does."""
    B, T = ids.shape
    dtype = model.dtype
    blocks = cast("list[Block]", list(model.blocks))
    norms = [(block.ln1_weight, block.ln1_bias) for block in blocks] + [(model.lnf_weight, model.lnf_bias)]
    x = (F.embedding(ids, model.wte) + model.wpe[:T]).to(dtype).flatten(0, 1)
    normal = _layer_norm(x, *norms[0], eps)
    for block, norm in zip(blocks, norms[1:], strict=True):
        qkv = F.linear(normal, block.qkv_weight.to(dtype), block.qkv_bias.to(dtype))
        out = F.linear(block.attention(qkv.view(B, T, -1)).flatten(0, 1), block.out_weight.to(dtype))
        x, normal = add_and_norm(x, out, block.out_bias, block.ln2_weight, block.ln2_bias, eps)
        up = F.linear(normal, block.up_weight.to(dtype))
        down = F.linear(biased_gelu(up, block.up_bias), block.down_weight.to(dtype))
        x, normal = add_and_norm(x, down, block.down_bias, *norm, eps)
    return normal.view(B, T, -1)


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
        return total, _layer_norm(total, weight, bias, eps)

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


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weight.to(x.dtype), bias.to(x.dtype), eps)
