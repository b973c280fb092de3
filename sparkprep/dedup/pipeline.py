"""Near-duplicate removal from end to end: documents in, kept and removed documents out; the stages top to bottom."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.contents import KEPT, MADE, METRICS, REMOVED, REPORT
from sparkprep.dedup.inputs import open_documents
from sparkprep.dedup.report import examples, metrics, page, sources
from sparkprep.dedup.resolve import cluster as on_cluster
from sparkprep.dedup.resolve import driver as on_driver
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Tally, write_signatures
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.addressed import is_among, keys_of
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.errors import UserError
from sparkprep.io.arrow import filtered
from sparkprep.io.files import write_text
from sparkprep.io.output import OutputFolder
from sparkprep.io.parquet import write_parquet
from sparkprep.io.paths import is_local, join_path, spark_uri
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores, get_session
from sparkprep.spark.tables import Table, Written, read_parts, split_writer
from sparkprep.spark.tasks import run


@dataclass
class Result:
    """What `deduplicate` returns. The DataFrames read what the run has written; nothing is computed again."""

    metrics: dict[str, Any]
    """what metrics.json holds"""
    output: str
    """the folder with kept/, removed/, metrics.json and report.html"""
    spark: SparkSession

    @cached_property
    def kept(self) -> DataFrame:
        """The input's rows and columns, without the removed rows."""
        return self._read(KEPT)

    @cached_property
    def removed(self) -> DataFrame:
        """id, kept_id, jaccard, rule: one row for each removed document."""
        return self._read(REMOVED)

    def _read(self, name: str) -> DataFrame:
        """Read a folder of the result by Spark, or, where it may have no way to S3, by PyArrow in tasks."""
        folder = join_path(self.output, name)
        if is_local(folder):
            return self.spark.read.parquet(spark_uri(folder))
        return read_parts(self.spark, folder, self.metrics["parts"][name])


def deduplicate(
    source: DataFrame | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    settings: Settings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    stream: TextIO | None = None,
    single_file: str | None = None,
    work: str | os.PathLike[str] | None = None,
    keep_work: bool = False,
    sample: dict[str, Any] | None = None,
) -> Result:
    """Remove near-duplicate documents.

    source: a DataFrame, or the path(s) of Parquet or JSON Lines files or folders. output: the folder to write; by
    default a temporary one that is deleted when Python exits. stream: where to tell of progress; by default nowhere.
    single_file: a name in the output folder under which the kept documents are written as one Parquet file too.
    work: where intermediate tables lie, which all nodes of a cluster see; by default beside the output.
    keep_work: keep them where the run fails; the error says where.
    sample: which embedded subset the source is (`Subset.origin`), for the metrics.
    Raises UserError where the input, a setting or the output cannot work, and where files hold no document; of a
    DataFrame without rows the result has none.

    >>> from sparkprep import deduplicate
    >>> result = deduplicate(documents)                          # doctest: +SKIP
    >>> result.kept.count(), result.metrics["counts"]["near"]    # doctest: +SKIP
    """
    settings = settings or Settings()
    if spark is None:
        spark = source.sparkSession if isinstance(source, DataFrame) else get_session("sparkprep dedup")
    if output is None:
        holder = tempfile.mkdtemp(prefix="sparkprep-")
        atexit.register(shutil.rmtree, holder, ignore_errors=True)
        output = os.path.join(holder, "result")
    documents = source if isinstance(source, DataFrame) else _paths(source)
    preflight(spark)
    progress = Progress(spark, stream)
    paths = [] if isinstance(documents, DataFrame) else documents
    with OutputFolder(output, overwrite, paths, MADE, work, keep_work) as folder:
        with tasks_ended(spark):
            figures = _open_and_run(spark, documents, settings, folder, progress, single_file, sample)
        folder.commit()
    return Result(figures, folder.path, spark)


def _paths(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    paths = [source] if isinstance(source, str | os.PathLike) else source
    if not isinstance(paths, Sequence) or not all(isinstance(path, str | os.PathLike) for path in paths):
        raise UserError(
            f"a {type(source).__module__.split('.')[0]} {type(source).__name__} is neither paths nor a DataFrame of "
            "Spark: write it to Parquet first, or hand over spark.createDataFrame(...)"
        )
    return [os.fspath(path) for path in paths]


def _open_and_run(
    spark: SparkSession,
    source: DataFrame | list[str],
    settings: Settings,
    folder: OutputFolder,
    progress: Progress,
    single_file: str | None,
    sample: dict[str, Any] | None,
) -> dict[str, Any]:
    """Open the input, run all stages, and return the metrics."""
    found = open_documents(spark, source, settings, folder, progress)
    opened = found.opened
    work = Workspace(
        spark=spark,
        settings=settings,
        output=folder,
        progress=progress,
        inputs=None if isinstance(source, DataFrame) else source,
        listing=opened.listing,
        documents=plan(opened.summary, cores(spark)),
        columns=found.columns,
        rejected=opened.rejected,
        single_file=single_file,
        sample=sample,
        warnings=opened.warnings,
    )
    with explained():
        tally = _sketch(work)
        counts = _search(work)
        outcome = _resolve(work, counts)
        _write(work, outcome)
        return _report(work, tally, counts, outcome)


def _sketch(work: Workspace) -> Tally:
    """Write the signature rows."""
    with work.progress.stage("sketch", work.summary.rows) as stage:
        tally = write_signatures(work.spark, work.documents, work.columns, work.settings, work.signatures)
        stage.bytes = work.text_bytes = tally.text_bytes
    if work.signatures.rows != work.summary.rows:
        raise RuntimeError(f"{work.summary.rows:,} documents went in, {work.signatures.rows:,} have signatures")
    return tally


def _search(work: Workspace) -> CandidateCounts:
    """Write the candidates of search 0."""
    with work.progress.stage("candidates", work.summary.rows):
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

        written = run(work.spark, range(len(documents.pieces)), write)
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
            by_source = sources.losses(work.signatures, column, work.removed_keys, outcome.flows)
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
