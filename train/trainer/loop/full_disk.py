"""What to do where a checkpoint finds no room: advice that succeeds when it is followed to the letter."""

from __future__ import annotations

import shutil

from sparkprep.units import human_bytes
from trainer.checkpoints import checkpoint, model_file
from trainer.checkpoints.model_file import ModelHeader
from trainer.loop.run import Run

_BESIDE = 1 << 18  # the order of the data, JSON, and the log up to the checkpoint after


def advice(run: Run) -> str:
    """Return how a run goes on whose checkpoint could not be written."""
    s, folder = run.settings, run.folder
    checkpoints = checkpoint.find(folder)
    go_on = "-y 1 goes on" if checkpoints else "then start again"
    shape = run.model.shape
    model_bytes = ModelHeader(shape, model_file.version_of(shape, run.model.dtype)).bytes
    needed = checkpoint.bytes_needed(model_bytes, shape.num_parameters, masters=s.masters)
    needed += 8 * run.loader.windows + _BESIDE
    lacks = 1.05 * (needed - shutil.disk_usage(folder).free)  # as what is told of it is rounded
    if lacks <= 0:
        return f"Mend that; {go_on}"
    superfluous = []
    if checkpoints and s.keep != 1:
        superfluous = checkpoint.to_prune(folder, checkpoints[0].step, s.checkpoint_every, 1, s.keep_multiple)
    gained = sum(map(checkpoint.size, superfluous))
    if gained < lacks:
        return f"Free {human_bytes(lacks)} or more; {go_on}"
    steps = ", ".join(str(each.step) for each in reversed(superfluous))
    return (
        f"-y 1 -nk 1 goes on, and deletes the checkpoints of steps {steps} ({human_bytes(gained)}); or free "
        f"{human_bytes(lacks)}, and {go_on}"
    )
