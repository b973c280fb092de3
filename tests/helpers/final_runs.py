"""A final run of a tiny model, and what it leaves."""

from dataclasses import replace
from pathlib import Path

from trainer.final.settings import FinalRun

START, STEPS = 30, 60


OPTIONS: dict[str, object] = {
    "micro_batch": 2,
    "seq_len": 16,
    "total_batch": 64,
    "warmup": 5,
    "val_every": 20,
    "val_tokens": 64,
    "checkpoint_every": 20,
    "sample_every": 0,
    "hellaswag": False,
    "threads": 1,
}


def contents(final: FinalRun) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(final.folder).iterdir() if path.name != ".lock"}


def with_options(final: FinalRun, **options: object) -> FinalRun:
    return replace(final, changes=tuple({**dict(final.changes), **options}.items()))
