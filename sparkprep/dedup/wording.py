"""How the figures of a run are worded, wherever they are shown as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkprep.errors import argument


def uncompared(pairs: int) -> str:
    """Return the words for pairs of kept documents that were not compared, at most so many."""
    return f"at most {pairs:,} pairs of kept documents in oversized buckets"


def recall(figures: Mapping[str, Any]) -> str:
    """Return the words for `recall` of metrics.json, of which there is an estimate, with what it leaves out."""
    estimated = f"{figures['estimate']:.4f} estimated ({figures['low']:.4f} to {figures['high']:.4f})"
    excludes = figures.get("excludes")  # metrics of an earlier version have none
    return f"{estimated}, by the banding; not counting {excludes}" if excludes else estimated


def over_cluster(pairs: str, budget: int) -> str:
    """Return the words for a run that is decided over the cluster; pairs: how many it has."""
    return (
        f"over the cluster, which takes a small input several times as long: {argument('driver_budget', budget)} is "
        f"too little for {pairs} candidate pairs"
    )
