"""An estimate from end to end: the input listed and sampled, scanned where that is asked for, and what comes of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sparkprep.dedup.inputs import choose_columns
from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import id_column
from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.documents.parquet.pieces import plan
from sparkprep.emr.cost.formula import Factor
from sparkprep.emr.plan import Plan
from sparkprep.errors import UserError, argument
from sparkprep.estimate.expected import (
    Duplicates,
    Expected,
    cpu_seconds,
    duplicates_of,
    sampled_total,
    shuffled_of,
)
from sparkprep.estimate.lines import sample_lines
from sparkprep.estimate.sample import Sample, Windowed, plan_windows, sample_parquet
from sparkprep.estimate.scan import sampled_of, scan
from sparkprep.estimate.settings import EstimateSettings
from sparkprep.io.files import file_names
from sparkprep.io.formats import PARQUET, format_of
from sparkprep.io.listing import Listing, list_input
from sparkprep.io.paths import join_path
from sparkprep.spark.displays import Display, Look
from sparkprep.spark.forecast import Pace

ShareDone = Callable[[float], object]
"""Is told the share that is done."""
PlanOf = Callable[[Factor], Plan]
"""The plan of a cluster for so many GB of text."""


@dataclass(frozen=True)
class Found:
    """What was read of an input. rejected: lines that are no documents, of all of them."""

    sample: Sample
    documents: Factor
    words: Factor
    text_bytes: Factor
    rejected: Factor
    has_ids: bool
    rows_known: bool
    duplicates: Duplicates | None = None


def estimate(
    paths: Sequence[str],
    jobs: Sequence[str],
    settings: Settings,
    how: EstimateSettings,
    plan_of: PlanOf,
    display: Display,
) -> tuple[Expected, list[str]]:
    """Return what a run of these jobs on an input is expected to take, and what is to be warned of beside its plan.

    Raises UserError for an input that holds no documents, lacks a column that the settings name, or that no cluster of
    the plan can take.
    """
    plan_of(Factor(0, 0, 0))  # what cannot be is refused before anything is read
    listing = list_input(paths, settings.text_column)
    if listing.files[0].format == PARQUET:
        summary = summarise(listing.files, settings.text_column)
        listing = listing.without(summary.without_rows)
        found = _of_parquet(summarise(listing.files, settings.text_column), settings, how, display)
    else:
        found = _of_lines(listing, settings, how, display)
    gigabytes = found.text_bytes * 1e-9
    shuffled = shuffled_of(
        jobs, settings, found.has_ids, found.documents, found.words, found.text_bytes, found.duplicates
    )
    expected = Expected(
        files=len(listing.files),
        stored=sum(file.size for file in listing.files),
        rows_known=found.rows_known,
        sampled=found.sample.documents,
        windows=len(found.sample.windows),
        documents=found.documents,
        rejected=found.rejected,
        text_bytes=found.text_bytes,
        shuffled=shuffled,
        cpu_seconds=cpu_seconds(jobs, found.text_bytes),
        duplicates=found.duplicates,
        plan=plan_of(gigabytes),
    )
    of_buckets = found.duplicates.warnings if found.duplicates and "dedup" in jobs else []
    return expected, [*listing.warnings, *_if_one_of_many(listing), *of_buckets]


def _of_parquet(summary: InputSummary, settings: Settings, how: EstimateSettings, display: Display) -> Found:
    columns = choose_columns(summary.schema, settings)
    windowed = plan_windows(summary, how.sample, how.sample_seed)
    with _told(display, "sample") as look:
        sample = sample_parquet(windowed, settings.text_column, look)
    rows = float(summary.rows)
    found = Found(
        sample=sample,
        documents=Factor(rows, rows, rows),
        words=sampled_total(sample, lambda window: window.words),
        text_bytes=sampled_total(sample, lambda window: window.text_bytes),
        rejected=Factor(0, 0, 0),
        has_ids=columns.id is not None,
        rows_known=True,
    )
    return _scanned(found, windowed, settings, how, display) if how.scan else found


def _scanned(found: Found, windowed: Windowed, settings: Settings, how: EstimateSettings, display: Display) -> Found:
    """Return what was found with what a scan of all documents tells: their bytes, and how many have duplicates."""
    summary = windowed.documents.summary
    columns = choose_columns(summary.schema, settings)
    documents = plan(summary, how.processes or os.cpu_count() or 1)
    with _told(display, "scan", summary.rows) as look:
        sampled = sampled_of(windowed, columns, settings)
        seen = scan(
            documents, sampled, columns, settings, how.processes, lambda done: look(done / len(documents.pieces))
        )
    sizes = [window.size for window in found.sample.windows]
    return Found(
        sample=found.sample,
        documents=found.documents,
        words=Factor(seen.words, seen.words, seen.words),
        text_bytes=Factor(seen.text_bytes, seen.text_bytes, seen.text_bytes),
        rejected=found.rejected,
        has_ids=found.has_ids,
        rows_known=True,
        duplicates=duplicates_of(sampled, seen, sizes, found.sample.whole, settings.bucket_cap),
    )


def _of_lines(listing: Listing, settings: Settings, how: EstimateSettings, display: Display) -> Found:
    if how.scan:
        raise UserError(
            f"{argument('scan', True)} reads Parquet, and the input is JSON Lines: leave it out, or estimate what the "
            "job filter has made of it"
        )
    with _told(display, "sample") as look:
        sample, names = sample_lines(listing.files, settings.text_column, how.sample, how.sample_seed, look)
    identifier = id_column(settings.id_column, sorted(names))
    return Found(
        sample=sample,
        documents=sampled_total(sample, lambda window: window.documents),
        words=sampled_total(sample, lambda window: window.words),
        text_bytes=sampled_total(sample, lambda window: window.text_bytes),
        rejected=sampled_total(sample, lambda window: window.rejected),
        has_ids=identifier is not None,
        rows_known=sample.is_whole,
    )


def _if_one_of_many(listing: Listing) -> list[str]:
    """Say of a single file that lies among others like it that the estimate is of it alone."""
    if len(listing.files) > 1 or not listing.files[0].named:
        return []
    file = listing.files[0]
    folder, _, name = file.path.rpartition("/")
    try:
        others = [each for each in file_names(folder or "/") if each != name and format_of(each) == file.format]
    except UserError:  # who may read a file need not be let list its folder
        return []
    if not others:
        return []
    return [
        f"{file.path} is one of {len(others) + 1:,} files of its kind in {join_path(folder, '')}: the estimate is of "
        "this file alone; name the folder for all of them"
    ]


@contextmanager
def _told(display: Display, stage: str, documents: int = 0) -> Iterator[ShareDone]:
    """Tell how far a stage is, by the share that the block says is done, and how long it took."""
    start = time.monotonic()

    def look(share: float) -> None:
        elapsed = time.monotonic() - start
        left = elapsed / share - elapsed if share else None
        display.show(Look(stage, documents, Pace(round(1000 * share), 1000), elapsed, left, share))

    try:
        yield look
    finally:
        display.clear()
    volume = f"{documents:>12,} documents" if documents else " " * 22
    display.line(f"{stage:<12}{volume}{time.monotonic() - start:>19.1f} s")
