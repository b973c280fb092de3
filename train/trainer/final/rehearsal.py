"""The final run in small: a tiny seed model trained to half of its schedule, then the same path as the real one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from sparkprep.commands import in_checkout, make
from sparkprep.errors import UserError
from sparkprep.io.files import make_folder, open_whole, write_text
from sparkprep.io.paths import normalise
from sparkprep.llmc.shard import ShardFile
from trainer.checkpoints import checkpoint
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.checkpoints.folder import LOCK_NAME, held
from trainer.data.loader import open_shards
from trainer.device import DTYPES, choose_device, synchronise
from trainer.final.settings import FinalRun, shard_patterns
from trainer.loop.loop import train
from trainer.models.gpt2 import GPT2Shape
from trainer.settings import defaults

SECONDS = 70.0
"""What the updates of a rehearsal are to take together, by its own probe; start-up and checkpoints come to it."""

_LEAST_STEPS, _MOST_STEPS = 48, 240
_TOTAL_BATCHES = (1024, 512, 256)
_OVERHEAD = 1.2  # of an update over its micro-batches
_VALIDATIONS = 7  # what they all take, in updates: ten of twice the tokens, forward alone
_SIZES: dict[str, Any] = {
    "micro_batch": 4,
    "seq_len": 64,
    "sample_every": 0,
    "hellaswag": False,
}
_SHAPE: dict[str, Any] = {"layers": 2, "channels": 64, "heads": 2}
_LEARNING_RATE = 0.003
MARK = ".rehearsal"
"""The file that says that a folder is a rehearsal's, and may be deleted by the next one."""


def rehearse(final: FinalRun, say: Callable[[str], None]) -> FinalRun:
    """Train the tiny seed model and return the final run that goes on from it, in `final`'s output, made anew.

    Of `final` data, output, device, price and budget count. Raises UserError where the folder holds something that no
    rehearsal made, and where there are no data.
    """
    demo = in_checkout("demo", "shards")
    data, output = final.data or demo, normalise(final.output or "rehearsal")
    if not os.path.isdir(data):
        raise UserError(f"{data}: no such folder of shards; `{make('demo')}` makes {demo}, or name one with --data")
    train_data, val_data = shard_patterns(data)
    shards = open_shards(train_data, "--data")
    _begin_anew(output)
    sizes = _SIZES | {"device": final.device} | _fit(choose_device(final.device), shards)
    steps, half = sizes["steps"], sizes["steps"] // 2
    say(f"rehearsal    a seed model of {_SHAPE['layers']} layers, trained for {half} of {steps} steps")
    seed_folder = os.path.join(output, "seed")
    train(
        defaults(
            output=seed_folder,
            train_data=train_data,
            val_data=val_data,
            learning_rate=_LEARNING_RATE,
            stop_after=half,
            **{**sizes, **_SHAPE, "checkpoint_every": half},
        )
    )
    # Handed over as the real one is: a bare file, without what else stands beside it.
    seed_model = os.path.join(output, "seed_model.bin")
    with open(Checkpoint(seed_folder, half).model, "rb") as source, open_whole(seed_model) as target:
        shutil.copyfileobj(source, target)
    return replace(
        final,
        seed_model=seed_model,
        learning_rate=_LEARNING_RATE,
        data=data,
        output=os.path.join(output, "logGPT"),
        start_step=half,
        steps=steps,
        micro_batch=sizes["micro_batch"],
        changes=tuple(sizes.items()),
    )


def _fit(device: torch.device, shards: list[ShardFile]) -> dict[str, Any]:
    """Return number format, steps and tokens of an update that take SECONDS on this machine, as busy as it is now."""
    seconds = {name: _seconds_of_micro_batch(device, dtype) for name, dtype in DTYPES.items()}
    # The real run computes in bfloat16, for which many a processor has no instructions.
    precision = "bf16" if seconds["bf16"] <= 1.5 * seconds["fp32"] else "fp32"
    tokens = _SIZES["micro_batch"] * _SIZES["seq_len"]
    there = sum(shard.header.tokens // tokens * tokens for shard in shards)
    for total_batch in _TOTAL_BATCHES:
        update = total_batch / tokens * seconds[precision] * _OVERHEAD
        # The probe of the final run, a quarter of its half, comes to the steps.
        steps = min(int((SECONDS / update - _VALIDATIONS) / 1.125), 2 * there // total_batch, _MOST_STEPS)
        if steps >= _LEAST_STEPS:
            break
    steps = max(steps, _LEAST_STEPS) // 8 * 8
    every = steps // 8
    return {
        "precision": precision,
        "steps": steps,
        "total_batch": total_batch,
        "warmup": every,
        "val_every": every,
        "val_tokens": 2 * total_batch,
        "checkpoint_every": 2 * every,
    }


def _seconds_of_micro_batch(device: torch.device, dtype: torch.dtype) -> float:
    """Return the time of one pass forward and back, the better of two: the first one fills caches."""
    model = GPT2Shape(_SHAPE["layers"], _SHAPE["heads"], _SHAPE["channels"]).build(device=device, dtype=dtype)
    model.initialise()
    ids = torch.zeros((_SIZES["micro_batch"], _SIZES["seq_len"]), dtype=torch.int64, device=device)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        model(ids, ids).backward()
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _begin_anew(output: str) -> None:
    """Make an empty folder with our mark in it.

    Only a folder with the mark is deleted: others may hold somebody's runs.
    """
    mark = os.path.join(output, MARK)
    for name in os.listdir(output) if os.path.exists(mark) else ():
        if os.path.exists(os.path.join(output, name, LOCK_NAME)):
            with held(os.path.join(output, name)):  # refuses where another rehearsal is under way
                pass
    if os.path.exists(mark) and not checkpoint.find(output):  # a rehearsal's own checkpoints lie one folder deeper
        shutil.rmtree(output)
    elif os.path.exists(output) and (not os.path.isdir(output) or os.listdir(output)):
        raise UserError(f"{output}: is there already, and no rehearsal made it; choose another folder (OUT=, --output)")
    make_folder(output)
    write_text(mark, "made by a rehearsal of the final run, and deleted by the next one\n")
