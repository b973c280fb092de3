"""Near-duplicate removal from end to end: documents in, kept and removed documents out; the stages top to bottom."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any, TextIO, Unpack

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparkprep.arguments import check_arguments
from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.contents import MADE, METRICS, SINGLE_FILE
from sparkprep.dedup.crawls.adding import IntoIndex
from sparkprep.dedup.index.folder import check_index, held_index
from sparkprep.dedup.inputs import open_documents
from sparkprep.dedup.report import examples, metrics, page, sources
from sparkprep.dedup.resolve import cluster as on_cluster
from sparkprep.dedup.resolve import driver as on_driver
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.result import Result
from sparkprep.dedup.settings import Settings, SettingsKeywords
from sparkprep.dedup.signatures import Tally, write_signatures
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
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.room import tell_of_room
from sparkprep.spark.session import cores, get_session
from sparkprep.spark.tables import Table, Written, split_writer
from sparkprep.spark.tasks import run

SHUFFLED = 0.7
"""Bytes that are shuffled of a byte of the documents as encoded in Parquet: 0.60 was measured on the embedded 10k."""

_BESIDE = (
    *("output", "overwrite", "spark", "progress", "stream", "single_file", "work", "keep_work", "sample"),
    *("index", "crawl"),
)
"""What `deduplicate` takes beside settings."""


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
    index: str | os.PathLike[str] | None = None,
    crawl: str | None = None,
    **fields: Unpack[SettingsKeywords],
) -> Result:
    """Remove near-duplicate documents.

    source: what `extract_documents` has returned; or documents: the path(s) of Parquet or JSON Lines files or folders,
    a DataFrame of Spark or pandas, a PyArrow table, a dataset of Hugging Face. settings: a `Settings`; its fields may
    be given as keywords too, which win. output: the folder to write; by default a temporary one that is deleted when
    Python exits. progress: a bar, by default in a notebook alone, elsewhere lines in the log `sparkprep`; False:
    nothing but warnings there. stream: where to tell of it instead, as a program does on stderr. single_file:
    kept-NAME.snappy.parquet, under which the kept documents are written as one Parquet file too. work: where
    intermediate tables lie, which all nodes of a cluster see; by default beside the output. keep_work: keep them where
    the run fails; the error says where. sample: which embedded subset the source is (`Subset.origin`), for the metrics.
    index: the folder of an index, made if it is not there: documents go for those of the crawls in it too, and it gets
    these as a crawl of the name `crawl`. Of a crawl that is in it already the result is made again.

    A DataFrame of pandas keeps an index that has a name, as a column; its missing values are nulls. Raises UserError
    where the input, a setting or the output cannot work, and where files hold no document; of a table without rows the
    result has none.

    >>> from sparkprep import deduplicate
    >>> result = deduplicate(documents, threshold=0.7)           # doctest: +SKIP
    >>> result.kept.count(), result.metrics["counts"]["near"]    # doctest: +SKIP
    """
    settings = from_keywords(Settings, settings, fields, _BESIDE)
    places = {"output": output, "work": work, "index": index, "crawl": crawl}
    check_arguments(**places, overwrite=overwrite, spark=spark, progress=progress, stream=stream, keep_work=keep_work)
    _check_single_file(single_file)
    documents = source_of(place_of(source))
    check_index(index, crawl, settings, paths_of(documents), output)
    spark = spark or (documents.sparkSession if isinstance(documents, DataFrame) else get_session("sparkprep dedup"))
    worker = preflight(spark)
    told = Progress(spark, stream or display_for(progress), DEDUP)
    place = temporary_output() if output is None else output
    with (
        nullcontext() if index is None else held_index(index) as held,
        OutputFolder(place, overwrite, paths_of(documents), MADE, work, keep_work) as folder,
    ):
        into = None if held is None or crawl is None else IntoIndex(held, crawl)
        with tasks_ended(spark):
            figures = _open_and_run(spark, documents, settings, folder, told, single_file, sample, worker, into)
        if into is not None:
            into.commit()
        folder.commit()
    told.warn(figures["warnings"])
    return Result(figures, folder.path, spark)


def _check_single_file(name: str | None) -> None:
    """Refuse a name that is a path, or that a later run would not know for one of ours."""
    if name is not None and (not isinstance(name, str) or not re.fullmatch(SINGLE_FILE, name)):
        raise UserError(
            f"{argument('single_file', name)}: it is a name in the output folder, kept-NAME.snappy.parquet with "
            "letters, digits and _ for NAME"
        )


def _open_and_run(
    spark: SparkSession,
    source: Source,
    settings: Settings,
    folder: OutputFolder,
    progress: Progress,
    single_file: str | None,
    sample: dict[str, Any] | None,
    worker: Mapping[str, str],
    into: IntoIndex | None,
) -> dict[str, Any]:
    """Open the input, run all stages, and return the metrics.

    worker: what `preflight` has found. into: the index that the documents meet and join, if any.
    """
    found = open_documents(spark, source, settings, folder, progress)
    opened = found.opened
    tell_of_room(spark, progress, worker, opened.summary.bytes, SHUFFLED)
    progress.expect(opened.summary.bytes)
    work = Workspace(
        spark=spark,
        settings=settings,
        output=folder,
        progress=progress,
        inputs=source if isinstance(source, list) else None,
        table=None if isinstance(source, list) else name_of(source),
        listing=opened.listing,
        documents=plan(opened.summary, cores(spark)),
        columns=found.columns,
        rejected=opened.rejected,
        single_file=single_file,
        sample=sample,
        warnings=opened.warnings,
    )
    with explained():
        if into is not None:
            into.begin(work)
        tally = _sketch(work, into)
        counts = _search(work)
        outcome = _resolve(work, counts)
        _write(work, outcome)
        if into is not None:
            into.write(work, counts)
        return _report(work, tally, counts, outcome)


def _sketch(work: Workspace, into: IntoIndex | None) -> Tally:
    """Write the signature rows."""
    with work.progress.stage("sketch", work.summary.rows) as stage:
        if into is not None:
            tally = into.sketch(work)
        else:
            tally = write_signatures(work.spark, work.documents, work.columns, work.settings, work.signatures)
        stage.bytes = work.text_bytes = tally.text_bytes
    if work.own_signatures.rows != work.summary.rows:
        raise RuntimeError(f"{work.summary.rows:,} documents went in, {work.own_signatures.rows:,} have signatures")
    return tally


def _search(work: Workspace) -> CandidateCounts:
    """Write the candidates of search 0."""
    with work.progress.stage("candidates", work.signatures.rows):
        return BucketSearch.among_all(work).run(work.cores)


def _resolve(work: Workspace, counts: CandidateCounts) -> Outcome:
    """Verify the candidates and write removed/: on the driver, or all of it anew on the cluster if that cannot hold it.

    Either gives the same rows, so that the driver's budget is no part of the answer.
    """
    outcome = on_driver.resolve(work, counts)
    return on_cluster.resolve(work, counts) if outcome is None else outcome


def _write(work: Workspace, outcome: Outcome) -> None:
    """Write kept/, and beside it the removed rows; check that no document got lost on the way."""
    documents, removed, tables = work.documents, work.removed_keys, (work.kept, work.removed_rows)
    with work.progress.stage("write", work.summary.rows, work.text_bytes):
        write_parts = split_writer(tables)

        def write(piece: int) -> list[tuple[int, Written]]:
            return list(enumerate(write_parts(piece, _told_apart(piece, documents, removed))))

        written = run(work.spark, work.own_pieces, write)
        for number, table in enumerate(tables):
            table.note(part for which, part in written if which == number)
        for table in work.results.values():
            if not table.rows:
                table.save_empty()
        if work.single_file:
            write_parquet(work.result(work.single_file), work.kept.batches(None), work.kept.schema)
    work.listing.check_unchanged()
    kept, removed_rows, rows = work.kept.rows, work.removed.rows, work.removed_rows.rows
    if kept + removed_rows != work.summary.rows or removed_rows != outcome.removed or rows != outcome.removed:
        raise RuntimeError(
            f"{work.summary.rows:,} documents went in, but {kept:,} were kept and {removed_rows:,} removed "
            f"({outcome.removed:,} were to be, {rows:,} rows were set aside): nothing was put in place; "
            "please report this"
        )


def _told_apart(piece: int, documents: Documents, removed: Table) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield the rows of a piece, some at a time: (those that are kept, those that are removed)."""
    gone = keys_of(removed, piece)
    key = documents.pieces[piece].first_key
    for batch in documents.batches(piece):
        hit = is_among(np.arange(key, key + batch.num_rows), gone)
        key += batch.num_rows
        if hit.any():
            yield filtered(batch, ~hit), filtered(batch, hit)
        else:
            yield batch, batch.slice(0, 0)


def _report(work: Workspace, tally: Tally, counts: CandidateCounts, outcome: Outcome) -> dict[str, Any]:
    """Write metrics.json and report.html, and return the metrics.

    Both tell how long the stage took until the page was drawn; what follows is the writing of two small files.
    """
    begun = time.monotonic()
    with work.progress.stage("report") as stage:
        column, by_source = work.columns.source, None
        if column is not None:
            by_source = sources.losses(work.own_signatures, column, work.removed_keys, outcome.flows)
            work.warnings += [f"{s} loses over 90 % of its documents" for s in by_source["lost_over_90_percent"]]
        shown = examples.collect(work, outcome)
        figures = metrics.build(work, tally, counts, outcome, by_source)

        def timed() -> dict[str, Any]:
            this = asdict(replace(stage, seconds=round(time.monotonic() - begun, 3)))
            figures["stages"] = [*work.progress.summary(), this]
            figures["seconds"] = round(work.progress.seconds, 3)
            return figures

        page.write(work.result(REPORT), figures, shown, timed)
        write_text(work.result(METRICS), json.dumps(figures, indent=1) + "\n")
    return figures
