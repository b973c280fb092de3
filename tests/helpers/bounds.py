"""How far rounding may carry a result: bounds from the number of roundings and the width of a float, of no one machine.

A processor decides in which order a sum is added up, how many partial sums there are and whether a product is rounded
before it is added. No bound here assumes any of it: a sum of n terms counts as n roundings one after another.
"""

import math
from typing import Protocol

FLOAT64, FLOAT32, BFLOAT16 = 2.0**-53, 2.0**-24, 2.0**-8
"""Unit roundoff u: a rounded result is exact (1 + d) with |d| <= u."""

CONFIDENCE = 4.0
"""Lambda of `likely`: a result goes beyond its bound with a probability of at most 2 exp(-lambda^2 / 2) = 7e-4."""

TRANSCENDENTAL = 4
"""Roundings that an exp, log or tanh counts as: vectorised libraries promise 4 units in the last place."""


class Architecture(Protocol):
    """What a GPT-2's number of roundings depends on."""

    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...


def worst(roundings: int, unit: float = FLOAT32) -> float:
    """Return gamma_n = n u / (1 - n u), which the relative error of n roundings in a chain never exceeds.

    Higham 2002, Accuracy and Stability of Numerical Algorithms, lemma 3.1; of a sum of n terms (section 4.2) and an
    inner product (3.1) relative to the sum of the absolute values of the terms. For chains of a few operations.
    """
    return roundings * unit / (1 - roundings * unit)


def likely(roundings: int, unit: float = FLOAT32) -> float:
    """Return exp(lambda sqrt(n) u + n u^2 / (1 - u)) - 1, the bound where the n roundings err independently.

    Higham and Mary 2019, A New Approach to Probabilistic Rounding Error Analysis, theorem 2.4, lambda = CONFIDENCE; the
    roundings of all sums on the way from input to result add up under the one root. For long sums and deep chains.
    """
    return math.expm1(CONFIDENCE * math.sqrt(roundings) * unit + roundings * unit**2 / (1 - unit))


def hidden_roundings(model: Architecture, length: int) -> int:
    """Return the roundings on the longest way from weights to what the head sees, in rows of `length` tokens."""
    C = model.channels
    norm = 2 * C + 4  # mean and variance, then the root, the quotient, weight and bias
    attention = 2 * C + C // model.heads + 2 * length + TRANSCENDENTAL  # two products, scores, softmax, values
    mlp = 5 * C + 2 * TRANSCENDENTAL  # C terms up, 4 C down, GELU between them
    return model.layers * (2 * norm + attention + mlp + 2) + norm


def loss_roundings(model: Architecture, length: int) -> int:
    """Return the roundings on the longest way from weights to a token's loss.

    Nearly all are those of the normaliser, a sum over the vocabulary. Of a loss they are absolute errors: the logarithm
    makes them so, and logits are near 1 where a test bounds a loss by this.
    """
    return hidden_roundings(model, length) + model.channels + model.vocab_size + 2 * TRANSCENDENTAL


def gradient_roundings(model: Architecture, tokens: int, length: int) -> int:
    """Return the roundings on the longest way from weights to a gradient summed over `tokens` tokens.

    Backwards each product becomes two, one of which sums over the tokens; the head's sums over the vocabulary.
    """
    products = 6 * model.layers + 1
    return 3 * loss_roundings(model, length) + products * tokens
