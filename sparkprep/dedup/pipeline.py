"""Near-duplicate removal from end to end: documents in, kept and removed documents out; the stages top to bottom."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from sparkprep.dedup import masks
from sparkprep.dedup.candidates import CandidateCounts, write_candidates
from sparkprep.dedup.contents import KEPT, MADE, METRICS, REMOVED, REPORT
from sparkprep.dedup.inputs import open_documents
from sparkprep.dedup.report import examples, metrics, page, sources
from sparkprep.dedup.resolve import cluster as on_cluster
from sparkprep.dedup.resolve import driver as on_driver
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Tally, write_signatures
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.batches import batch_settings
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.damage import LARGE_ROW_GROUP, why_spark_died
from sparkprep.documents.parquet.reading import times_as_they_stand
from sparkprep.errors import UserError
from sparkprep.io.files import write_text
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import filesystem, join_path, spark_uri
from sparkprep.spark.failures import explained, let_tasks_end
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import get_session, spark_conf
from sparkprep.spark.tables import Table

ROW_BY_ROW = {
    **{f"parquet.{part}.size.row.check.{end}": "1" for part in ("page", "block") for end in ("min", "max")},
    "parquet.enable.dictionary": "false",
}
"""For the writer of long texts, which looks only at every hundredth row how much it holds in memory."""


@dataclass
class Result:
    """What `deduplicate` returns. The DataFrames read what the run has written; nothing is computed again."""

    kept: DataFrame
    """the input's rows and columns, without the removed rows"""
    removed: DataFrame
    """id, kept_id, jaccard, rule: one row for each removed document"""
    metrics: dict[str, Any]
    """what metrics.json holds"""
    output: str
    """the folder with kept/, removed/, metrics.json and report.html"""


