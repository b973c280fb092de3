"""The final run in small: a tiny seed model trained to half of its schedule, then the same path as the real one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder, open_whole, write_text
from trainer.checkpoints import checkpoint
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.final.settings import FinalRun, shard_patterns
from trainer.loop.loop import train
from trainer.settings import defaults

STEPS = 80
HALF = 40

_SIZES: dict[str, Any] = {
    "micro_batch": 4,
    "seq_len": 64,
    "total_batch": 1024,
    "warmup": 8,
    "val_every": 10,
    "val_tokens": 8192,
    "checkpoint_every": 20,
    "sample_every": 0,
    "hellaswag": False,
}
_SHAPE: dict[str, Any] = {"layers": 2, "channels": 32, "heads": 2}
_LEARNING_RATE = 0.01
MARK = ".rehearsal"
"""The file that says that a folder is a rehearsal's, and may be deleted by the next one."""


def rehearse(data: str, output: str, price_per_hour: float, say: Callable[[str], None]) -> FinalRun:
    """Train the tiny seed model and return the final run that goes on from it, in `output`, which is made anew.

    Raises UserError where the folder holds something that no rehearsal made.
    """
    _begin_anew(output)
    seed_folder = os.path.join(output, "seed")
    train_data, val_data = shard_patterns(data)
    say(f"rehearsal    a seed model of {_SHAPE['layers']} layers, trained for {HALF} of {STEPS} steps")
    train(
        defaults(
            output=seed_folder,
            train_data=train_data,
            val_data=val_data,
            learning_rate=_LEARNING_RATE,
            steps=STEPS,
            stop_after=HALF,
            **{**_SIZES, **_SHAPE, "checkpoint_every": HALF},
        )
    )
    # Handed over as the real one is: a bare file, without what else stands beside it.
    seed_model = os.path.join(output, "seed_model.bin")
    with open(Checkpoint(seed_folder, HALF).model, "rb") as source, open_whole(seed_model) as target:
        shutil.copyfileobj(source, target)
    return FinalRun(
        seed_model=seed_model,
        learning_rate=_LEARNING_RATE,
        data=data,
        output=os.path.join(output, "logGPT"),
        start_step=HALF,
        steps=STEPS,
        price_per_hour=price_per_hour,
        changes=tuple(_SIZES.items()),
    )


def _begin_anew(output: str) -> None:
    """Make an empty folder with our mark in it.

    Only a folder with the mark is deleted: others may hold somebody's runs.
    """
    mark = os.path.join(output, MARK)
    if os.path.exists(mark) and not checkpoint.find(output):  # a rehearsal's own checkpoints lie one folder deeper
        shutil.rmtree(output)
    elif os.path.exists(output) and (not os.path.isdir(output) or os.listdir(output)):
        raise UserError(f"{output}: is there already, and no rehearsal made it; choose another folder (OUT=, --output)")
    make_folder(output)
    write_text(mark, "made by a rehearsal of the final run, and deleted by the next one\n")
