"""Studies as a tuner leaves them, made up: outcomes of a ladder whose bowls are known, and logs of their trials."""

from __future__ import annotations

import math
from pathlib import Path

from trainer.runs.log import RunLog
from trainer.tune.experiments import Experiment, Outcome, Scale

TARGET = Scale(12, 768, 12, 4725)


def optimum(scale: Scale) -> float:
    """The best rate of a scale: 2e-3 for the target, more for shorter runs."""
    return 2e-3 * (TARGET.steps / scale.steps) ** 0.3


def bowl(rate: float, scale: Scale) -> float:
    """The loss, without noise: steeper above the optimum than below."""
    octaves = math.log2(rate / optimum(scale))
    return 2.9 + 9 * scale.steps**-0.33 + (0.03 if octaves < 0 else 0.06) * octaves**2


def outcome(rate: float, steps: int, seed: int = 0, stage: str = "ladder", noise: float = 0.0) -> Outcome:
    """A run of GPT-2 124M, 12 s a step; it diverges two octaves above the optimum."""
    scale = Scale(TARGET.depth, TARGET.channels, TARGET.heads, steps)
    experiment = Experiment(stage, rate, scale, scale.warmup, seed, hellaswag=stage == "hold-out")
    seconds = 12.0 * steps + 30
    if rate > 4 * optimum(scale):
        return Outcome(experiment, None, seconds / 3, seconds / 7200, diverged_at=steps // 3, train_loss=math.nan)
    accuracy = 0.2712 if experiment.hellaswag else None
    loss = bowl(rate, scale) + noise
    return Outcome(experiment, loss, seconds, seconds / 2400, accuracy, train_loss=loss - 0.02)


def ladder() -> list[Outcome]:
    """Rungs of 100, 200 and 400 steps with a repeat and two divergences, and a hold-out of 800."""
    made = [outcome(rate, 100) for rate in (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)]
    made += [outcome(rate, 200) for rate in (1e-3, 2e-3, 4e-3, 8e-3, 3.2e-2)]
    made += [outcome(4e-3, 200, seed=1, noise=0.01)]
    made += [outcome(rate, 400) for rate in (2e-3, 4e-3, 8e-3)]
    return [*made, outcome(3.4e-3, 800, stage="hold-out")]


def write_logs(outcomes: list[Outcome], folder: Path) -> list[str]:
    """Write the log of each trial into a folder of its own and return these."""
    folders = [str(folder / f"trial-{number:03d}") for number in range(1, len(outcomes) + 1)]
    for told, place in zip(outcomes, folders, strict=True):
        steps, last = told.experiment.steps, told.loss or 9.0
        with RunLog(place, resume=False) as log:
            log.validation(0, 10.95)
            for step in range(told.diverged_at or steps):
                log.train(step, last + (10.95 - last) * math.exp(-5 * step / steps), 1e-3, 1.0, 12_000.0)
            if told.loss is not None:
                log.validation(steps, told.loss)
    return folders
