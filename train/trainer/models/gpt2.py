"""GPT-2 in PyTorch: pre-LayerNorm blocks, learned positions, tied head (Radford et al. 2019), as llm.c computes it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.models import loss as losses
from trainer.models.shape import Shape, offsets, tensors

LAYER_NORM_EPS = 1e-5


class KeyValueCache:
    """Keys and values of the positions seen so far: for each layer (rows, heads, max_seq_len, head size)."""

    def __init__(self, shape: Shape, rows: int, max_seq_len: int, dtype: torch.dtype, device: torch.device) -> None:
        size = (shape.layers, rows, shape.heads, max_seq_len, shape.channels // shape.heads)
        self.keys = torch.zeros(size, dtype=dtype, device=device)
        self.values = torch.zeros(size, dtype=dtype, device=device)
        self.length = 0


class Block(nn.Module):
    """One layer: attention, then the MLP, each added to the residual stream."""

    ln1_weight: nn.Parameter
    ln1_bias: nn.Parameter
    qkv_weight: nn.Parameter
    qkv_bias: nn.Parameter
    out_weight: nn.Parameter
    out_bias: nn.Parameter
    ln2_weight: nn.Parameter
    ln2_bias: nn.Parameter
    up_weight: nn.Parameter
    up_bias: nn.Parameter
    down_weight: nn.Parameter
    down_bias: nn.Parameter

    def __init__(self, parameters: dict[str, nn.Parameter], heads: int, recompute: int) -> None:
        super().__init__()
        self.heads = heads
        self.recompute_gelu = recompute >= 1
        self.recompute_norms = recompute >= 2
        for name in ("ln1", "qkv", "out", "ln2", "up", "down"):
            self.register_parameter(f"{name}_weight", parameters[f"{name}.weight"])
            self.register_parameter(f"{name}_bias", parameters[f"{name}.bias"])

    def forward(self, x: Tensor, cache: tuple[Tensor, Tensor, int] | None = None) -> Tensor:
        """x (B, T, C) -> the same shape. cache: this layer's keys, values, and how many positions they hold."""
        qkv = _maybe_again(self.recompute_norms, self._norm_and_qkv, x)
        x = x + _linear(self._attention(qkv, cache), self.out_weight, self.out_bias)
        up = _maybe_again(self.recompute_norms, self._norm_and_up, x)
        return x + _maybe_again(self.recompute_gelu, self._gelu_and_down, up)

    def _norm_and_qkv(self, x: Tensor) -> Tensor:
        return _linear(_layer_norm(x, self.ln1_weight, self.ln1_bias), self.qkv_weight, self.qkv_bias)

    def _norm_and_up(self, x: Tensor) -> Tensor:
        return _linear(_layer_norm(x, self.ln2_weight, self.ln2_bias), self.up_weight, self.up_bias)

    def _gelu_and_down(self, up: Tensor) -> Tensor:
        return _linear(F.gelu(up, approximate="tanh"), self.down_weight, self.down_bias)

    def _attention(self, qkv: Tensor, cache: tuple[Tensor, Tensor, int] | None) -> Tensor:
        """Causal attention. qkv (B, T, 3C): C of queries, keys, values; the heads lie side by side in each."""
        B, T, C3 = qkv.shape
        q, k, v = qkv.view(B, T, 3, self.heads, C3 // 3 // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if cache is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            keys, values, seen = cache
            keys[:, :, seen : seen + T] = k
            values[:, :, seen : seen + T] = v
            # Position i of the new ones sees all that came before and itself.
            mask = torch.ones(T, seen + T, dtype=torch.bool, device=q.device).tril(seen)
            y = F.scaled_dot_product_attention(q, keys[:, :, : seen + T], values[:, :, : seen + T], attn_mask=mask)
        return y.transpose(1, 2).reshape(B, T, C3 // 3)


class GPT2(nn.Module):
    """The model. Its parameters are float32 views of `flat`, one buffer in llm.c's order (shape.py).

    dtype: what it computes in; weights are cast to it where they are used, and gradients come back, and add up over
    micro-batches, in float32. recompute: 0 keep all activations, 1 compute GELU again in the backward pass, 2 the
    LayerNorms too (llm.c's -r); under torch.compile its partitioner decides instead.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        recompute: int = 0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.dtype = dtype
        self.flat = torch.zeros(shape.num_parameters, device=device)
        views = views_of(self.flat, shape)
        leaves = {name: [nn.Parameter(part) for part in parts] for name, parts in views.items()}
        self.wte, self.wpe = leaves["wte"][0], leaves["wpe"][0]
        repeated = [tensor.name for tensor in tensors(shape) if tensor.layers]
        self.blocks = nn.ModuleList(
            Block({name: leaves[name][layer] for name in repeated}, shape.heads, recompute)
            for layer in range(shape.layers)
        )
        self.lnf_weight, self.lnf_bias = leaves["lnf.weight"][0], leaves["lnf.bias"][0]
        self._leaves = leaves

    def leaves(self, name: str) -> list[nn.Parameter]:
        """The parameters of one of the 16 tensors, one for each layer (or a single one)."""
        return self._leaves[name]

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return self.flat.device

    def hidden(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """ids (B, T), integers -> what the head sees, (B, T, C) in `dtype`, after the last LayerNorm.

        With a cache, ids are the positions that follow those it holds; they are added to it.
        """
        seen = cache.length if cache else 0
        positions = self.wpe[seen : seen + ids.shape[1]]
        x = (F.embedding(ids, self.wte) + positions).to(self.dtype)
        for layer, block in enumerate(self.blocks):
            x = block(x, (cache.keys[layer], cache.values[layer], seen) if cache else None)
        if cache:
            cache.length = seen + ids.shape[1]
        return _layer_norm(x, self.lnf_weight, self.lnf_bias)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (..., C) -> float32 logits of the real tokens, (..., vocab_size)."""
        return F.linear(hidden, self.wte[: self.shape.vocab_size].to(hidden.dtype)).float()

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats (a float32 scalar) of predicting targets (B, T) from ids (B, T)."""
        hidden = self.hidden(ids).flatten(0, 1)
        return losses.mean_loss(hidden, self.wte, targets.flatten(), self.shape.vocab_size)


def views_of(flat: Tensor, shape: Shape) -> dict[str, list[Tensor]]:
    """The tensors as views of a flat buffer of shape.num_parameters elements: for each name a list, one a layer."""
    found = {}
    for tensor, start in zip(tensors(shape), offsets(shape).values(), strict=True):
        whole = flat[start : start + tensor.size].view(max(1, tensor.layers), *tensor.shape)
        found[tensor.name] = list(whole.unbind(0))
    return found


def initialise(model: GPT2, seed: int = 42) -> None:
    """llm.c's initial weights: one Mersenne Twister; wte and wpe, then the matrices of each layer in turn.

    Equal to llm.c's up to 5e-8, since both draw as PyTorch does on a CPU; so they are drawn there and copied.
    """
    shape = model.shape
    flat = torch.empty(shape.num_parameters)
    views = views_of(flat, shape)
    specs = {tensor.name: tensor for tensor in tensors(shape)}
    generator = torch.Generator().manual_seed(seed)
    for name, spec in specs.items():
        for view in views[name]:
            view.fill_(spec.fill)

    def draw(view: Tensor, std: float | None) -> None:
        nn.init.normal_(view, 0.0, std or 0.0, generator=generator)

    draw(views["wte"][0][: shape.vocab_size], specs["wte"].std)
    draw(views["wpe"][0], specs["wpe"].std)
    for layer in range(shape.layers):
        for name in ("qkv.weight", "out.weight", "up.weight", "down.weight"):
            draw(views[name][layer], specs[name].std)
    model.flat.copy_(flat)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x, weight.to(x.dtype), bias.to(x.dtype))


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weight.to(x.dtype), bias.to(x.dtype), LAYER_NORM_EPS)


def _maybe_again(again: bool, step: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """step(x); with `again` only x is kept for the backward pass, which computes the rest anew.

    A step ends with a matrix product, whose own result the backward pass does not need and does not compute.
    """
    if again and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        result: Tensor = checkpoint(step, x, use_reentrant=False, preserve_rng_state=False)
        return result
    return step(x)
