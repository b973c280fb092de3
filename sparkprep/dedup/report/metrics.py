"""The figures of a run: metrics.json."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkprep.dedup.candidates import CandidateCounts
from sparkprep.dedup.kernels.bands import SLOTS, probability
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.signatures import Tally
from sparkprep.dedup.workspace import Run

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

    Horvitz and Thompson 1952: a found pair of similarity J stands for 1 / P(found | J) pairs. counts: `histogram` of
    the found pairs; copies: exact copies, which are always found. None where no pair was found.
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
    return {
        "edges": [round(float(e), 6) for e in edges],
        "counts": [int(c) for c in counts.reshape(bins, -1).sum(axis=1)],
    }


def build(
    run: Run, tally: Tally, found: CandidateCounts, outcome: Outcome, by_source: dict[str, Any] | None
) -> dict[str, Any]:
    """Everything that metrics.json holds."""
    settings, summary, banding = run.settings, run.summary, run.settings.banding
    documents = summary.rows + run.rejected
    at_threshold = float(probability(settings.threshold, banding.bands, banding.rows))
    return {
        "format": FORMAT,
        "settings": {**asdict(settings), "bands": banding.bands, "rows": banding.rows, "slots": SLOTS},
        "versions": versions(run.spark.version),
        "input": {
            "paths": run.inputs,
            "files": len(run.files),
            "documents": documents,
            "file_bytes": summary.file_bytes,
            "text_bytes": tally.text_bytes,
        },
        "counts": {
            "input": documents,
            "kept": summary.rows - outcome.removed,
            "removed": outcome.removed,
            "rejected": run.rejected,
            "exact": outcome.exact,
            "near": outcome.near,
            "null_text": tally.null_text,
            "empty_text": tally.empty_text,
            "no_words": tally.no_words,
            "duplicate_ids": found.duplicate_ids,
        },
        "candidates": {
            "pairs": outcome.pairs,
            "verified": outcome.verified,
            "hot_buckets": found.hot_buckets,
            "uncompared_pairs": found.uncompared_pairs,
        },
        "banding": {
            "bands": banding.bands,
            "rows": banding.rows,
            "probability_at_threshold": round(at_threshold, 6),
        },
        "recall": recall(outcome.histogram, outcome.copies, settings.threshold, banding.bands, banding.rows),
        "clusters": {str(size): number for size, number in outcome.cluster_sizes.items()},
        "jaccard_histogram": coarse(outcome.histogram, settings.threshold),
        "sources": by_source,
        "stages": run.progress.summary(),
        "seconds": round(run.progress.seconds, 3),
        "warnings": run.warnings,
    }


def versions(spark: str) -> dict[str, str]:
    """Versions of all that can change a result."""
    found = {"spark": spark, "python": platform.python_version()}
    for package in ("sparkprep", "numpy", "numba", "pyarrow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
