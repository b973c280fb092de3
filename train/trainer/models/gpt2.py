"""GPT-2: pre-LayerNorm blocks, learned positions, tied head (Radford et al. 2019), as llm.c computes and stores it.

Its 16 tensors lie in the order of llm.c's files. A header tells max_seq_len, vocab_size, layers, heads, channels and
padded_vocab_size; version 3 holds float32, version 5 bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE
from trainer.device import has_kernels
from trainer.models import loss as losses
from trainer.models.attention import KeyValueCache, LayerCache, attend
from trainer.models.layout import TensorSpec, count_elements, leaves_of, views_of
from trainer.models.recompute import maybe_again

MAX_SEQ_LEN = 1024
INITIAL_STD = 0.02
LAYER_NORM_EPS = 1e-5

_PADDING = 128
_MAX_FIELD = 1 << 20  # of layers, heads, channels, positions, tokens: beyond it a header is nonsense


@dataclass(frozen=True)
class GPT2Shape:
    """layers, heads, channels; max_seq_len: positions it has; vocab_size: real tokens, to which padding is added."""

    NAME: ClassVar[str] = "gpt2"
    MAGIC: ClassVar[int] = 20240326
    VERSIONS: ClassVar[Mapping[int, torch.dtype]] = {3: torch.float32, 5: torch.bfloat16}
    HEAD: ClassVar[str] = "wte"  # embedding and head are tied

    layers: int
    heads: int
    channels: int
    max_seq_len: int = MAX_SEQ_LEN
    vocab_size: int = VOCABULARY_SIZE

    @classmethod
    def named(cls) -> Mapping[str, GPT2Shape]:
        """Return GPT-2 small, medium, large and XL by llm.c's names."""
        return NAMED

    @classmethod
    def of_fields(cls, fields: Sequence[int]) -> GPT2Shape:
        """Return the shape that a header tells. Raises ValueError for sizes that make no GPT-2."""
        max_seq_len, vocab_size, layers, heads, channels, padded = fields[:6]
        if not all(0 < field <= _MAX_FIELD for field in fields[:5]):
            raise ValueError(f"its header tells sizes that no GPT-2 has: {list(fields[:6])}")
        if channels % heads:
            raise ValueError(f"its {channels} channels do not divide into {heads} heads")
        shape = cls(layers, heads, channels, max_seq_len, vocab_size)
        if padded != shape.padded_vocab_size:
            raise ValueError(
                f"its vocabulary of {vocab_size:,} is padded to {padded:,}, and llm.c pads it to "
                f"{shape.padded_vocab_size:,}"
            )
        return shape

    def fields(self) -> tuple[int, ...]:
        """Return what a header tells of the shape, from its third field on."""
        return self.max_seq_len, self.vocab_size, self.layers, self.heads, self.channels, self.padded_vocab_size

    @property
    def padded_vocab_size(self) -> int:
        """The next multiple of 128: rows of `wte`, of which those from vocab_size on are zero and stay so."""
        return math.ceil(self.vocab_size / _PADDING) * _PADDING

    @property
    def num_parameters(self) -> int:
        """Of all tensors, padded rows included, as llm.c counts."""
        return count_elements(self.tensors())

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Return the 16 tensors in llm.c's order. Weights are (out_features, in_features), as in torch.nn.Linear."""
        L, C = self.layers, self.channels
        # What is added to the residual stream starts smaller, since 2 L such terms add up.
        residual = INITIAL_STD / math.sqrt(2 * L)
        return (
            TensorSpec("wte", 0, (self.padded_vocab_size, C), True, INITIAL_STD),
            TensorSpec("wpe", 0, (self.max_seq_len, C), True, INITIAL_STD),
            TensorSpec("ln1.weight", L, (C,), False, fill=1.0),
            TensorSpec("ln1.bias", L, (C,), False),
            TensorSpec("qkv.weight", L, (3 * C, C), True, INITIAL_STD),
            TensorSpec("qkv.bias", L, (3 * C,), False),
            TensorSpec("out.weight", L, (C, C), True, residual),
            TensorSpec("out.bias", L, (C,), False),
            TensorSpec("ln2.weight", L, (C,), False, fill=1.0),
            TensorSpec("ln2.bias", L, (C,), False),
            TensorSpec("up.weight", L, (4 * C, C), True, INITIAL_STD),
            TensorSpec("up.bias", L, (4 * C,), False),
            TensorSpec("down.weight", L, (C, 4 * C), True, residual),
            TensorSpec("down.bias", L, (C,), False),
            TensorSpec("lnf.weight", 0, (C,), False, fill=1.0),
            TensorSpec("lnf.bias", 0, (C,), False),
        )

    def flops_per_token(self, seq_len: int) -> int:
        """Return the floating-point operations for one token of training: 6 N + 6 L C T, as llm.c counts.

        A multiply-add is two; padded parameters count; half of attention's square, as it is causal.
        """
        return 6 * self.num_parameters + 6 * self.layers * self.channels * seq_len

    def size_table(self) -> list[tuple[str, str]]:
        """Return the sizes as llm.c's table of parameters names them."""
        return [
            ("max_sequence_length T", str(self.max_seq_len)),
            ("vocab_size V", str(self.vocab_size)),
            ("padded_vocab_size Vp", str(self.padded_vocab_size)),
            ("num_layers L", str(self.layers)),
            ("num_heads NH", str(self.heads)),
            ("channels C", str(self.channels)),
        ]

    def build(self, *, device: str | torch.device, dtype: torch.dtype, recompute: int = 0) -> GPT2:
        """Return an empty model of this shape."""
        return GPT2(self, device=device, dtype=dtype, recompute=recompute)

    def __str__(self) -> str:
        return f"{self.layers} layers, {self.channels} channels, {self.heads} heads"


