"""AdamW (Loshchilov and Hutter 2019) over the flat parameter buffer, with llm.c's decay groups, clipping and steps."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from trainer import xorshift
from trainer.models.layout import Model, views_of

BETAS = (0.9, 0.95)
EPS = 1e-8
CLIP_NORM = 1.0
_NORM_PIECE = 1 << 12

ROUNDING_SEED = 13371337
"""First state of the generator that llm.c's stochastic rounding takes its seeds from."""


class AdamW:
    """The optimizer of one model. m, v, gradients: flat float32 buffers in the order of the parameters.

    The buffers are cut where weight decay begins or ends, so that PyTorch's fused kernel sees ten long tensors. Updates
    are float32; with masters=False the weights are then rounded to bfloat16, up or down at random in proportion, by a
    generator seeded with the step, so that a resumed run rounds alike.
    """

    def __init__(self, model: Model, weight_decay: float, *, masters: bool = True) -> None:
        self.model = model
        self.masters = masters
        self.m, self.v = torch.zeros_like(model.flat), torch.zeros_like(model.flat)
        self.gradients = torch.zeros_like(model.flat)
        self.rounding = self.rounding_before = ROUNDING_SEED
        for name, views in views_of(self.gradients, model.shape.tensors()).items():
            for leaf, view in zip(model.leaves(name), views, strict=True):
                leaf.grad = view  # backward passes add to it in place
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        state: dict[Tensor, dict[str, Tensor]] = {}
        self._steps = []
        for decayed, start, end in _segments(model):
            segment = nn.Parameter(model.flat[start:end])
            segment.grad = self.gradients[start:end]
            step = torch.zeros((), device=model.device)
            state[segment] = {"step": step, "exp_avg": self.m[start:end], "exp_avg_sq": self.v[start:end]}
            self._steps.append(step)
            groups[decayed].append(segment)
        self._inner: Any = torch.optim.AdamW(
            [
                {"params": groups[True], "weight_decay": weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            lr=0.0,
            betas=BETAS,
            eps=EPS,
            fused=True,
        )
        self._inner.state.update(state)

    def clear_gradients(self) -> None:
        """Set them to zero, keeping the buffer."""
        self.gradients.zero_()

    def norm(self) -> Tensor:
        """Return the Euclidean norm of the gradient, a float32 scalar on the device.

        On a CPU it is summed in pieces: in one go, which is nearly term by term, it comes 1.3 % short at 124 million.
        A GPU sums in a tree.
        """
        norm_of = torch.linalg.vector_norm
        if self.gradients.device.type != "cpu":
            whole: Tensor = norm_of(self.gradients)
            return whole
        end = self.gradients.numel() // _NORM_PIECE * _NORM_PIECE
        pieces, rest = self.gradients[:end].view(-1, _NORM_PIECE), self.gradients[end:]
        norms = torch.cat([norm_of(pieces, dim=1), norm_of(rest).reshape(1)])
        norm: Tensor = norm_of(norms, dtype=torch.float64).to(torch.float32)
        return norm

    def update(self, step: int, rate: float, norm: Tensor, skip: Tensor) -> None:
        """Update once, the `step`-th time counted from 0: AdamW's t is step + 1, also where earlier ones were skipped.

        Gradients are divided by their norm where it is above 1. skip: a scalar bool on the device; where it is true,
        nothing changes. No value comes to the host, so that a GPU does not wait.
        """
        self._inner.grad_scale = torch.clamp(norm, min=CLIP_NORM).reshape(())  # the kernel divides by it
        self._inner.found_inf = skip.to(torch.float32).reshape(())
        for group in self._inner.param_groups:
            group["lr"] = rate
        for count in self._steps:
            count.fill_(step)  # the kernel adds one
        self._inner.step()
        if not self.masters:
            round_stochastically(self.model.flat, step)

    def count_draws(self, micro_steps: int, *, updated: bool) -> None:
        """Bring the generator of llm.c's rounding to where llm.c would have it: its state stands in the state file.

        A draw for each backward pass, and where the weights were updated, one for each of their tensors.
        """
        self.rounding = xorshift.advance(self.rounding, micro_steps)
        if updated:
            self.rounding_before = self.rounding
            self.rounding = xorshift.advance(self.rounding, len(self.model.shape.tensors()))


def round_stochastically(values: Tensor, seed: int) -> None:
    """Round float32 values, in place, to one of the two nearest bfloat16, in proportion to how near each is."""
    generator = torch.Generator(values.device).manual_seed(seed)
    bits = values.view(torch.int32)
    part = 1 << 24  # bounds the random numbers in memory
    for start in range(0, values.numel(), part):
        piece = bits[start : start + part]
        noise = torch.randint(0, 1 << 16, piece.shape, generator=generator, device=values.device, dtype=torch.int32)
        piece.add_(noise).bitwise_and_(-(1 << 16))


def _segments(model: Model) -> list[tuple[bool, int, int]]:
    """Return (decayed, start, end) of the stretches of the flat buffer that weight decay treats alike."""
    segments, start = [], 0
    for decayed, group in groupby(model.shape.tensors(), key=lambda tensor: tensor.decayed):
        end = start + sum(tensor.size for tensor in group)
        segments.append((decayed, start, end))
        start = end
    return segments
