"""Any input as Parquet files of documents: looked at, and written anew first where it is something else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession

from sparkprep.documents.jsonl.max_bad import parse_max_bad
from sparkprep.documents.jsonl.spool import spool
from sparkprep.documents.jsonl.tasks import JsonlSettings
from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.documents.parquet.reading import times_as_they_stand
from sparkprep.io.listing import PARQUET, DataFile, list_input, list_written, tell_left_out
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import normalise, scheme_of, spark_target
from sparkprep.spark.failures import explained
from sparkprep.spark.progress import Progress


@dataclass
class Opened:
    """An input that `documents.parquet.reading.read` can read."""

    files: list[DataFile]
    summary: InputSummary
    rejected: int = 0
    """bad lines, which lie in rejected/ of the output folder"""
    warnings: list[str] = field(default_factory=list)


def open_paths(
    spark: SparkSession,
    paths: Sequence[str],
    folder: OutputFolder,
    progress: Progress,
    text_column: str,
    max_bad: str,
) -> Opened:
    """Open Parquet files as they lie; JSON Lines as Parquet in the folder's scratch, the bad lines in its rejected/."""
    listing = list_input(paths, text_column)
    files, rejected, warnings = listing.files, 0, listing.warnings
    if files[0].format != PARQUET:
        spooled = _spool_folder(folder)
        with explained([file.path for file in files]), progress.stage("read") as stage:
            options = JsonlSettings(text_column=text_column, max_bad=parse_max_bad(max_bad))
            summary = spool(spark, files, spooled, os.path.join(folder.work, "rejected"), options)
            stage.documents, rejected = summary.documents, summary.rejected
            warnings += tell_left_out(summary.left_out)
            warnings += [f"rejected {line}" for line in summary.first_rejected]
            warnings += [f"column {c} holds values of several kinds: kept as text" for c in summary.as_text]
        files = list_written(spooled)
    return Opened(files, summarise(files, text_column), rejected, warnings)


def spool_frame(source: DataFrame, folder: OutputFolder, progress: Progress, text_column: str) -> Opened:
    """Open a DataFrame, written as Parquet first: it is computed once, may be costly, or not be the same twice."""
    spooled = _spool_folder(folder)
    with (
        explained(_files_behind(source)),
        progress.stage("read"),
        times_as_they_stand(source.sparkSession),
    ):
        source.write.parquet(spark_target(spooled))
    files = list_written(spooled)
    return Opened(files, summarise(files, text_column))


def _spool_folder(folder: OutputFolder) -> str:
    """Return where the documents lie that were written anew, of any job."""
    return os.path.join(folder.scratch, "documents")


def _files_behind(source: DataFrame) -> list[str]:
    """Return the files that a DataFrame reads, as far as Spark knows them: to be named where one of them is damaged."""
    names = [unquote(name) for name in source.inputFiles()]
    return [normalise(name) if scheme_of(name) == "file" else name for name in names]
