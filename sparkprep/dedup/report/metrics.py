"""The figures of a run: metrics.json."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkprep.dedup.candidates import CandidateCounts
from sparkprep.dedup.contents import KEPT, REMOVED
from sparkprep.dedup.kernels.bands import SLOTS, probability
from sparkprep.dedup.resolve.outcome import BINS, Outcome
from sparkprep.dedup.signatures import Tally
from sparkprep.dedup.workspace import Workspace
from sparkprep.io.left_out import name_left_out

FORMAT = 1
BOOTSTRAPS = 1000


def recall(counts: npt.NDArray[np.int64], copies: int, threshold: float, bands: int, rows: int) -> dict[str, Any]:
    """Estimate the share of all true pairs that was found, with a 95 % bootstrap interval.

    Horvitz and Thompson 1952: a found pair of similarity J stands for 1 / P(found | J) pairs. counts:
    `outcome.histogram` of the found pairs; copies: exact copies, which are always found. None where no pair was found.
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
    """Return the histogram, int64 (BINS,), in fewer bins for the report: their edges and counts."""
    edges = np.linspace(threshold, 1.0, bins + 1) if threshold < 1.0 else np.array([1.0 - 1e-9, 1.0])
    bins = len(edges) - 1
    return {
        "edges": [round(float(e), 6) for e in edges],
        "counts": [int(c) for c in counts.reshape(bins, -1).sum(axis=1)],
    }


def build(
    work: Workspace, tally: Tally, counts: CandidateCounts, outcome: Outcome, by_source: dict[str, Any] | None
) -> dict[str, Any]:
    """Return everything that metrics.json holds; by_source: what `sources.losses` returns."""
    settings, summary, banding = work.settings, work.summary, work.settings.banding
    documents = summary.rows + work.rejected
    at_threshold = float(probability(settings.threshold, banding.bands, banding.rows))
    return {
        "format": FORMAT,
        "settings": {**asdict(settings), "bands": banding.bands, "rows": banding.rows, "slots": SLOTS},
        "versions": versions(work.spark.version),
        "input": {
            "paths": work.inputs,
            "files": len(work.listing.files),
            "documents": documents,
            "file_bytes": sum(file.size for file in work.listing.files),
            "text_bytes": tally.text_bytes,
            "sample": work.sample,
        },
        "counts": {
            "input": documents,
            "kept": summary.rows - outcome.removed,
            "removed": outcome.removed,
            "rejected": work.rejected,
            "exact": outcome.exact,
            "near": outcome.near,
            "null_text": tally.null_text,
            "empty_text": tally.empty_text,
            "no_words": tally.no_words,
            "duplicate_ids": counts.duplicate_ids,
        },
        "candidates": {
            "pairs": outcome.pairs,
            "verified": outcome.verified,
            "hot_buckets": counts.hot_buckets,
            "uncompared_pairs": outcome.uncompared,
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
        "stages": work.progress.summary(),
        "seconds": round(work.progress.seconds, 3),
        "parts": {KEPT: work.kept.manifest(), REMOVED: work.removed.manifest()},
        "warnings": work.warnings,
        "left_out": name_left_out(work.listing.left_out),
    }


def versions(spark: str) -> dict[str, str]:
    """Return the versions of all that can change a result."""
    installed = {"spark": spark, "python": platform.python_version()}
    for package in ("sparkprep", "numpy", "numba", "pyarrow"):
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = "not installed"
    return installed
