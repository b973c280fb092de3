"""Near-duplicate removal from end to end: documents in, kept and removed documents out; the stages top to bottom."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TextIO, Unpack, overload

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparkprep.arguments import check_arguments
from sparkprep.dedup import wording
from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.contents import MADE, METRICS, SINGLE_FILE
from sparkprep.dedup.crawls.adding import IntoIndex
from sparkprep.dedup.index.folder import check_index, held_index
from sparkprep.dedup.inputs import open_documents
from sparkprep.dedup.noted import once
from sparkprep.dedup.report import comparison, examples, metrics, page, sources
from sparkprep.dedup.resolve import cluster as on_cluster
from sparkprep.dedup.resolve import driver as on_driver
from sparkprep.dedup.resolve.outcome import Flow, Outcome
from sparkprep.dedup.result import Result, ThresholdResults
from sparkprep.dedup.settings import OtherKeywords, Settings, SettingsKeywords
from sparkprep.dedup.signatures import Tally, write_signatures
from sparkprep.dedup.thresholds import are_several, check_thresholds
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.addressed import is_among, keys_of
from sparkprep.documents.opening import Given, Source, name_of, paths_of, place_of_output, source_of
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
from sparkprep.spark.session import get_session
from sparkprep.spark.tables import Table, Written, split_writer
from sparkprep.spark.tasks import run

SHUFFLED = 0.7
"""Bytes that are shuffled of a byte of the documents as encoded in Parquet: 0.60 was measured on the embedded 10k."""

_BESIDE = (
    *("output", "overwrite", "spark", "progress", "stream", "single_file", "work", "keep_work", "sample"),
    *("resume", "index", "crawl"),
)
"""What `deduplicate` takes beside settings."""


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
    resume: bool = False,
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
    resume: bool = False,
    sample: dict[str, Any] | None = None,
    index: str | os.PathLike[str] | None = None,
    crawl: str | None = None,
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
    resume: bool = False,
    sample: dict[str, Any] | None = None,
    index: str | os.PathLike[str] | None = None,
    crawl: str | None = None,
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
    the run fails; the error says where. resume: go on from where an earlier run of the same has failed or was killed,
    if one has; not with an index. sample: which embedded subset the source is (`Subset.origin`), for the metrics.

    index: the folder of an index, made if it is not there: documents go for those of the crawls in it too, and it gets
    these as a crawl of the name `crawl`. Of a crawl that is in it already the result is made again.

    threshold: a list of several makes a result for each, the same as so many runs, and reads the texts as often as one
    run does. The results lie in folders of the output, `threshold-0.7` and so on, beside a report that compares them.

    A DataFrame of pandas keeps an index that has a name, as a column; its missing values are nulls. Raises UserError
    where the input, a setting or the output cannot work, and where files hold no document.

    >>> from sparkprep import deduplicate
    >>> result = deduplicate(documents, threshold=0.7)           # doctest: +SKIP
    >>> result.kept.count(), result.metrics["counts"]["near"]    # doctest: +SKIP
    """
    several = fields.pop("threshold") if are_several(fields.get("threshold")) else None
    settings = from_keywords(Settings, settings, fields, _BESIDE)
    thresholds = () if several is None else check_thresholds(several, settings)
    places = {"output": output, "work": work, "index": index, "crawl": crawl}
    how = {"overwrite": overwrite, "progress": progress, "keep_work": keep_work, "resume": resume}
    check_arguments(**places, **how, spark=spark, stream=stream)
    _check_single_file(single_file)
    documents = source_of(place_of(source))
    check_index(index, crawl, settings, paths_of(documents), output, thresholds, resume)
    spark = spark or (documents.sparkSession if isinstance(documents, DataFrame) else get_session("sparkprep dedup"))
    place = place_of_output(output, resume)
    folder = partial(OutputFolder, place, overwrite, paths_of(documents), MADE, work, keep_work, resume)
    told = Progress(spark, stream or display_for(progress), DEDUP)
    return _deduplicated(spark, documents, settings, thresholds, folder, told, single_file, sample, index, crawl)


def _deduplicated(
    spark: SparkSession,
    documents: Source,
    settings: Settings,
    thresholds: tuple[float, ...],
    output: Callable[[], OutputFolder],
    told: Progress,
    single_file: str | None,
    sample: dict[str, Any] | None,
    index: str | os.PathLike[str] | None,
    crawl: str | None,
) -> Result | ThresholdResults:
    worker = preflight(spark)
    with nullcontext() if index is None else held_index(index) as held, output() as folder:
        into = None if held is None or crawl is None else IntoIndex(held, crawl)
        with tasks_ended(spark):
            run = _open(spark, documents, settings, folder, told, worker, thresholds, single_file, into)
            run.single_file, run.sample = single_file, sample
            figures = _run(run, into)
        if into is not None:
            into.commit()
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
    single_file: str | None,
    into: IntoIndex | None,
) -> Workspace:
    """Open the input and return the run's workspace.

    worker: what `preflight` has found. into: the index that the documents meet and join, if any.
    """
    found = open_documents(spark, source, settings, thresholds, folder, progress, single_file, is_noted=into is None)
    opened, stages = found.opened, found.stages
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
        documents=plan(opened.summary, stages.tasks),
        columns=found.columns,
        stages=stages,
        rejected=opened.rejected,
        warnings=opened.warnings,
    )


