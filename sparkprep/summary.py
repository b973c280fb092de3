"""The summary that a job prints when it has ended: values by name, and its first warnings."""

from __future__ import annotations

from collections.abc import Sequence

from sparkprep.console import say_line

_SHOWN = 5
_WIDTH = 15


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print a summary, one value on a line."""
    width = max(_WIDTH, *(len(name) for name, _ in rows))
    for name, value in rows:
        say_line(f"  {name:<{width}} {value}")


def print_warnings(warnings: Sequence[str], file: str) -> None:
    """Print the first warnings of a run, below its summary. file: where all of them are."""
    for warning in warnings[:_SHOWN]:
        say_line(f"  warning: {warning}")
    if len(warnings) > _SHOWN:
        say_line(f"  and {len(warnings) - _SHOWN} more warnings in {file}")
