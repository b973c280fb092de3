#!/usr/bin/env python3
"""Write docs/settings.md from the Settings class, so that the table cannot disagree with the code."""

from pathlib import Path

from sparkprep.dedup.settings import describe

TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"


def table() -> str:
    rows = [
        f"| `--{name.replace('_', '-')}` | {'chosen' if default is None else f'`{default}`'} | {meaning} |"
        for name, default, meaning in describe()
    ]
    head = ["# Settings of near-duplicate removal", "", "Made by `scripts/settings_table.py`.", ""]
    return "\n".join([*head, "| flag | default | meaning |", "| --- | --- | --- |", *rows]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(table())
