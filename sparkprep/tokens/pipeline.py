"""Tokenization from end to end: documents in, token rows out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from pyspark.sql import SparkSession

from sparkprep import __version__
from sparkprep.documents.keys import DEFAULT_ID
from sparkprep.documents.opening import Opened, open_listed
from sparkprep.documents.parquet.pieces import plan
from sparkprep.io.files import write_text
from sparkprep.io.left_out import name_left_out
from sparkprep.io.listing import list_input
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores
from sparkprep.spark.tables import PartFile
from sparkprep.tokenizer.vocabulary import SHA256
from sparkprep.tokens.contents import MADE, METRICS, REJECTED, asked_of, finished
from sparkprep.tokens.identifiers import id_of
from sparkprep.tokens.rows import TokenCounts, write_token_rows
from sparkprep.tokens.settings import TokenizeSettings


def tokenize(
    spark: SparkSession,
    source: str | Sequence[str],
    output: str,
    settings: TokenizeSettings | None = None,
    *,
    overwrite: bool = False,
    reuse: bool = False,
    stream: TextIO | None = None,
    work: str | None = None,
    keep_work: bool = False,
) -> dict[str, Any]:
    """Write the token rows (id, tokens, count) of documents to the folder `output`; return its metrics.

    source: files or folders of Parquet or JSON Lines, or the output of the dedup job, whose kept/ is taken. reuse: an
    `output` that was made from the same files with the same settings is left as it is. work: where documents that are
    written anew lie meanwhile, seen by all nodes; by default beside the output. keep_work: keep what was written where
    the run fails; the error says where. Raises UserError where input, settings or output cannot work.
    """
    settings = settings or TokenizeSettings()
    paths = [source] if isinstance(source, str) else list(source)
    listing = list_input(paths, settings.text_column)
    asked = asked_of(listing.files, settings)
    done = finished(output, asked) if reuse else None
    if done is not None:
        return done
    preflight(spark)
    progress = Progress(spark, stream)
    with OutputFolder(output, overwrite, paths, MADE, work, keep_work) as folder:
        with tasks_ended(spark):
            columns = [settings.id_column or DEFAULT_ID]
            opened = open_listed(spark, listing, folder, progress, settings.max_bad, columns, REJECTED)
            counts, parts, engine = _write_rows(spark, opened, settings, folder.work, progress)
            opened.listing.check_unchanged()
        metrics = {
            **asdict(counts),
            "rejected": opened.rejected,
            "warnings": opened.warnings,
            "left_out": name_left_out(opened.listing.left_out),
            "seconds": round(progress.seconds, 1),
            "stages": progress.summary(),
            "engine": engine,
            "vocabulary_sha256": SHA256,
            "sparkprep": __version__,
            "spark": spark.version,
            "asked": asked,
            "parts": [{"name": part.name, **asdict(part.file)} for part in parts],
        }
        write_text(join_path(folder.work, METRICS), json.dumps(metrics, indent=1) + "\n")
        folder.commit()
    return metrics


def _write_rows(
    spark: SparkSession, opened: Opened, settings: TokenizeSettings, folder: str, progress: Progress
) -> tuple[TokenCounts, list[PartFile], str]:
    """Write the token rows of the documents into a folder; return what was written."""
    summary = opened.summary
    name = id_of(summary, settings.id_column)
    with explained(), progress.stage("tokenize", summary.rows) as stage:
        counts, parts, engine = write_token_rows(spark, plan(summary, cores(spark)), name, folder)
        stage.bytes = counts.text_bytes
    if not counts.documents == sum(part.file.rows for part in parts) == summary.rows:
        raise RuntimeError(f"{summary.rows:,} documents went in and {counts.documents:,} came out; please report this")
    return counts, parts, engine
