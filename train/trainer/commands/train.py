"""The face of training: python train/train_gpt2.py."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sparkprep.console import guarded


def main(argv: Sequence[str] | None = None) -> int:
    """Train; 0 when the run has come to its end, 2 for what a user can mend, 130 when interrupted."""
    words = sys.argv[1:] if argv is None else argv

    def work() -> int:
        from trainer import settings
        from trainer.loop.loop import train

        train(settings.parse(words))
        return 0

    return guarded(work, debug="--debug" in words)