def deduplicate(
    source: DataFrame | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    settings: Settings | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    spark: SparkSession | None = None,
    stream: TextIO | None = None,
    single_file: str | None = None,
) -> Result:
    """Remove near-duplicate documents.

    source: a DataFrame, or the path(s) of Parquet or JSON Lines files or folders. output: the folder to write; by
    default a temporary one that is deleted when Python exits. stream: where to tell of progress; by default nowhere.
    single_file: a name in the output folder under which the kept documents are written as one Parquet file too.
    Raises UserError where the input, a setting or the output cannot work.

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
    with OutputFolder(output, overwrite, paths, MADE) as folder:
        try:
            figures = _open_and_run(spark, documents, settings, folder, progress, single_file)
        except BaseException as error:
            let_tasks_end(spark, cancel=isinstance(error, KeyboardInterrupt))
            raise
        folder.commit()
    kept, removed = (spark.read.parquet(spark_uri(join_path(folder.path, name))) for name in (KEPT, REMOVED))
    return Result(kept, removed, figures, folder.path)


def _paths(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    return [os.fspath(p) for p in ([source] if isinstance(source, str | os.PathLike) else source)]


def _open_and_run(
    spark: SparkSession,
    source: DataFrame | list[str],
    settings: Settings,
    folder: OutputFolder,
    progress: Progress,
    single_file: str | None,
) -> dict[str, Any]:
    """Open the input, run all stages, and return the metrics."""
    opened = open_documents(spark, source, settings, folder, progress)
    files, summary = opened.files, opened.summary
    work = Workspace(
        spark=spark,
        settings=settings,
        output=folder,
        progress=progress,
        inputs=["a DataFrame"] if isinstance(source, DataFrame) else source,
        files=files,
        summary=summary,
        rejected=opened.rejected,
        single_file=single_file,
        warnings=opened.warnings,
    )

    def why_died() -> UserError | None:
        return why_spark_died(files, summary.stored_columns, summary.largest_row_group_text_bytes)

    # Times as they stand for ids and keep columns too, which go through tables of ours.
    with explained([file.path for file in files], why_died), times_as_they_stand(spark):
        tally = _sketch(work)
        counts = _search(work, tally)
        outcome = _resolve(work, counts)
        _write(work, outcome)
        return _report(work, tally, counts, outcome)


def _sketch(work: Workspace) -> Tally:
    """Write the signature rows."""
    with work.progress.stage("sketch", work.summary.rows) as stage:
        documents, mean = _spread(work), work.summary.largest_mean_text_bytes
        tally = write_signatures(documents, work.settings, work.signatures, mean, work.summary.rows)
        stage.bytes = tally.text_bytes
    return tally


def _spread(work: Workspace) -> DataFrame:
    """Deal the rows out where a few large row groups, which Spark cannot cut, would keep cores idle.

    Rows of long texts are left where they are: a shuffle would hold many of them in memory at once.
    """
    summary = work.summary
    large = summary.largest_row_group_text_bytes > LARGE_ROW_GROUP and summary.row_groups < 2 * work.cores
    if large and not summary.has_long_texts:
        return work.documents.repartition(2 * work.cores, KEY)
    return work.documents


def _search(work: Workspace, tally: Tally) -> CandidateCounts:
    """Write the candidates of search 0."""
    with work.progress.stage("candidates", tally.documents):
        signatures, tables = work.signatures.read(work.spark), work.candidates
        return write_candidates(signatures, work.settings, tables, tally.documents, work.cores)


def _resolve(work: Workspace, counts: CandidateCounts) -> Outcome:
    """Verify the candidates and write removed/: on the driver, or all of it anew on the cluster if that cannot hold it.

    Either gives the same rows, so that the driver's budget is no part of the answer.
    """
    outcome = on_driver.resolve(work, counts)
    return on_cluster.resolve(work, counts) if outcome is None else outcome


def _write(work: Workspace, outcome: Outcome) -> None:
    """Write kept/, and check that no document got lost on the way."""
    with work.progress.stage("write", work.summary.rows, work.summary.text_bytes):
        kept = masks.outside(work.documents, work.removed_mask.read(work.spark)).drop(KEY)
        options = ROW_BY_ROW if work.summary.has_long_texts else {}
        with spark_conf(work.spark, batch_settings(work.summary.largest_mean_text_bytes)):
            work.kept.write(kept, compression="snappy", **options)
        if work.single_file:
            _join_files(work.kept, work.result(work.single_file))
    kept_rows, removed_rows = work.kept.count(), work.removed.count()
    if kept_rows + removed_rows != work.summary.rows or removed_rows != outcome.removed:
        raise RuntimeError(
            f"{work.summary.rows:,} documents went in, but {kept_rows:,} were kept and {removed_rows:,} removed "
            f"({outcome.removed:,} were to be): nothing was put in place; please report this"
        )


def _join_files(table: Table, path: str) -> None:
    """Write all rows of a table as one Parquet file, some rows at a time."""
    system, inner = filesystem(path)
    writer: pq.ParquetWriter | None = None
    for batch in table.batches(None):
        writer = writer or pq.ParquetWriter(inner, batch.schema, filesystem=system, compression="snappy")
        writer.write_batch(batch)
    if writer is not None:
        writer.close()


def _report(work: Workspace, tally: Tally, counts: CandidateCounts, outcome: Outcome) -> dict[str, Any]:
    """Write metrics.json and report.html, and return the metrics."""
    with work.progress.stage("report"):
        column, by_source = work.settings.source_column, None
        if column in work.summary.schema.names:
            by_source = sources.losses(work.signatures, column, masks.KeySet(work.removed_mask))
            work.warnings += [f"{s} loses over 90 % of its documents" for s in by_source["lost_over_90_percent"]]
        shown = examples.collect(work, outcome)
    figures = metrics.build(work, tally, counts, outcome, by_source)
    write_text(work.result(METRICS), json.dumps(figures, indent=1) + "\n")
    page.write(work.result(REPORT), figures, shown)
    return figures
