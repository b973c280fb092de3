"""Cross-entropy over the vocabulary in chunks of rows, so that the logits of a batch never exist as a whole.

65,536 rows of 50,304 logits are 13 GB in float32. Here the head's gradient is computed in the forward pass, chunk by
chunk, while the logits are at hand: three matrix products a chunk, as many as without chunks, and nothing is kept but
the gradients (as in Liger Kernel, Hsu et al. 2024).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainer.device import has_kernels

CHUNK_ROWS = {"cpu": 256, "cuda": 16384}
"""Rows at a time: on a GPU enough to fill it, on a CPU what stays near the caches."""


def mean_loss(hidden: Tensor, weight: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    """Return the mean of -log softmax(hidden @ weight.T)[target] in nats, a float32 scalar with gradients.

    hidden (N, C) in the compute dtype, weight (padded vocabulary, C) float32, targets (N,) integers below vocab_size.
    Columns from vocab_size on take no part.
    """
    if torch.is_grad_enabled():
        result: Tensor = _MeanLoss.apply(hidden, weight, targets, vocab_size)  # type: ignore[no-untyped-call]
        return result
    return token_losses(hidden, weight, targets, vocab_size).mean()


def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    """Return the loss of each row, (N,) float32, without gradients; arguments as `mean_loss`."""
    used = weight[:vocab_size].to(hidden.dtype)
    parts = []
    for rows in _chunks(hidden):
        logits = (hidden[rows] @ used.T).float()
        parts.append(torch.logsumexp(logits, 1) - logits.gather(1, targets[rows, None]).squeeze(1))
    return torch.cat(parts)


class _MeanLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
        # On a GPU, rows of a round length make the faster products; else the padding is not worth computing.
        used = (weight if has_kernels(hidden) else weight[:vocab_size]).to(hidden.dtype)
        scale = 1.0 / hidden.shape[0]
        grad_hidden, grad_weight = [], torch.zeros_like(weight)
        added_to = grad_weight[: used.shape[0]]
        total = torch.zeros((), device=hidden.device)
        for rows in _chunks(hidden):
            loss, grad_logits = _loss_and_gradient(hidden[rows] @ used.T, targets[rows], vocab_size, scale)
            total += loss
            grad_hidden.append(grad_logits @ used)
            if hidden.dtype == grad_weight.dtype:
                added_to.addmm_(grad_logits.T, hidden[rows])
            else:
                added_to += (grad_logits.T @ hidden[rows]).float()
        ctx.save_for_backward(torch.cat(grad_hidden), grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        # The factor is applied in float32: 1 / micro-steps need not be a power of two.
        return (grad_hidden.float() * grads[0]).to(grad_hidden.dtype), grad_weight * grads[0], None, None


def _chunks(hidden: Tensor) -> list[slice]:
    rows, step = hidden.shape[0], CHUNK_ROWS.get(hidden.device.type, 8192)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _loss_and_gradient(logits: Tensor, targets: Tensor, vocab_size: int, scale: float) -> tuple[Tensor, Tensor]:
    """Return the sum of the rows' losses times `scale`, and its gradient by the logits in their dtype.

    logits (n, vocab_size), or wider where there are kernels; they may be changed.
    """
    if has_kernels(logits):
        from trainer.models import gpu_ops  # needs Triton, which comes with PyTorch's CUDA builds alone

        losses, gradient = gpu_ops.cross_entropy(logits, targets, vocab_size, scale)
        return losses.sum() * scale, gradient
    log_odds = torch.log_softmax(logits, 1, dtype=torch.float32)
    chosen = targets[:, None]
    loss = -log_odds.gather(1, chosen).sum() * scale
    # One array is made and changed: on a CPU new memory costs more than arithmetic.
    log_odds.exp_().scatter_add_(1, chosen, torch.full_like(chosen, -1.0, dtype=torch.float32)).mul_(scale)
    return loss, log_odds.to(logits.dtype)