def _run(work: Workspace, into: IntoIndex | None) -> dict[str, Any]:
    """Run all stages, each for all of the run's thresholds and once, and return the metrics."""
    with explained(), joins_by_shuffle(work.spark):
        if into is not None:
            into.begin(work)
        tally = once(work, "sketch", lambda: _sketch(work, into), (Tally,), [work.signatures], [work])
        work.text_bytes = tally.text_bytes
        views = work.each
        candidates = [table for view in views for table in view.candidates.all]
        counts = once(work, "candidates", lambda: _search(work), (CandidateCounts,), candidates, views)
        decided = [table for view in views for table in (view.removed, view.pairs, view.removed_keys)]
        outcomes = once(work, "decide", lambda: _resolve(work, counts), (Outcome, Flow), decided, views)
        once(work, "write", lambda: _write(work), (), _written(work), views)
        _finish(work, outcomes)
        if into is not None:
            into.write(work, counts[0])
        return _report(work, tally, counts, outcomes)


def _sketch(work: Workspace, into: IntoIndex | None) -> Tally:
    """Write the signature rows."""
    with work.progress.stage("sketch", work.summary.rows) as stage:
        work.note_scan("sketch", work.own_pieces, work.columns.names)
        if into is not None:
            tally = into.sketch(work)
        else:
            noted = work.stages.notes("sketch", [work.signatures]).once
            tally = write_signatures(
                work.spark, work.documents, work.columns, work.settings, work.signatures, work.bandings, noted
            )
        stage.bytes = tally.text_bytes
    if work.own_signatures.rows != work.summary.rows:
        raise RuntimeError(f"{work.summary.rows:,} documents went in, {work.own_signatures.rows:,} have signatures")
    return tally


def _search(work: Workspace) -> list[CandidateCounts]:
    """Write the candidates of search 0."""
    with work.progress.stage("candidates", work.signatures.rows):
        return [BucketSearch.among_all(view).run(work.cores) for view in work.each]


def _resolve(work: Workspace, counts: list[CandidateCounts]) -> list[Outcome]:
    """Verify the candidates and write removed/: on the driver, or all of it anew on the cluster if that cannot hold it.

    Either gives the same rows, so that the driver's budget is no part of the answer.
    """
    outcomes = on_driver.resolve(work, counts)
    if outcomes is not None:
        return outcomes
    budget, pairs = work.settings.driver_budget, sum(each.pairs + each.exact for each in counts)
    found = f"{pairs:,}" if pairs > budget else f"more than {budget:,}"
    work.progress.tell(f"decided {wording.over_cluster(found, budget)}")
    return on_cluster.resolve(work, counts)


def _written(work: Workspace) -> list[Table]:
    """Return the tables of which a piece has a part each, in the order of `_told_apart`."""
    return [table for view in work.each for table in (view.kept, view.removed_rows)]


def _write(work: Workspace) -> None:
    """Write kept/, and beside it the removed rows, a part of each for a piece."""
    documents, removed, tables = work.documents, [view.removed_keys for view in work.each], _written(work)
    with work.progress.stage("write", work.summary.rows, work.text_bytes):
        work.note_scan("write", work.own_pieces, documents.schema.names)
        write_parts, notes = split_writer(tables), work.stages.notes("write", tables)

        def write(piece: int) -> list[tuple[int, Written]]:
            parts = notes.once(piece, lambda: write_parts(piece, _told_apart(piece, documents, removed)))
            return list(enumerate(parts))

        written = run(work.spark, work.own_pieces, write)
        for number, table in enumerate(tables):
            table.note(part for which, part in written if which == number)
        if work.single_file:
            for view in work.each:
                write_parquet(view.result(work.single_file), view.kept.batches(None), view.kept.schema)


def _finish(work: Workspace, outcomes: list[Outcome]) -> None:
    """Let the result's folders hold their parts and no others; check that no document got lost on the way."""
    results = [table for view in work.each for table in view.results.values()]
    for table in results:
        if not table.rows:
            table.save_empty()
    work.stages.sweep(results)
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
    with work.progress.reporting() as so_far:
        told = [
            _report_of_one(view, tally, of_view, outcome, so_far)
            for view, of_view, outcome in zip(work.each, counts, outcomes, strict=True)
        ]
        return comparison.write(work, told, so_far()) if work.thresholds else told[0][0]


def _report_of_one(
    work: Workspace,
    tally: Tally,
    counts: CandidateCounts,
    outcome: Outcome,
    so_far: Callable[[], dict[str, Any]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write metrics.json and report.html of one threshold, and return the metrics and the examples.

    Both tell how long the stage took until the page was drawn; what follows is the writing of two small files.
    """
    column, by_source = work.columns.source, None
    if column is not None:
        by_source = sources.losses(work.own_signatures, column, work.removed_keys, outcome.flows)
        work.warnings += [f"{s} loses over 90 % of its documents" for s in by_source["lost_over_90_percent"]]
    shown = examples.collect(work, outcome)
    figures = metrics.build(work, tally, counts, outcome, by_source)

    def timed() -> dict[str, Any]:
        figures.update(so_far())
        return figures

    page.write(work.result(REPORT), figures, shown, timed)
    write_text(work.result(METRICS), json.dumps(figures, indent=1) + "\n")
    return figures, shown
