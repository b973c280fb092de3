"""The figures of a run: metrics.json."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sparkprep.dedup.candidates import CandidateCounts
from sparkprep.dedup.kernels.arrays import F64, I64
from sparkprep.dedup.kernels.bands import SLOTS, probability
from sparkprep.dedup.resolve import outcome, uncompared
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Tally
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.addressed import is_among, keys_of
from sparkprep.documents.keys import KEY
from sparkprep.errors import flag
from sparkprep.io.left_out import name_left_out
from sparkprep.io.paths import join_path
from sparkprep.options import changed
from sparkprep.spark.versions import versions

FORMAT = 1
BOOTSTRAPS = 1000
SHOWN_BINS = 100
"""Of the histogram in the report, between 0 and 1."""


def recall(counts: I64, copies: int, threshold: float, bands: int, rows: int) -> dict[str, Any]:
    """Estimate the share of all true pairs that was found, with a 95 % bootstrap interval.

    Horvitz and Thompson 1952: a found pair of similarity J stands for 1 / P(found | J) pairs. counts:
    `outcome.histogram` of the pairs compared; copies: exact copies, which are always found. None where no pair at or
    above the threshold was found.
    """
    edges = outcome.bin_edges(threshold)
    first = np.searchsorted(edges, threshold)
    counts, edges = counts[first:], edges[first:]
    pairs = int(counts.sum()) + copies
    if not pairs:
        return {"estimate": None, "low": None, "high": None, "pairs": 0, "missed": None}
    weights = np.append(_weights(edges, bands, rows), 1.0)
    observed = np.append(counts, copies)
    estimate = pairs / float(observed @ weights)
    draws = np.random.default_rng(0).multinomial(pairs, observed / pairs, size=BOOTSTRAPS)
    low, high = np.quantile(pairs / (draws @ weights), [0.025, 0.975])
    return {
        "estimate": round(estimate, 6),
        "low": round(float(low), 6),
        "high": round(float(high), 6),
        "pairs": pairs,
        "missed": round(pairs / estimate - pairs, 3),
    }


def _weights(edges: F64, bands: int, rows: int) -> F64:
    """Return for how many pairs a found one stands, by the middle of its bin."""
    weights: F64 = 1.0 / probability(np.minimum((edges[:-1] + edges[1:]) / 2, 1.0), bands, rows)
    return weights


def missed(counts: I64, threshold: float, bands: int, rows: int, at: float) -> float:
    """Estimate how many pairs of at least a similarity were not found, in the same way.

    counts: a threshold's `outcome.histogram`; at: one of its bins' edges.
    """
    edges = outcome.bin_edges(threshold)
    first = np.searchsorted(edges, at)
    return float(counts[first:] @ (_weights(edges[first:], bands, rows) - 1.0))


def coarse(counts: I64, threshold: float) -> dict[str, Any]:
    """Return a histogram in bins of 0.01, cut at the threshold too, for the report: their edges and counts."""
    edges = outcome.bin_edges(threshold)
    shown = np.unique(np.append(np.arange(SHOWN_BINS + 1) / SHOWN_BINS, threshold))
    starts = np.searchsorted(edges, shown[:-1])
    return {"edges": shown.tolist(), "counts": np.add.reduceat(counts, starts).tolist()}


def other_thresholds(result: Outcome, threshold: float, bands: int, rows: int) -> list[dict[str, Any]]:
    """Return what runs at other thresholds would come to, in ascending order, the run's own among them.

    missed: an estimate of the pairs there that this run's bands did not find. found: the probability that they find a
    pair of just that similarity.
    """
    return [
        {
            "threshold": at,
            "pairs": outcome.at_or_above(result.histogram, threshold, at),
            "removed": removed,
            "missed": round(missed(result.histogram, threshold, bands, rows, at), 3),
            "found": round(float(probability(at, bands, rows)), 6),
        }
        for at, removed in sorted(result.goes_at.items())
    ]


def _how(settings: Settings, result: Outcome) -> dict[str, Any]:
    """Return how candidates were found and decided."""
    banding = settings.banding
    at_threshold = float(probability(settings.threshold, banding.bands, banding.rows))
    return {
        "banding": {
            "bands": banding.bands,
            "rows": banding.rows,
            "probability_at_threshold": round(at_threshold, 6),
        },
        "decided": {
            "place": result.place,
            "searches": result.searches,
            "component_rounds": list(result.component_rounds),
        },
    }


def build(
    work: Workspace, tally: Tally, counts: CandidateCounts, result: Outcome, by_source: dict[str, Any] | None
) -> dict[str, Any]:
    """Return everything that metrics.json holds; by_source: what `sources.losses` returns."""
    settings, summary, banding = work.settings, work.summary, work.settings.banding
    documents = summary.rows + work.rejected
    return {
        "format": FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(work),
        "output": place(work),
        "resumed": work.stages.figures(),
        "fingerprint": work.stages.fingerprint,
        "settings": {**asdict(settings), "bands": banding.bands, "rows": banding.rows, "slots": SLOTS},
        "versions": versions(work.spark.version, ("numpy", "numba", "pyarrow")),
        "input": {
            "paths": work.inputs or [work.table or "a DataFrame"],
            "files": len(work.listing.files),
            "documents": documents,
            "file_bytes": sum(file.size for file in work.listing.files),
            "text_bytes": tally.text_bytes,
            "removed_text_bytes": removed_text_bytes(work),
            "sample": work.sample,
        },
        "counts": {
            "input": documents,
            "kept": summary.rows - result.removed,
            "removed": result.removed,
            "rejected": work.rejected,
            "exact": result.exact,
            "near": result.near,
            "copies": result.copies,
            "null_text": tally.null_text,
            "empty_text": tally.empty_text,
            "no_words": tally.no_words,
            "duplicate_ids": counts.duplicate_ids,
        },
        "candidates": pair_counts(result, settings.threshold) | {"hot_buckets": counts.hot_buckets},
        **_how(settings, result),
        "recall": recall(result.histogram, result.copies, settings.threshold, banding.bands, banding.rows)
        | {"excludes": uncompared.recall_without(result.uncompared, counts)},
        "clusters": {str(size): number for size, number in result.cluster_sizes.items()},
        "jaccard_histogram": coarse(result.histogram, settings.threshold),
        "other_thresholds": other_thresholds(result, settings.threshold, banding.bands, banding.rows),
        "sources": by_source,
        "text_scans": list(work.scans),
        "shuffle": shuffles(work),
        "index": work.index_figures,
        "stages": work.progress.summary(),
        "seconds": round(work.progress.seconds, 3),
        "parts": {name: table.manifest() for name, table in work.results.items()},
        "warnings": [*work.warnings, *uncompared.warning(result.uncompared)],
        "left_out": name_left_out(work.listing.left_out),
    }


def shuffles(work: Workspace) -> dict[str, dict[str, float]]:
    """Return what the stages have put into shuffles, as Spark counts it: bytes, and for each document of the run.

    Left out are stages without any, and those of which Spark does not know.
    """
    rows = max(1, work.summary.rows)
    return {
        stage.name: {"bytes": stage.shuffled, "bytes_per_document": round(stage.shuffled / rows, 2)}
        for stage in work.progress.stages
        if stage.shuffled
    }


def place(work: Workspace) -> str:
    """Return where the result will lie."""
    return join_path(work.output.path, work.place) if work.place else work.output.path


def pair_counts(result: Outcome, threshold: float) -> dict[str, int]:
    """Return how many pairs were compared, reach the threshold, and lie just below it.

    uncompared_pairs: those of kept documents in oversized buckets that were not compared, at most.
    """
    floor = outcome.floor_of(threshold)
    return {
        "pairs": result.pairs,
        "verified": result.verified,
        "near_misses": result.misses,
        "just_below": outcome.at_or_above(result.histogram, threshold, floor) - result.verified,
        "uncompared_pairs": result.uncompared,
    }


def removed_text_bytes(work: Workspace) -> int:
    """Return the bytes of the removed documents' texts, from the signature rows, read some at a time."""
    total = 0
    for piece in work.own_signatures.parts or {}:
        gone = keys_of(work.removed_keys, piece)
        for batch in work.signatures.part(piece, [KEY, "bytes"]):
            total += int(np.asarray(batch["bytes"])[is_among(np.asarray(batch[KEY]), gone)].sum())
    return total


def command(work: Workspace) -> str:
    """Return the command line that makes this run anew; for an input without a path, the call."""
    given = changed(work.settings)
    if work.thresholds:
        given["threshold"] = list(work.thresholds)
    if work.inputs is None:
        index = {} if work.index is None else {"index": work.index.path, "crawl": work.index.crawl}
        named = (f"{name}={value!r}" for name, value in {**index, **given}.items())
        return f"deduplicate({', '.join(['documents', *named])})"
    words = [
        word
        for name, value in given.items()
        for word in (flag(name), *(map(str, value) if isinstance(value, list) else [str(value)]))
    ]
    if work.index is not None:
        words += [flag("index"), work.index.path, flag("crawl"), work.index.crawl]
    return shlex.join(["sparkprep", "dedup", "--input", *work.inputs, "--output", work.output.path, *words])
