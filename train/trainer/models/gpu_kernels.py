"""Kernels in Triton for the steps of GPT-2 between its matrix products, each in one pass over a GPU's memory.

They are called by the operators of `models/gpu_ops.py`, whose words say what they compute. Arithmetic and sums are
float32. A program sums over its own rows, and writes its sum for itself.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def cross_entropy(logits, targets, losses, gradient, columns, vocab_size, scale, BLOCK: tl.constexpr):
    """Compute the loss of one row of logits and its gradient; a program a row."""
    row = tl.program_id(0).to(tl.int64)
    logits += row * columns
    gradient += row * columns
    target = tl.load(targets + row)
    lanes = tl.arange(0, BLOCK)
    highest = float("-inf")
    total = 0.0
    for start in range(0, columns, BLOCK):
        at = start + lanes
        # The padded width is a multiple of 128, so that loads bounded by it are 16 bytes wide; by vocab_size, 2.
        x = tl.load(logits + at, mask=at < columns, other=float("-inf")).to(tl.float32)
        x = tl.where(at < vocab_size, x, float("-inf"))
        before = highest
        highest = tl.maximum(highest, tl.max(x, 0))
        total = total * tl.exp(before - highest) + tl.sum(tl.exp(x - highest), 0)
    normaliser = highest + tl.log(total)
    tl.store(losses + row, normaliser - tl.load(logits + target).to(tl.float32))
    for start in range(0, columns, BLOCK):
        at = start + lanes
        x = tl.load(logits + at, mask=at < columns, other=float("-inf")).to(tl.float32)
        x = tl.where(at < vocab_size, x, float("-inf"))
        d = (tl.exp(x - normaliser) - tl.where(at == target, 1.0, 0.0)) * scale
        tl.store(gradient + at, d.to(gradient.dtype.element_ty), mask=at < columns)


@triton.jit
def gelu_backward(
    gradient, x, bias, dx, sums, rows, columns, per_program, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):
    """Compute the gradient by x of `per_program` rows and BLOCK_N columns, and its sum over these rows."""
    at = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = at < columns
    b = tl.load(bias + at, mask=inside, other=0.0)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    first = tl.program_id(1) * per_program
    for start in range(first, first + per_program, BLOCK_M):
        row = start + tl.arange(0, BLOCK_M)
        mask = (row < rows)[:, None] & inside[None, :]
        place = row.to(tl.int64)[:, None] * columns + at[None, :]
        u = tl.load(x + place, mask=mask, other=0.0).to(tl.float32) + b[None, :]
        g = tl.load(gradient + place, mask=mask, other=0.0).to(tl.float32)
        # gelu(u) = u gate, as (1 + tanh(a)) / 2 = sigmoid(2 a), of a = sqrt(2 / pi) (u + 0.044715 u^3).
        gate = tl.sigmoid(1.5957691216057308 * (u + 0.044715 * u * u * u))
        d = g * gate * (1.0 + u * (1.0 - gate) * 1.5957691216057308 * (1.0 + 0.134145 * u * u))
        tl.store(dx + place, d.to(dx.dtype.element_ty), mask=mask)
        total += d
    tl.store(sums + tl.program_id(1) * columns + at, tl.sum(total, 0), mask=inside)


@triton.jit
def norm_backward(by_total, by_normal, total, weight, dx, sums, rows, columns, eps, BLOCK: tl.constexpr):
    """Compute the gradient by x of each row whose turn it is, and the three sums over them."""
    at = tl.arange(0, BLOCK)
    inside = at < columns
    w = tl.load(weight + at, mask=inside, other=0.0)
    width = tl.full((), columns, tl.int64)
    by_x = tl.zeros((BLOCK,), tl.float32)
    by_weight = tl.zeros((BLOCK,), tl.float32)
    by_bias = tl.zeros((BLOCK,), tl.float32)
    for row in range(tl.program_id(0), rows, tl.num_programs(0)):
        place = row * width + at
        x = tl.load(total + place, mask=inside, other=0.0).to(tl.float32)
        g = tl.load(by_normal + place, mask=inside, other=0.0).to(tl.float32)
        d = tl.load(by_total + place, mask=inside, other=0.0).to(tl.float32)
        centred = tl.where(inside, x - tl.sum(x, 0) / columns, 0.0)
        scale = tl.rsqrt(tl.sum(centred * centred, 0) / columns + eps)
        n = centred * scale
        wg = w * g
        d += scale * (wg - tl.sum(wg, 0) / columns - n * (tl.sum(wg * n, 0) / columns))
        tl.store(dx + place, d.to(dx.dtype.element_ty), mask=inside)
        by_x += d
        by_weight += g * n
        by_bias += g
    sums += tl.program_id(0) * 3 * columns + at
    tl.store(sums, by_x, mask=inside)
    tl.store(sums + columns, by_weight, mask=inside)
    tl.store(sums + 2 * columns, by_bias, mask=inside)
