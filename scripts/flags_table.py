#!/usr/bin/env python3
"""Write docs/flags.md from the trainer's table of flags, so that it cannot disagree with the code."""

from pathlib import Path

from trainer.flags import MEANINGLESS
from trainer.settings import FLAGS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "flags.md"


def table() -> str:
    rows = []
    for flag in FLAGS:
        if flag.help == MEANINGLESS:
            continue
        spelt = ", ".join(f"`{word}`" for word in (*flag.short, f"--{flag.name}"))
        meaning = flag.help.replace("|", "\\|")  # a bar would end the cell
        default = "" if flag.default is None or flag.parse is None else f"`{_shown(flag.default)}`"
        rows.append(f"| {spelt} | {default} | {meaning} |")
    others = ", ".join(f"`{word}`" for flag in FLAGS if flag.help == MEANINGLESS for word in flag.short)
    head = ["# Flags of train_gpt2.py", "", "Made by `scripts/flags_table.py`.", ""]
    tail = ["", f"Accepted, and without meaning for one process on one GPU: {others}."]
    return "\n".join([*head, "| flag | default | meaning |", "| --- | --- | --- |", *rows, *tail]) + "\n"


def _shown(default: object) -> object:
    return int(default) if isinstance(default, bool) else default


if __name__ == "__main__":
    TARGET.write_text(table())
