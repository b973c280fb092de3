"""What stands above the results of several thresholds: metrics.json and report.html that compare them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup

from sparkprep.dedup.contents import METRICS
from sparkprep.dedup.report import metrics, plots
from sparkprep.dedup.report.page import TEXT_LIMIT, with_difference
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.addressed import keys_of
from sparkprep.io.files import write_text
from sparkprep.pages.environment import environment, ratio
from sparkprep.pages.reported import REPORT
from sparkprep.spark.tables import Table

PAIRS = 3
"""Examples of what a threshold removes and the next one does not, at most."""

Told = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The metrics of one threshold, and its report's examples."""


def write(work: Workspace, told: Sequence[Told], so_far: Mapping[str, Any]) -> dict[str, Any]:
    """Write both for a run whose results are written; return the metrics.

    told: of each threshold, in ascending order. so_far: the figures of time, `stages` and `seconds`.
    """
    figures = _figures(work, [figures for figures, _ in told]) | dict(so_far)
    write_text(work.result(REPORT), render(figures, [examples for _, examples in told]))
    write_text(work.result(METRICS), json.dumps(figures, indent=1) + "\n")
    return figures


def _figures(work: Workspace, each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = each[0]
    own = ("threshold", "bands", "rows")
    return {
        "format": metrics.FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": first["command"],
        "output": work.output.path,
        "fingerprint": first["fingerprint"],
        "settings": {name: value for name, value in first["settings"].items() if name not in own},
        "versions": first["versions"],
        "input": {name: value for name, value in first["input"].items() if name != "removed_text_bytes"},
        "thresholds": [
            {
                "threshold": view.settings.threshold,
                "folder": view.place,
                "counts": figures["counts"],
                "candidates": figures["candidates"],
                "banding": figures["banding"],
                "recall": figures["recall"],
                "removed_text_bytes": figures["input"]["removed_text_bytes"],
            }
            for view, figures in zip(work.each, each, strict=True)
        ],
        "steps": [
            dict(zip(("only_lower", "only_higher"), _apart(low.removed_keys, high.removed_keys), strict=True))
            | {"lower": low.settings.threshold, "higher": high.settings.threshold}
            for low, high in pairwise(work.each)
        ],
        "text_scans": list(work.scans),
        "shuffle": first["shuffle"],
        "warnings": list(dict.fromkeys(warning for figures in each for warning in figures["warnings"])),
        "left_out": first["left_out"],
    }


def _apart(lower: Table, higher: Table) -> tuple[int, int]:
    """Count the keys that only one of two tables holds, which are addressed to the pieces: read one part at a time."""
    only_lower = only_higher = 0
    for piece in {*(lower.parts or {}), *(higher.parts or {})}:
        low, high = keys_of(lower, piece), keys_of(higher, piece)
        both = len(np.intersect1d(low, high, assume_unique=True))
        only_lower += len(low) - both
        only_higher += len(high) - both
    return only_lower, only_higher


def render(figures: Mapping[str, Any], examples: Sequence[Mapping[str, Any]]) -> str:
    """Return the page. figures: what metrics.json holds; examples: of each threshold, as `page.render` takes them.

    Every text in either may be hostile: all is escaped.
    """
    steps = [
        step
        | {"pairs": [with_difference(pair) for pair in of_lower["pairs"] if pair["jaccard"] < step["higher"]][:PAIRS]}
        for step, of_lower in zip(figures["steps"], examples, strict=False)
    ]
    source = resources.files(__package__).joinpath("comparison.html").read_text(encoding="utf-8")
    svg = plots.removed_by_threshold([(each["threshold"], each["counts"]) for each in figures["thresholds"]])
    return (
        environment(__package__)
        .from_string(source)
        .render(m=figures, steps=steps, plot=Markup(svg), ratio=ratio, text_limit=TEXT_LIMIT)
    )
