"""Near-duplicate removal from end to end: documents in, kept and removed documents out; the stages top to bottom."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TextIO, Unpack, overload

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparkprep.arguments import check_arguments
from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.contents import MADE, METRICS, SINGLE_FILE
from sparkprep.dedup.inputs import open_documents
from sparkprep.dedup.report import comparison, examples, metrics, page, sources
from sparkprep.dedup.resolve import cluster as on_cluster
from sparkprep.dedup.resolve import driver as on_driver
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.result import Result, ThresholdResults
from sparkprep.dedup.settings import OtherKeywords, Settings, SettingsKeywords
from sparkprep.dedup.signatures import Tally, write_signatures
from sparkprep.dedup.thresholds import are_several, check_thresholds
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.addressed import is_among, keys_of
from sparkprep.documents.opening import Given, Source, name_of, paths_of, source_of, temporary_output
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.errors import UserError, argument
from sparkprep.io.arrow import filtered
from sparkprep.io.files import write_text
from sparkprep.io.output import OutputFolder
from sparkprep.io.parquet import write_parquet
from sparkprep.io.results import HasOutput, place_of
from sparkprep.options import from_keywords
from sparkprep.pages.reported import REPORT
from sparkprep.spark.displays import display_for
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.forecast import DEDUP
from sparkprep.spark.joins import joins_by_shuffle
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.room import tell_of_room
from sparkprep.spark.session import cores, get_session
from sparkprep.spark.tables import Table, Written, split_writer
from sparkprep.spark.tasks import run

SHUFFLED = 0.7
"""Bytes that are shuffled of a byte of the documents as encoded in Parquet: 0.60 was measured on the embedded 10k."""


@overload
def deduplicate(
    source: Given | HasOutput,
    settings: Settings | None = None,
    *,
    threshold: Sequence[float],
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    single_file: str | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_work: bool = False,
    sample: dict[str, Any] | None = None,
    **fields: Unpack[OtherKeywords],
) -> ThresholdResults: ...


@overload
def deduplicate(
    source: Given | HasOutput,
    settings: Settings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    single_file: str | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_work: bool = False,
    sample: dict[str, Any] | None = None,
    **fields: Unpack[SettingsKeywords],
) -> Result: ...


def deduplicate(
    source: Given | HasOutput,
    settings: Settings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    progress: bool | None = None,
    stream: TextIO | None = None,
    single_file: str | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_work: bool = False,
    sample: dict[str, Any] | None = None,
    **fields: Any,
) -> Result | ThresholdResults:
    """Remove near-duplicate documents.

    source: what `extract_documents` has returned; or documents: the path(s) of Parquet or JSON Lines files or folders,
    a DataFrame of Spark or pandas, a PyArrow table, a dataset of Hugging Face. settings: a `Settings`; its fields may
    be given as keywords too, which win. output: the folder to write; by default a temporary one that is deleted when
    Python exits. progress: a bar, by default in a notebook alone, elsewhere lines in the log `sparkprep`; False:
    nothing but warnings there. stream: where to tell of it instead, as a program does on stderr. single_file:
    kept-NAME.snappy.parquet, under which the kept documents are written as one Parquet file too. work: where
    intermediate tables lie, which all nodes of a cluster see; by default beside the output. keep_work: keep them where
    the run fails; the error says where. sample: which embedded subset the source is (`Subset.origin`), for the metrics.

    threshold: a list of several makes a result for each, the same as so many runs, and reads the texts as often as one
    run does. The results lie in folders of the output, `threshold-0.7` and so on, beside a report that compares them.

    A DataFrame of pandas keeps an index that has a name, as a column; its missing values are nulls. Raises UserError
    where the input, a setting or the output cannot work, and where files hold no document; of a table without rows the
    result has none.

    >>> from sparkprep import deduplicate
    >>> result = deduplicate(documents, threshold=0.7)           # doctest: +SKIP
    >>> result.kept.count(), result.metrics["counts"]["near"]    # doctest: +SKIP
    """
    keywords = ("output", "overwrite", "spark", "progress", "stream", "single_file", "work", "keep_work", "sample")
    several = fields.pop("threshold") if are_several(fields.get("threshold")) else None
    settings = from_keywords(Settings, settings, fields, keywords)
    thresholds = () if several is None else check_thresholds(several, settings)
    check_arguments(
        output=output,
        overwrite=overwrite,
        spark=spark,
        progress=progress,
        stream=stream,
        work=work,
        keep_work=keep_work,
    )
    _check_single_file(single_file)
    documents = source_of(place_of(source))
    spark = spark or (documents.sparkSession if isinstance(documents, DataFrame) else get_session("sparkprep dedup"))
    worker = preflight(spark)
    told = Progress(spark, stream or display_for(progress), DEDUP)
    place = temporary_output() if output is None else output
    with OutputFolder(place, overwrite, paths_of(documents), MADE, work, keep_work) as folder:
        with tasks_ended(spark):
            work_of_run = _open(spark, documents, settings, folder, told, worker, thresholds)
            work_of_run.single_file, work_of_run.sample = single_file, sample
            with explained(), joins_by_shuffle(spark):
                figures = _run(work_of_run)
        folder.commit()
    told.warn(figures["warnings"])
    return (ThresholdResults if thresholds else Result)(figures, folder.path, spark)


def _check_single_file(name: str | None) -> None:
    """Refuse a name that is a path, or that a later run would not know for one of ours."""
    if name is not None and (not isinstance(name, str) or not re.fullmatch(SINGLE_FILE, name)):
        raise UserError(
            f"{argument('single_file', name)}: it is a name in the output folder, kept-NAME.snappy.parquet with "
            "letters, digits and _ for NAME"
        )


def _open(
    spark: SparkSession,
    source: Source,
    settings: Settings,
    folder: OutputFolder,
    progress: Progress,
    worker: Mapping[str, str],
    thresholds: tuple[float, ...],
) -> Workspace:
    """Open the input and return the run's workspace. worker: what `preflight` has found."""
    found = open_documents(spark, source, settings, folder, progress)
    opened = found.opened
    tell_of_room(spark, progress, worker, opened.summary.bytes, SHUFFLED)
    progress.expect(opened.summary.bytes)
    return Workspace(
        spark=spark,
        settings=replace(settings, threshold=thresholds[0]) if thresholds else settings,
        thresholds=thresholds,
        output=folder,
        progress=progress,
        inputs=source if isinstance(source, list) else None,
        table=None if isinstance(source, list) else name_of(source),
        listing=opened.listing,
        documents=plan(opened.summary, cores(spark)),
        columns=found.columns,
        rejected=opened.rejected,
        warnings=opened.warnings,
    )


