"""Runs of an oracle, as outcomes, for tests of the tuner."""

from collections.abc import Iterable
from dataclasses import replace

from replayed import tune_oracles

from trainer.tune.experiments import Experiment, Outcome, Scale

TARGET = tune_oracles.TARGET


def rung(steps: int) -> Scale:
    """The target's model, trained for so many steps."""
    return replace(TARGET, steps=steps)


def run(oracle: "tune_oracles.Oracle", steps: int, rates: Iterable[float]) -> list[Outcome]:
    """What comes of the target's model at rates, one run each."""
    scale = rung(steps)
    return [oracle.run(Experiment("ladder", rate, scale, scale.warmup)) for rate in rates]


def around(oracle: "tune_oracles.Oracle", steps: int, octaves: Iterable[float]) -> list[Outcome]:
    """What comes of rates about the rung's best one."""
    return run(oracle, steps, [2 ** (oracle.optimum_at(rung(steps)) + octave) for octave in octaves])
