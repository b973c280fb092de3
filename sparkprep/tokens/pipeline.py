"""Tokenization from end to end: documents in, token rows out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from pyspark.sql import SparkSession

from sparkprep import __version__
from sparkprep.documents.keys import DEFAULT_ID
from sparkprep.documents.opening import Opened, Source, open_listed, paths_of, source_of, spool_table
from sparkprep.documents.parquet.pieces import plan
from sparkprep.io.files import write_text
from sparkprep.io.left_out import name_left_out
from sparkprep.io.listing import Listing, list_input
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path
from sparkprep.spark.displays import Display
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.forecast import TOKENIZE
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import PartFile
from sparkprep.tokenizer.vocabulary import SHA256
from sparkprep.tokens.contents import MADE, METRICS, REJECTED, asked_of, finished
from sparkprep.tokens.identifiers import id_of
from sparkprep.tokens.rows import TokenCounts, write_token_rows
from sparkprep.tokens.settings import TokenizeSettings


def make_tokens(
    spark: SparkSession,
    source: str | Sequence[str] | Source,
    output: str,
    settings: TokenizeSettings | None = None,
    *,
    overwrite: bool = False,
    reuse: bool = False,
    stream: Display | TextIO | None = None,
    work: str | None = None,
    keep_work: bool = False,
    resume: bool = False,
) -> dict[str, Any]:
    """Write the token rows (id, tokens, count) of documents to the folder `output`; return its metrics.

    source: files or folders of Parquet or JSON Lines, or the output of the dedup job, whose kept/ is taken; or a table
    (`source_of`). reuse: an `output` that was made from the same files with the same settings is left as it is. stream:
    where to tell of progress. work: where documents that are written anew lie meanwhile, seen by all nodes; by default
    beside the output. keep_work: keep what was written where the run fails; the error says where. resume: go on from
    where an earlier run of the same has failed or was killed, if one has. Raises UserError where input, settings or
    output cannot work.
    """
    settings = settings or TokenizeSettings()
    documents = source_of(source)
    listing = list_input(documents, settings.text_column) if isinstance(documents, list) else None
    asked = asked_of(listing.files if listing else [], settings)
    done = finished(output, asked) if reuse and listing else None
    if done is not None:
        return done
    preflight(spark)
    progress = Progress(spark, stream, TOKENIZE)
    with OutputFolder(output, overwrite, paths_of(documents), MADE, work, keep_work, resume) as folder:
        with tasks_ended(spark):
            stages = Stages(folder, progress, "tokenize", asdict(settings), listing, cores(spark))
            opened = _opened(spark, listing or documents, settings, folder, progress, stages)
            progress.expect(opened.summary.bytes)
            counts, parts, engine = _write_rows(spark, opened, settings, folder.work, progress, stages)
            opened.listing.check_unchanged()
        metrics = {
            **asdict(counts),
            "lengths": list(counts.lengths),
            "rejected": opened.rejected,
            "warnings": opened.warnings,
            "left_out": name_left_out(opened.listing.left_out),
            "seconds": round(progress.seconds, 1),
            "stages": progress.summary(),
            "resumed": stages.figures(),
            "fingerprint": stages.fingerprint,
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


def _opened(
    spark: SparkSession,
    source: Listing | Source,
    settings: TokenizeSettings,
    folder: OutputFolder,
    progress: Progress,
    stages: Stages,
) -> Opened:
    """Open the documents of files, or of a table, which is written to some first."""
    if isinstance(source, Listing):
        columns = [settings.id_column or DEFAULT_ID]
        return open_listed(spark, source, folder, progress, settings.max_bad, columns, REJECTED, stages=stages)
    assert not isinstance(source, list)  # those were listed
    return spool_table(spark, source, folder, progress, settings.text_column)


def _write_rows(
    spark: SparkSession,
    opened: Opened,
    settings: TokenizeSettings,
    folder: str,
    progress: Progress,
    stages: Stages,
) -> tuple[TokenCounts, list[PartFile], str]:
    """Write the token rows of the documents into a folder; return what was written."""
    summary = opened.summary
    name = id_of(summary, settings.id_column)
    with explained(), progress.stage("tokenize", summary.rows) as stage:
        counts, parts, engine = write_token_rows(spark, plan(summary, stages.tasks), name, folder, stages)
        stage.bytes = counts.text_bytes
    if not counts.documents == sum(part.file.rows for part in parts) == summary.rows:
        raise RuntimeError(f"{summary.rows:,} documents went in and {counts.documents:,} came out; please report this")
    return counts, parts, engine