def _run(work: Workspace) -> dict[str, Any]:
    """Run all stages, each for all of the run's thresholds, and return the metrics."""
    tally = _sketch(work)
    counts = _search(work)
    outcomes = _resolve(work, counts)
    _write(work, outcomes)
    return _report(work, tally, counts, outcomes)


def _sketch(work: Workspace) -> Tally:
    """Write the signature rows."""
    with work.progress.stage("sketch", work.summary.rows) as stage:
        work.note_scan("sketch", range(len(work.documents.pieces)), work.columns.names)
        tally = write_signatures(
            work.spark, work.documents, work.columns, work.settings, work.signatures, work.bandings
        )
        stage.bytes = work.text_bytes = tally.text_bytes
    if work.signatures.rows != work.summary.rows:
        raise RuntimeError(f"{work.summary.rows:,} documents went in, {work.signatures.rows:,} have signatures")
    return tally


def _search(work: Workspace) -> list[CandidateCounts]:
    """Write the candidates of search 0."""
    with work.progress.stage("candidates", work.summary.rows):
        return [BucketSearch.among_all(view).run(work.cores) for view in work.each]


def _resolve(work: Workspace, counts: list[CandidateCounts]) -> list[Outcome]:
    """Verify the candidates and write removed/: on the driver, or all of it anew on the cluster if that cannot hold it.

    Either gives the same rows, so that the driver's budget is no part of the answer.
    """
    outcomes = on_driver.resolve(work, counts)
    return on_cluster.resolve(work, counts) if outcomes is None else outcomes