NAMED: Mapping[str, GPT2Shape] = {
    "d12": GPT2Shape(12, 12, 768),
    "d24": GPT2Shape(24, 16, 1024),
    "d36": GPT2Shape(36, 20, 1280),
    "d48": GPT2Shape(48, 25, 1600),
}
"""GPT-2 small, medium, large and XL by llm.c's names (Radford et al. 2019, table 2)."""


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

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Return the residual stream (B, T, C) after this layer, from x of that shape."""
        qkv = maybe_again(self.recompute_norms, self._norm_and_qkv, x)
        x = x + _linear(self.attention(qkv, cache), self.out_weight, self.out_bias)
        up = maybe_again(self.recompute_norms, self._norm_and_up, x)
        return x + maybe_again(self.recompute_gelu, self._gelu_and_down, up)

    def _norm_and_qkv(self, x: Tensor) -> Tensor:
        return _linear(_layer_norm(x, self.ln1_weight, self.ln1_bias), self.qkv_weight, self.qkv_bias)

    def _norm_and_up(self, x: Tensor) -> Tensor:
        return _linear(_layer_norm(x, self.ln2_weight, self.ln2_bias), self.up_weight, self.up_bias)

    def _gelu_and_down(self, up: Tensor) -> Tensor:
        return _linear(F.gelu(up, approximate="tanh"), self.down_weight, self.down_bias)

    def attention(self, qkv: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Return causal attention (B, T, C). qkv (B, T, 3C): queries, keys, values, in each the heads side by side."""
        B, T, C3 = qkv.shape
        q, k, v = qkv.view(B, T, 3, self.heads, C3 // 3 // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return attend(q, k, v, cache).transpose(1, 2).reshape(B, T, C3 // 3)


class GPT2(nn.Module):
    """The network. Its parameters are float32 views of `flat`, one buffer in llm.c's order.

    dtype: what it computes in; weights are cast to it where they are used, and gradients come back, and add up over
    micro-batches, in float32. recompute: 0 keep all activations, 1 compute GELU again in the backward pass, 2 the
    LayerNorms too (llm.c's -r); under torch.compile its partitioner decides instead.
    """

    def __init__(
        self,
        shape: GPT2Shape,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        recompute: int = 0,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.dtype = dtype
        self.flat = torch.zeros(shape.num_parameters, device=device)
        leaves = leaves_of(self.flat, shape.tensors())
        self.wte, self.wpe = leaves["wte"][0], leaves["wpe"][0]
        repeated = [tensor.name for tensor in shape.tensors() if tensor.layers]
        self.blocks = nn.ModuleList(
            Block({name: leaves[name][layer] for name in repeated}, shape.heads, recompute)
            for layer in range(shape.layers)
        )
        self.lnf_weight, self.lnf_bias = leaves["lnf.weight"][0], leaves["lnf.bias"][0]
        self._leaves = leaves

    def leaves(self, name: str) -> list[nn.Parameter]:
        """Return the parameters of one of the 16 tensors, one for each layer (or a single one)."""
        return self._leaves[name]

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return self.flat.device

    def cache(self, rows: int, positions: int) -> KeyValueCache:
        """Return an empty cache of keys and values for `hidden`."""
        shape = self.shape
        head_size = shape.channels // shape.heads
        return KeyValueCache(shape.layers, shape.heads, head_size, rows, positions, self.dtype, self.device)

    def hidden(self, ids: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Return what the head sees, (B, T, C) in `dtype` after the last LayerNorm, of integer ids (B, T).

        With a cache, ids are the positions that follow those it holds; they are added to it.
        """
        if cache is None and has_kernels(ids):
            return self._hidden_in_fewer_passes(ids)
        seen = cache.length if cache else 0
        positions = self.wpe[seen : seen + ids.shape[1]]
        x = (F.embedding(ids, self.wte) + positions).to(self.dtype)
        for layer, block in enumerate(self.blocks):
            x = block(x, cache.layer(layer) if cache else None)
        if cache:
            cache.length = seen + ids.shape[1]
        return _layer_norm(x, self.lnf_weight, self.lnf_bias)

    def _hidden_in_fewer_passes(self, ids: Tensor) -> Tensor:
        """Do the same of ids (B, T) by steps for a GPU, up to rounding: biases are added after the products."""
        from trainer.models import fused  # needs Triton, which comes with PyTorch's CUDA builds alone

        (B, T), dtype = ids.shape, self.dtype
        blocks = cast(list[Block], list(self.blocks))
        norms = [(block.ln1_weight, block.ln1_bias) for block in blocks] + [(self.lnf_weight, self.lnf_bias)]
        x = (F.embedding(ids, self.wte) + self.wpe[:T]).to(dtype).flatten(0, 1)
        normal = _layer_norm(x, *norms[0])
        for block, norm in zip(blocks, norms[1:], strict=True):
            attended = block.attention(_linear(normal, block.qkv_weight, block.qkv_bias).view(B, T, -1)).flatten(0, 1)
            out = F.linear(attended, block.out_weight.to(dtype))
            x, normal = fused.add_and_norm(x, out, block.out_bias, block.ln2_weight, block.ln2_bias, LAYER_NORM_EPS)
            up = F.linear(normal, block.up_weight.to(dtype))
            down = F.linear(fused.biased_gelu(up, block.up_bias), block.down_weight.to(dtype))
            x, normal = fused.add_and_norm(x, down, block.down_bias, *norm, LAYER_NORM_EPS)
        return normal.view(B, T, -1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the float32 logits of the real tokens, (..., vocab_size), from hidden (..., C)."""
        return F.linear(hidden, self.wte[: self.shape.vocab_size].to(hidden.dtype)).float()

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss in nats (a float32 scalar) of predicting targets (B, T) from ids (B, T)."""
        hidden = self.hidden(ids).flatten(0, 1)
        return losses.mean_loss(hidden, self.wte, targets.flatten(), self.shape.vocab_size)

    def initialise(self, seed: int = 42) -> None:
        """Set llm.c's initial weights: one Mersenne Twister; wte and wpe, then the matrices of each layer in turn.

        Equal to llm.c's up to 5e-8, since both draw as PyTorch does on a CPU; so they are drawn there and copied.
        """
        flat = torch.empty(self.shape.num_parameters)
        views = views_of(flat, self.shape.tensors())
        specs = {tensor.name: tensor for tensor in self.shape.tensors()}
        generator = torch.Generator().manual_seed(seed)
        for name, spec in specs.items():
            for view in views[name]:
                view.fill_(spec.fill)

        def draw(view: Tensor, std: float | None) -> None:
            nn.init.normal_(view, 0.0, std or 0.0, generator=generator)

        draw(views["wte"][0][: self.shape.vocab_size], specs["wte"].std)
        draw(views["wpe"][0], specs["wpe"].std)
        for layer in range(self.shape.layers):
            for name in ("qkv.weight", "out.weight", "up.weight", "down.weight"):
                draw(views[name][layer], specs[name].std)
        self.flat.copy_(flat)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x, weight.to(x.dtype), bias.to(x.dtype))


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weight.to(x.dtype), bias.to(x.dtype), LAYER_NORM_EPS)
