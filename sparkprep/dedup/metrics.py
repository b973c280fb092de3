"""The figures of a run: metrics.json."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkprep.dedup.bands import probability
from sparkprep.dedup.settings import Settings

FORMAT = 1
BINS = 1000
BOOTSTRAPS = 1000


def histogram(jaccard: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int64]:
    """Counts of similarities in BINS equal bins from the threshold to 1, the last closed."""
    span = max(1.0 - threshold, 1e-12)
    place = np.minimum(((jaccard - threshold) / span * BINS).astype(np.int64), BINS - 1)
    return np.bincount(place, minlength=BINS).astype(np.int64)


def recall(counts: npt.NDArray[np.int64], copies: int, threshold: float, bands: int, rows: int) -> dict[str, Any]:
    """Estimated share of all true pairs that was found, with a 95 % bootstrap interval.

    Horvitz and Thompson 1952: a found pair of similarity J stands for 1 / P(found | J) pairs. counts: `histogram` of the
    found pairs; copies: exact copies, which are always found. None where no pair was found.
    """
    pairs = int(counts.sum()) + copies
    if not pairs:
        return {"estimate": None, "low": None, "high": None, "pairs": 0}
    middle = threshold + (np.arange(BINS) + 0.5) / BINS * (1.0 - threshold)
    weights = np.append(1.0 / probability(middle, bands, rows), 1.0)
    observed = np.append(counts, copies)
    estimate = pairs / float(observed @ weights)
    draws = np.random.default_rng(0).multinomial(pairs, observed / pairs, size=BOOTSTRAPS)
    low, high = np.quantile(pairs / (draws @ weights), [0.025, 0.975])
    return {"estimate": round(estimate, 6), "low": round(float(low), 6), "high": round(float(high), 6), "pairs": pairs}


def coarse(counts: npt.NDArray[np.int64], threshold: float, bins: int = 20) -> dict[str, Any]:
    """The histogram for the report."""
    edges = np.linspace(threshold, 1.0, bins + 1) if threshold < 1.0 else np.array([1.0 - 1e-9, 1.0])
    bins = len(edges) - 1
    return {"edges": [round(float(e), 6) for e in edges], "counts": [int(c) for c in counts.reshape(bins, -1).sum(axis=1)]}


def settings_in_force(settings: Settings) -> dict[str, Any]:
    return {**asdict(settings.with_banding()), "slots": 128}


def versions(spark: str) -> dict[str, str]:
    """Versions of all that can change a result."""
    found = {"spark": spark, "python": platform.python_version()}
    for package in ("sparkprep", "numpy", "numba", "pyarrow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
