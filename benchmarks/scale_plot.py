"""The figure of scale.py: CPU time of a document by stage and size, and peak memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # before pyplot chooses another
from matplotlib import pyplot

PARTS = {"JVM": "JVM", "Python": "driver's Python", "worker": "Python workers, all"}


def draw(measured: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the figures of several sizes, smallest first, into a PNG."""
    documents = [figures["documents"] for figures in measured]
    figure, (cost, memory) = pyplot.subplots(1, 2, figsize=(11, 4.2), constrained_layout=True)
    names = [stage["name"] for stage in measured[-1]["stages"]]
    heights = [
        [1e3 * sum(s["cpu_s"] for s in f["stages"] if s["name"] == name) / f["documents"] for f in measured]
        for name in names
    ]
    at, floor = list(range(len(documents))), [0.0] * len(documents)
    colours = matplotlib.colormaps["tab10"]
    for number, (name, height) in enumerate(zip(names, heights, strict=True)):
        cost.bar(at, height, bottom=floor, width=0.6, label=name, color=colours(number % 10))
        floor = [low + more for low, more in zip(floor, height, strict=True)]
    cost.set_xticks(at, [f"{n:,}" for n in documents])
    cost.set_ylabel("CPU ms a document")
    cost.set_title("What a document costs, by stage")
    cost.legend(fontsize=8, frameon=False)
    for part, label in PARTS.items():
        peaks = [max(stage[f"{part}_mb"] for stage in figures["stages"]) for figures in measured]
        memory.plot(documents, peaks, marker="o", label=label)
    memory.plot(documents, [f["largest_worker_mb"] for f in measured], marker="o", ls="--", label="largest worker")
    memory.set_xscale("log")
    memory.set_xticks(documents, [f"{n:,}" for n in documents])
    memory.minorticks_off()
    memory.set_ylim(bottom=0)
    memory.set_ylabel("peak resident MB")
    memory.set_title("Memory at its greatest")
    memory.legend(fontsize=8, frameon=False)
    for axes in (cost, memory):
        axes.set_xlabel("documents")
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
