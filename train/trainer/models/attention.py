"""Causal attention over several heads (Vaswani et al. 2017), with or without a cache of keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LayerCache:
    """The part of a cache that one layer sees: keys and values (rows, heads, positions, head size).

    seen: how many positions are filled.
    """

    keys: Tensor
    values: Tensor
    seen: int


class KeyValueCache:
    """Keys and values of the positions seen so far: for each layer (rows, heads, positions, head size)."""

    def __init__(
        self, layers: int, heads: int, head_size: int, rows: int, positions: int, dtype: torch.dtype,
        device: torch.device,
    ) -> None:  # fmt: skip
        size = (layers, rows, heads, positions, head_size)
        self.keys = torch.zeros(size, dtype=dtype, device=device)
        self.values = torch.zeros(size, dtype=dtype, device=device)
        self.length = 0

    def layer(self, layer: int) -> LayerCache:
        """Return the part of one layer."""
        return LayerCache(self.keys[layer], self.values[layer], self.length)


def attend(q: Tensor, k: Tensor, v: Tensor, cache: LayerCache | None = None) -> Tensor:
    """Return causal attention, (B, heads, T, head size), of queries, keys and values of that shape.

    With a cache they belong to the positions that follow those seen; keys and values are added to it.
    """
    if cache is None:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    T, seen = q.shape[2], cache.seen
    cache.keys[:, :, seen : seen + T] = k
    cache.values[:, :, seen : seen + T] = v
    # Position i of the new ones sees all that came before and itself.
    mask = torch.ones(T, seen + T, dtype=torch.bool, device=q.device).tril(seen)
    keys, values = cache.keys[:, :, : seen + T], cache.values[:, :, : seen + T]
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
