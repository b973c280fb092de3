"""The stages of a run, one function each, from the opened input to the finished folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from sparkprep.dedup import masks
from sparkprep.dedup.candidates import CandidateCounts, write_candidates
from sparkprep.dedup.report import examples, metrics, sources
from sparkprep.dedup.report import page as report
from sparkprep.dedup.resolve import cluster as on_cluster
from sparkprep.dedup.resolve import driver as on_driver
from sparkprep.dedup.resolve.outcome import Outcome
from sparkprep.dedup.signatures import Tally, write_signatures
from sparkprep.dedup.workspace import Run
from sparkprep.documents.batches import batch_settings
from sparkprep.documents.keys import KEY
from sparkprep.io.files import write_text
from sparkprep.io.paths import filesystem, spark_target
from sparkprep.spark import tables
from sparkprep.spark.session import spark_conf

LARGE_ROW_GROUP = 256 << 20
ROW_BY_ROW = {
    **{f"parquet.{part}.size.row.check.{end}": "1" for part in ("page", "block") for end in ("min", "max")},
    "parquet.enable.dictionary": "false",
}
"""For the writer of long texts, which looks only at every hundredth row how much it holds in memory."""


def execute(run: Run) -> dict[str, Any]:
    """All stages; returns the metrics."""
    tally = _sketch(run)
    found = _candidates(run, tally)
    fits = found.pairs + found.exact <= run.settings.driver_budget
    outcome = on_driver.resolve(run, found) if fits else on_cluster.resolve(run, found)
    _write(run, outcome)
    return _report(run, tally, found, outcome)


def _sketch(run: Run) -> Tally:
    with run.progress.stage("sketch", run.summary.rows) as stage:
        documents, mean = _spread(run), run.summary.largest_mean_text_bytes
        tally = write_signatures(documents, run.settings, run.work("signatures"), mean, run.summary.rows)
        stage.bytes = tally.text_bytes
    return tally


def _spread(run: Run) -> DataFrame:
    """Spark cannot cut a row group: where a few large ones would keep cores idle, deal the rows out.

    Rows of long texts are left where they are: a shuffle would hold many of them in memory at once.
    """
    summary = run.summary
    large = summary.largest_row_group_text_bytes > LARGE_ROW_GROUP and summary.row_groups < 2 * run.cores
    if large and not summary.has_long_texts:
        return run.documents.repartition(2 * run.cores, KEY)
    return run.documents


def _candidates(run: Run, tally: Tally) -> CandidateCounts:
    with run.progress.stage("candidates", tally.documents):
        return write_candidates(run.signatures, run.settings, run.work("candidates"), tally.documents, run.cores)


def _write(run: Run, outcome: Outcome) -> None:
    """kept/, and the check that no document got lost on the way."""
    with run.progress.stage("write", run.summary.rows, run.summary.text_bytes):
        removed = masks.read(run.spark, run.work("removed.mask"))
        kept = masks.outside(run.documents, removed).drop(KEY)
        options = ROW_BY_ROW if run.summary.has_long_texts else {}
        with spark_conf(run.spark, batch_settings(run.summary.largest_mean_text_bytes)):
            kept.write.options(compression="snappy", **options).parquet(spark_target(run.result("kept")))
        if run.single_file:
            _join_files(run.result("kept"), run.result(run.single_file))
    rows = {name: tables.rows(run.result(name)) for name in ("kept", "removed")}
    if rows["kept"] + rows["removed"] != run.summary.rows or rows["removed"] != outcome.removed:
        raise RuntimeError(
            f"{run.summary.rows:,} documents went in, but {rows['kept']:,} were kept and {rows['removed']:,} removed "
            f"({outcome.removed:,} were to be): nothing was put in place; please report this"
        )


def _join_files(folder: str, path: str) -> None:
    """All rows of a folder of Parquet files as one file, some rows at a time."""
    system, inner = filesystem(path)
    writer: pq.ParquetWriter | None = None
    for batch in tables.batches(folder, None):
        writer = writer or pq.ParquetWriter(inner, batch.schema, filesystem=system, compression="snappy")
        writer.write_batch(batch)
    if writer is not None:
        writer.close()


def _report(run: Run, tally: Tally, found: CandidateCounts, outcome: Outcome) -> dict[str, Any]:
    """metrics.json and report.html."""
    with run.progress.stage("report"):
        column, by_source = run.settings.source_column, None
        if column in run.summary.schema.names:
            by_source = sources.losses(run.work("signatures"), column, masks.KeySet(run.work("removed.mask")))
            run.warnings += [f"{s} loses over 90 % of its documents" for s in by_source["lost_over_90_percent"]]
        shown = examples.collect(run, outcome)
    figures = metrics.build(run, tally, found, outcome, by_source)
    write_text(run.result("metrics.json"), json.dumps(figures, indent=1) + "\n")
    report.write(Path(run.result("report.html")), figures, shown)
    return figures
