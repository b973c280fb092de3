"""Families of made-up sweeps: what training would have given, so that ways to tune a learning rate can be compared.

Each draw of a family is an oracle: a bowl of loss over the doublings of the rate, whose bottom drifts with the steps
and the size of a model, a wall above which training diverges, and noise. Shapes and sizes follow published sweeps
(bowls of 0.01 to 0.03 nats per squared octave, walls one to three octaves above the optimum, exponents of the horizon
0 to 0.65, of the size 0.2 to 0.8, noise of 0.003 to 0.01 nats); where the optimum of the target lies is drawn evenly
over the octaves between 4e-4 and 8e-3, which is no tuner's prior.

Inside the reach of the tuner's model: `gentle`, `cliff` and `noisy`. Foreign to it: `curved`, whose optimum follows no
power law, whose bowl is no parabola and whose curvature has another trend. They were fixed before strategies were first
compared on them; whoever changes them compares anew.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.tune.experiments import WARMUP_SHARE, Experiment, Outcome, Scale

TARGET = Scale(depth=12, channels=768, heads=12, steps=4725)
INSIDE = ("gentle", "cliff", "noisy")
FOREIGN = ("curved",)
FAMILIES = INSIDE + FOREIGN
LOWEST, HIGHEST = 4e-4, 8e-3
"""Between these the optimum of the target lies."""
DIVERGED = 1.0
"""Nats that a target run which diverges is counted to cost: more than any rate that trains."""
DOLLARS_PER_HOUR = 1.5
START_UP_S = 30.0
# Bounds of curvature, asymmetry, growth, wall and noise; degrees of freedom of the noise.
_SHAPES: dict[str, tuple[Any, ...]] = {
    "gentle": ((0.012, 0.03), (1.0, 1.5), (0.0, 0.15), (2.0, 3.0), (0.002, 0.005), 30.0),
    "cliff": ((0.012, 0.03), (2.0, 4.0), (0.0, 0.25), (1.0, 1.6), (0.003, 0.006), 10.0),
    "noisy": ((0.008, 0.02), (1.0, 2.5), (0.0, 0.15), (1.4, 2.4), (0.007, 0.012), 4.0),
    "curved": ((0.01, 0.03), (1.0, 2.5), (-0.15, 0.3), (1.2, 2.4), (0.003, 0.01), 3.0),
}
_VALIDATION_STEPS, _HELLASWAG_STEPS = 0.4, 26.0
_UNTRAINED = 10.8  # the loss of a model that has learnt nothing


@dataclass(frozen=True)
class Oracle:
    """A draw of a family. Octaves are doublings of the rate; distances to the target's scale are doublings as well.

    optimum: log2 of the target's best rate. drift, size_drift: octaves by which the optimum rises when steps, or
    parameters without embeddings, are halved. curvature: nats per squared octave below the optimum, at the target;
    asymmetry: times as many above it; growth: doublings of it when steps are halved. wall: octaves above the optimum
    where training diverges, blurred by `blur`. noise: standard deviation in nats; tails: degrees of freedom of
    Student's t that it is drawn from. foreign: whether the shapes are those that the tuner's model does not know.
    """

    family: str
    seed: int
    optimum: float
    drift: float
    size_drift: float
    curvature: float
    asymmetry: float
    growth: float
    wall: float
    noise: float
    tails: float
    blur: float = 0.1
    foreign: bool = False
    target: Scale = TARGET

    def optimum_at(self, scale: Scale, steps: float | None = None) -> float:
        """Return log2 of the best rate of a whole schedule at a scale, or of one of other steps than the scale's."""
        halvings = math.log2(self.target.steps / (steps or scale.steps))
        smaller = math.log2(self.target.body / scale.body)
        if self.foreign:  # the optimum bends upwards towards the target: halvings count less and less
            halvings = math.sqrt(halvings * halvings + 4) - 2 if halvings > 0 else 0.0
            smaller = math.sqrt(smaller * smaller + 9) - 3
        return self.optimum + self.drift * halvings + self.size_drift * smaller

    def bowl(self, octaves: float, halvings: float) -> float:
        """Return the nats that a rate `octaves` above the optimum costs, where steps were halved so many times."""
        curvature = self.curvature * 2 ** (self.growth * halvings)
        if not self.foreign:
            return curvature * octaves * octaves * (self.asymmetry if octaves > 0 else 1.0)
        if octaves <= 0:
            return curvature * abs(octaves) ** 1.5
        return curvature * self.asymmetry * 2 * (math.exp(1.2 * octaves) - 1 - 1.2 * octaves) / 1.44

    def run(self, experiment: Experiment) -> Outcome:
        """Return what comes of an experiment. The same experiment gives the same, whenever it is asked."""
        scale, steps = experiment.scale, experiment.steps
        random = np.random.default_rng([self.seed, *_digits(experiment)])
        kick, blur = random.standard_t(self.tails), random.normal()
        rate = math.log2(experiment.learning_rate)
        if experiment.warmup > steps:  # the peak is never reached
            rate += math.log2(steps / experiment.warmup)
        missing = max(0.0, 1 - experiment.warmup / steps / WARMUP_SHARE)
        above = rate - self.optimum_at(scale, steps)
        dollars = price(experiment)
        seconds = dollars / DOLLARS_PER_HOUR * 3600
        if above > self.wall - missing + self.blur * blur:
            return Outcome(experiment, None, seconds, dollars, diverged_at=max(1, steps // 3))
        halvings = math.log2(self.target.steps / steps)
        loss = self.floor(scale, steps)
        if experiment.stop_after is not None and experiment.stop_after < scale.steps:
            # Without its decay a run ends higher, and high rates suffer more.
            loss, above = loss + 0.15, above + 0.5
        spread = math.sqrt((self.tails - 2) / self.tails)  # of Student's t to a standard deviation of one
        loss = min(loss + self.bowl(above, halvings) + self.noise * spread * kick, _UNTRAINED)
        share = 0.31 - 0.02 * (loss - 3.3) if experiment.hellaswag else None
        return Outcome(experiment, loss, seconds, dollars, hellaswag=share, train_loss=loss - 0.02)

    def floor(self, scale: Scale, steps: int) -> float:
        """Return the loss at the best rate of a scale."""
        size, length = self.target.body / scale.body, self.target.steps / steps
        return 1.8 + 0.5 * size**0.15 + 1.1 * length**0.32

    def distance(self, rate: float) -> float:
        """Return the octaves by which a rate lies above the target's best."""
        return math.log2(rate) - self.optimum

    def regret(self, rate: float) -> float:
        """Return the nats that the target loses by a rate; `DIVERGED` beyond the wall."""
        octaves = self.distance(rate)
        return DIVERGED if octaves > self.wall else min(DIVERGED, self.bowl(octaves, 0.0))


def draw(family: str, seed: int) -> Oracle:
    """Return the oracle that a seed draws of a family."""
    random = np.random.default_rng([FAMILIES.index(family), seed])

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    optimum = between(math.log2(LOWEST), math.log2(HIGHEST))
    drift, size_drift = between(0.0, 0.65), between(0.2, 0.8)
    *ranges, tails = _SHAPES[family]
    shape = [between(*bounds) for bounds in ranges]
    foreign = family in FOREIGN
    return Oracle(family, seed, optimum, drift, size_drift, *shape, tails=tails, foreign=foreign)


def step_seconds(scale: Scale) -> float:
    """Return the seconds of a step of 524,288 tokens on an A10G: 12 for the target, 0.8 for a model of one layer."""
    flops = 6 * scale.parameters + 6 * scale.depth * scale.channels * 1024
    return 0.55 + 0.01425e-6 * flops


def price(experiment: Experiment) -> float:
    """Return the dollars of an experiment: its steps, a validation, HellaSwag where asked, and its start."""
    steps = experiment.steps + _VALIDATION_STEPS + (_HELLASWAG_STEPS if experiment.hellaswag else 0.0)
    return (START_UP_S + steps * step_seconds(experiment.scale)) / 3600 * DOLLARS_PER_HOUR


def _digits(experiment: Experiment) -> list[int]:
    """Return whole numbers that tell an experiment from any other, its stage aside."""
    scale = experiment.scale
    (rate,) = struct.unpack("<Q", struct.pack("<d", experiment.learning_rate))
    return [rate, scale.depth, scale.channels, scale.steps, experiment.steps, experiment.warmup, experiment.seed]
