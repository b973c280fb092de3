"""Run folders as the trainer leaves them, made up."""

import math
from pathlib import Path

from trainer.runs import parameters as run_parameters
from trainer.runs.log import RunLog


def make_run(folder: Path, lr: float = 6e-4, steps: int = 60, floor: float = 3.0, hellaswag: bool = True) -> Path:
    """A run of so many steps whose losses fall from 11 towards `floor`; validation every 10 steps."""
    groups = [[("learning rate (LR)", f"{lr:e}")], [("channels C", "768"), ("num_parameters", "124475904")]]
    run_parameters.append(str(folder), groups)
    with RunLog(str(folder), resume=False) as log:
        for step in range(steps + 1):
            loss = floor + (11 - floor) * math.exp(-5 * step / max(steps, 1))
            if step % 10 == 0 or step == steps:
                log.validation(step, loss + 0.1)
                if hellaswag and step > 0:
                    log.hellaswag(step, 0.25 + 0.0005 * step)
            if step < steps:
                log.train(step, loss, lr * (1 - step / steps), 0.5, 500.0)
    return folder
