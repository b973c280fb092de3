"""Tokenization from end to end: documents in, token rows out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from pyspark.sql import SparkSession

from sparkprep import __version__
from sparkprep.documents.keys import KEY
from sparkprep.documents.opening import Opened, open_paths
from sparkprep.documents.parquet import reading as parquet
from sparkprep.documents.parquet.damage import why_spark_died
from sparkprep.errors import UserError
from sparkprep.io.files import write_text
from sparkprep.io.json_files import read_json
from sparkprep.io.listing import list_files, stamps
from sparkprep.io.output import PARQUET_FOLDER, OutputFolder
from sparkprep.spark.failures import explained
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokenizer.vocabulary import SHA256
from sparkprep.tokens.rows import TokenCounts, write_token_rows
from sparkprep.tokens.settings import TokenizeSettings

METRICS = "_metrics.json"
"""Beside the rows: a name that Spark passes over when it reads the folder."""
MADE = (r"_metrics\.json", PARQUET_FOLDER, rf"rejected/{PARQUET_FOLDER}")
"""Patterns of all paths that a run makes; the first is there in every result."""


def tokenize(
    spark: SparkSession,
    source: str | Sequence[str],
    output: str,
    settings: TokenizeSettings | None = None,
    *,
    overwrite: bool = False,
    reuse: bool = False,
    stream: TextIO | None = None,
) -> dict[str, Any]:
    """Write the token rows (id, tokens, count) of documents to the folder `output`; return its metrics.

    source: files or folders of Parquet or JSON Lines, or the output of the dedup job, whose kept/ is taken. reuse: an
    `output` that was made from the same files with the same settings is left as it is. Raises UserError where input,
    settings or output cannot work.
    """
    settings = settings or TokenizeSettings()
    paths = [source] if isinstance(source, str) else list(source)
    asked = {"input": stamps(list_files(paths, settings.text_column)), "settings": asdict(settings)}
    path = os.path.join(output, METRICS)
    done = read_json(path, "take another --output, or --overwrite") if os.path.exists(path) else None
    if reuse and done is not None and done["asked"] == asked:
        return dict(done)
    preflight(spark)
    progress = Progress(spark, stream)
    with OutputFolder(output, overwrite, paths, MADE) as folder:
        opened = open_paths(spark, paths, folder, progress, settings.text_column, settings.max_bad)
        counts = _write_rows(spark, opened, settings, folder, progress)
        metrics = {
            **asdict(counts),
            "rejected": opened.rejected,
            "warnings": opened.warnings,
            "seconds": round(progress.seconds, 1),
            "stages": progress.summary(),
            "engine": Tokenizer().engine,
            "vocabulary_sha256": SHA256,
            "sparkprep": __version__,
            "spark": spark.version,
            "asked": asked,
        }
        write_text(os.path.join(folder.work, METRICS), json.dumps(metrics, indent=1) + "\n")
        folder.commit()
    return metrics


def _write_rows(
    spark: SparkSession, opened: Opened, settings: TokenizeSettings, folder: OutputFolder, progress: Progress
) -> TokenCounts:
    """Write the token rows of the documents into the folder's work; the counts of what was written."""
    summary, rows = opened.summary, os.path.join(folder.scratch, "rows")

    def why_died() -> UserError | None:
        return why_spark_died(opened.files, summary.stored_columns, summary.largest_row_group_text_bytes)

    with (
        explained([file.path for file in opened.files], why_died),
        parquet.times_as_they_stand(spark),
        progress.stage("tokenize", summary.rows) as stage,
    ):
        documents = parquet.read(spark, opened.files, summary).drop(KEY)
        mean = summary.largest_mean_text_bytes
        counts = write_token_rows(documents, settings.text_column, settings.id_column, rows, mean, summary.rows)
        stage.bytes = counts.text_bytes
    if counts.documents != summary.rows:
        raise RuntimeError(f"{summary.rows:,} documents went in and {counts.documents:,} came out; please report this")
    for name in os.listdir(rows):
        os.rename(os.path.join(rows, name), os.path.join(folder.work, name))
    return counts
