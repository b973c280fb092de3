"""How figures are printed: the machine they were taken on, and tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


def machine() -> str:
    """One line to stand beside the figures."""
    name, memory = platform.processor() or platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1] for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0].strip() if models else name
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"Python {platform.python_version()}"
    with suppress(metadata.PackageNotFoundError):  # the trainer's figures are taken without it too
        versions += f", PySpark {metadata.version('pyspark')}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {name}, {cores} cores{memory}, {versions}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table with the columns under each other; all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        (first, width), *others = zip(cells, widths, strict=True)
        return f"| {' | '.join([first.ljust(width), *(cell.rjust(width) for cell, width in others)])} |"

    print(line(header))
    print("|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|")
    for row in rows:
        print(line(row))