def _write(work: Workspace, outcomes: list[Outcome]) -> None:
    """Write kept/, and beside it the removed rows; check that no document got lost on the way."""
    documents, removed = work.documents, [view.removed_keys for view in work.each]
    tables = [table for view in work.each for table in (view.kept, view.removed_rows)]
    with work.progress.stage("write", work.summary.rows, work.text_bytes):
        work.note_scan("write", range(len(documents.pieces)), documents.schema.names)
        write_parts = split_writer(tables)

        def write(piece: int) -> list[tuple[int, Written]]:
            return list(enumerate(write_parts(piece, _told_apart(piece, documents, removed))))

        written = run(work.spark, range(len(documents.pieces)), write)
        for number, table in enumerate(tables):
            table.note(part for which, part in written if which == number)
        for view in work.each:
            for table in view.results.values():
                if not table.rows:
                    table.save_empty()
            if work.single_file:
                write_parquet(view.result(work.single_file), view.kept.batches(None), view.kept.schema)
    work.listing.check_unchanged()
    for view, outcome in zip(work.each, outcomes, strict=True):
        _check_conserved(view, outcome)


def _check_conserved(work: Workspace, outcome: Outcome) -> None:
    kept, removed_rows, rows = work.kept.rows, work.removed.rows, work.removed_rows.rows
    if kept + removed_rows != work.summary.rows or removed_rows != outcome.removed or rows != outcome.removed:
        raise RuntimeError(
            f"{work.summary.rows:,} documents went in, but {kept:,} were kept and {removed_rows:,} removed "
            f"({outcome.removed:,} were to be, {rows:,} rows were set aside): nothing was put in place; "
            "please report this"
        )


def _told_apart(piece: int, documents: Documents, removed: Sequence[Table]) -> Iterator[Sequence[pa.RecordBatch]]:
    """Yield the rows of a piece, some at a time: for each table of removed keys (those kept, those removed)."""
    gone = [keys_of(table, piece) for table in removed]
    key = documents.pieces[piece].first_key
    for batch in documents.batches(piece):
        keys = np.arange(key, key + batch.num_rows)
        key += batch.num_rows
        told: list[pa.RecordBatch] = []
        for each in gone:
            hit = is_among(keys, each)
            told += (filtered(batch, ~hit), filtered(batch, hit)) if hit.any() else (batch, batch.slice(0, 0))
        yield told


def _report(
    work: Workspace, tally: Tally, counts: Sequence[CandidateCounts], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    """Write metrics.json and report.html, of each threshold and of all together; return the metrics of the run."""
    begun = time.monotonic()
    with work.progress.stage("report") as stage:

        def so_far() -> dict[str, Any]:
            this = asdict(replace(stage, seconds=round(time.monotonic() - begun, 3)))
            return {"stages": [*work.progress.summary(), this], "seconds": round(work.progress.seconds, 3)}

        told = [
            _report_of_one(view, tally, of_view, outcome, so_far)
            for view, of_view, outcome in zip(work.each, counts, outcomes, strict=True)
        ]
        return comparison.write(work, told, so_far()) if work.thresholds else told[0][0]


def _report_of_one(
    work: Workspace, tally: Tally, counts: CandidateCounts, outcome: Outcome, so_far: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write metrics.json and report.html of one threshold, and return the metrics and the examples.

    Both tell how long the stage took until the page was drawn; what follows is the writing of two small files.
    """
    column, by_source = work.columns.source, None
    if column is not None:
        by_source = sources.losses(work.signatures, column, work.removed_keys, outcome.flows)
        work.warnings += [f"{s} loses over 90 % of its documents" for s in by_source["lost_over_90_percent"]]
    shown = examples.collect(work, outcome)
    figures = metrics.build(work, tally, counts, outcome, by_source)

    def timed() -> dict[str, Any]:
        figures.update(so_far())
        return figures

    page.write(work.result(REPORT), figures, shown, timed)
    write_text(work.result(METRICS), json.dumps(figures, indent=1) + "\n")
    return figures, shown
