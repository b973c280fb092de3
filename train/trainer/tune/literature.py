"""What published work predicts for a run's best learning rate, law by law, and the prior made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from trainer.tune.experiments import Scale

TOKENS_PER_STEP = 524_288
"""Of the course's runs; the laws speak of tokens."""
HORIZON_SLOPE = (0.3, 0.2)
"""Mean and standard deviation of the exponent with which the best rate falls in the steps, at one batch and one model:
0 by Step Law's grid at a fixed batch, 0.32 to 0.65 by Bjorck et al. (2409.19913)."""
SIZE_SLOPE = (0.5, 0.3)
"""Of the exponent with which it falls in the parameters without embeddings, at the same steps: 0.23 (Bjorck et al.),
0.36 (Porian et al.), 0.71 (Step Law), 0.78 (its grid at a fixed batch)."""
PATH_SLOPE = (0.7, 0.3)
"""Of the exponent in the parameters without embeddings where the steps grow too, 20 tokens for each parameter."""


@dataclass(frozen=True)
class Law:
    """A published rule. trust: its weight in the prior, 0 to 2. rate: the best one of a scale on so many tokens."""

    source: str
    rule: str
    trust: float
    why: str
    rate: Callable[[Scale, float], float]


@dataclass(frozen=True)
class Prediction:
    """What a law says of one scale."""

    source: str
    rule: str
    rate: float
    trust: float
    why: str


@dataclass(frozen=True)
class Prior:
    """A belief about a best rate: normal in its doublings. octaves: the standard deviation."""

    rate: float
    octaves: float

    def interval(self, share: float = 0.68) -> tuple[float, float]:
        """Return the rates between which it lies with a probability of 0.68 or 0.95."""
        half = {0.68: 1.0, 0.95: 1.96}[share] * self.octaves
        return self.rate * 2**-half, self.rate * 2**half


def _moved(rate: float, body: float, tokens: float, horizon: float = 0.32) -> Callable[[Scale, float], float]:
    """Return a rate found at one size and length, moved to others by the exponents of Bjorck et al."""
    return lambda scale, seen: rate * (scale.body / body) ** -0.23 * (seen / tokens) ** -horizon


_GPT2 = 85_056_000  # parameters of GPT-2 124M without embeddings
LAWS = (
    Law(
        "GPT-3 table, llm.c's default",
        "6e-4 at 125M parameters, 300B tokens",
        0.25,
        "low: a far longer horizon",
        lambda scale, _: 6e-4 * (scale.body / _GPT2) ** -0.23,
    ),
    Law(
        "Kaplan et al. 2020, arXiv 2001.08361",
        "0.003239 - 0.0001395 ln N",
        0.25,
        "low: long warm-up, old recipe",
        lambda scale, _: 0.003239 - 0.0001395 * math.log(scale.body),
    ),
    Law(
        "llm.c's 10B-token run, moved by D^-0.32",
        "6e-4 (D / 10B)^-0.32",
        0.25,
        "low: 6e-4 was never tuned",
        _moved(6e-4, _GPT2, 1e10),
    ),
    Law(
        "llm.c's 10B-token run, moved by D^-0.65",
        "6e-4 (D / 10B)^-0.65",
        0.25,
        "low: 6e-4 was never tuned",
        _moved(6e-4, _GPT2, 1e10, horizon=0.65),
    ),
    Law(
        "DeepSeek LLM 2024, arXiv 2401.02954",
        "0.3118 C^-0.125",
        1.0,
        "medium: a law of compute alone, own data",
        lambda scale, tokens: 0.3118 * (6.0 * scale.parameters * tokens) ** -0.125,
    ),
    Law(
        "modded-nanogpt, AdamW record",
        "1.8e-3 at 124M, 5B tokens, the same batch; moved by D^-0.32",
        2.0,
        "medium to high: same size, batch and data, but rotary positions and RMSNorm",
        _moved(1.8e-3, _GPT2, 5e9),
    ),
    Law(
        "modded-nanogpt, Adam baseline",
        "1.5e-3 at 124M, 5,625 steps; moved by D^-0.32",
        1.0,
        'medium: "most likely undertuned"',
        _moved(1.5e-3, _GPT2, 5625 * TOKENS_PER_STEP),
    ),
    Law(
        "Step Law 2025, arXiv 2503.04715",
        "1.79 N^-0.713 D^0.307",
        1.0,
        "medium: LLaMA-like, its batch grows with D",
        lambda scale, tokens: 1.79 * scale.body**-0.713 * tokens**0.307,
    ),
    Law(
        "Step Law's grid at this batch",
        "5.1e-3 at 85M, by N^-0.78 D^0.01",
        0.5,
        "low to medium: 2.5 times below its grid in N",
        lambda scale, tokens: 5.1e-3 * (scale.body / _GPT2) ** -0.78 * (tokens / 2.5e9) ** 0.01,
    ),
    Law(
        "Porian et al. 2024, arXiv 2406.19146",
        "3.7 N^-0.36",
        0.25,
        "low: constant rate, tuned beta2",
        lambda scale, _: 3.7 * scale.body**-0.36,
    ),
    Law(
        "Lingle's sweeps",
        "1.95e-3 at 109M, 0.91B tokens, a quarter of the batch; moved by D^-0.32",
        1.0,
        "medium: LLaMA, 2 % warm-up",
        _moved(1.95e-3, 109e6, 0.91e9),
    ),
    Law(
        "Wen et al. 2025, arXiv 2509.02046",
        "8e-3 at 130M, 20 tokens a parameter",
        0.25,
        "low: deeper and narrower, warm-up of 40 %",
        _moved(8e-3, 85e6, 2.6e9),
    ),
)


def predictions(scale: Scale, tokens_per_step: int = TOKENS_PER_STEP) -> list[Prediction]:
    """Return what each law says of the best rate at a scale, in the laws' order."""
    tokens = float(scale.steps) * tokens_per_step
    # Kaplan's line falls below zero for sizes far beyond its own.
    return [Prediction(law.source, law.rule, max(law.rate(scale, tokens), 1e-6), law.trust, law.why) for law in LAWS]


def prior(scale: Scale, tokens_per_step: int = TOKENS_PER_STEP) -> Prior:
    """Return the laws' mean in doublings, weighted by trust, and their spread about it.

    For GPT-2 124M on 4,725 steps: 2e-3, give or take three quarters of an octave.
    """
    found = predictions(scale, tokens_per_step)
    total = sum(each.trust for each in found)
    mean = sum(each.trust * math.log2(each.rate) for each in found) / total
    spread = sum(each.trust * (math.log2(each.rate) - mean) ** 2 for each in found) / total
    return Prior(2**mean, math.sqrt(spread))
