#!/usr/bin/env python3
"""Write docs/flags.md from the settings of the trainer and the tuner, so that it cannot disagree with the code."""

from pathlib import Path

from sparkprep.options import markdown_table, options_of
from trainer.flags import IGNORED
from trainer.settings import TrainSettings
from trainer.tune.settings import TuneSettings

TARGET = Path(__file__).resolve().parents[1] / "docs" / "flags.md"


def table() -> str:
    """Return the page: the trainer's table, the flags that are accepted for llm.c's sake, and the tuner's table."""
    ignored = ", ".join(f"`{word}`" for option in IGNORED for word in option.short)
    return (
        "# Flags of train_gpt2.py\n\nMade by `scripts/flags_table.py`.\n\n"
        f"{markdown_table(options_of(TrainSettings))}\n"
        f"Accepted, and without meaning for one process on one GPU: {ignored}.\n\n"
        f"# Flags of tune_lr.py\n\n{markdown_table(options_of(TuneSettings))}"
    )


if __name__ == "__main__":
    TARGET.write_text(table())
