"""The face of training: python train/train_gpt2.py."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trainer.launch import guarded
from trainer.settings import TrainSettings, parse


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, train and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return guarded(lambda: run(parse(words)), debug="--debug" in words, expendable=True)


def run(settings: TrainSettings) -> int:
    """Train as the settings say. Raises UserError for what a user can mend."""
    # Here, as PyTorch takes seconds to import, which --help must not.
    from trainer.loop.loop import train

    train(settings)
    return 0
