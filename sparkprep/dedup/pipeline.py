"""Near-duplicate removal from end to end: documents in, kept and removed documents out."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from sparkprep.dedup.contents import MADE
from sparkprep.dedup.keep import keep_column
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.stages import LARGE_ROW_GROUP, execute
from sparkprep.dedup.workspace import Run
from sparkprep.documents.opening import open_paths, spool_frame
from sparkprep.documents.parquet import reading as parquet
from sparkprep.documents.parquet.schemas import check_names
from sparkprep.errors import UserError
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import spark_uri
from sparkprep.spark.failures import explained, let_tasks_end
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import get_session

MOST_TO_SEARCH = 10 << 30
"""Bytes of input that are read on the driver to find a damaged file, where Spark died without naming one."""


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
    paths = [] if isinstance(source, DataFrame) else _paths(source)
    progress = Progress(spark, stream)
    with OutputFolder(output, overwrite, paths, MADE) as folder:
        opened = source if isinstance(source, DataFrame) else paths
        try:
            result = _open_and_run(spark, opened, settings, folder, progress, single_file)
        except BaseException as error:
            let_tasks_end(spark, cancel=isinstance(error, KeyboardInterrupt))
            raise
        folder.commit()
    where = folder.path
    return Result(
        spark.read.parquet(spark_uri(os.path.join(where, "kept"))),
        spark.read.parquet(spark_uri(os.path.join(where, "removed"))),
        result,
        where,
    )


def _paths(source: Any) -> list[str]:
    return [os.fspath(p) for p in ([source] if isinstance(source, str | os.PathLike) else source)]


def _open_and_run(
    spark: SparkSession,
    source: DataFrame | list[str],
    settings: Settings,
    folder: OutputFolder,
    progress: Progress,
    single_file: str | None,
) -> dict[str, Any]:
    inputs = ["a DataFrame"] if isinstance(source, DataFrame) else source
    text, name = settings.text_column, settings.id_column
    if isinstance(source, DataFrame):
        _check_frame(source, settings)
        opened = spool_frame(source, folder, progress, text, name)
    else:
        opened = open_paths(spark, source, folder, progress, text, name, settings.max_bad)
    files, summary = opened.files, opened.summary
    _check_order(settings, {field.name: pa.types.is_nested(field.type) for field in summary.schema})
    run = Run(spark, settings, folder, progress, inputs, files, summary, opened.rejected, single_file, opened.warnings)
    # Times as they stand for ids and keep columns too, which go through tables of ours.
    with explained([file.path for file in files], lambda: _why_spark_died(run)), parquet.times_as_they_stand(spark):
        return execute(run)


def _why_spark_died(run: Run) -> UserError | None:
    """Spark's JVM answers no more: a damaged page may have taken it down, or a row group too large for it."""
    found = None
    if run.summary.file_bytes <= MOST_TO_SEARCH:
        stored = [name for name in run.summary.schema.names if name not in run.summary.folder_columns]
        found = parquet.find_damaged(run.files, stored)
    if found:
        return found
    largest = run.summary.largest_row_group_text_bytes
    if largest > LARGE_ROW_GROUP:
        return UserError(
            f"Spark's driver died in mid-run: a row group of the input holds {largest / 1e9:.1f} GB of text, which "
            "Spark reads as one piece: give it more memory (spark-submit --driver-memory 8g, SPARK_DRIVER_MEMORY=8g), "
            "or write the input anew in smaller row groups"
        )
    return None


def _check_frame(source: DataFrame, settings: Settings) -> None:
    """Refuse a DataFrame that cannot be deduplicated before Spark computes it."""
    check_names("the DataFrame", source.columns)
    kinds = {field.name: field.dataType for field in source.schema.fields}
    text = settings.text_column
    if text not in kinds:
        raise UserError(
            f"the DataFrame has no column '{text}'; columns there are: {', '.join(kinds) or 'none'}; "
            "name it by the setting text_column"
        )
    if not isinstance(kinds[text], T.StringType):
        raise UserError(f"the DataFrame's column '{text}' is {kinds[text].simpleString()}, not text; cast it to string")
    _check_order(settings, {c: isinstance(k, T.ArrayType | T.MapType | T.StructType) for c, k in kinds.items()})


def _check_order(settings: Settings, nested: Mapping[str, bool]) -> None:
    """Refuse a keep order that the columns cannot give; nested: whether a column holds lists, maps or structs."""
    keep = keep_column(settings)
    if keep is not None and keep not in nested:
        there = ", ".join(nested)
        raise UserError(f"--keep {settings.keep}: there is no column {keep!r}; columns there are: {there}")
    for flag, column in (("--keep", keep), ("--id-column", settings.id_column)):
        if column is not None and nested.get(column):
            raise UserError(
                f"{flag}: column {column!r} holds lists, maps or structs, which have no order; name another"
            )
