"""The stages of one run of near-duplicate removal, from the opened input to the finished folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkprep import storage
from sparkprep.dedup import candidates, examples, grouping, masks, metrics, pairs, report, sources, tables
from sparkprep.dedup.bands import probability
from sparkprep.dedup.candidates import CandidateCounts, write_candidates
from sparkprep.dedup.masks import KEY
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Tally, batch_settings, one_by_one, write_signatures
from sparkprep.dedup.verify import verified_pairs
from sparkprep.documents import parquet
from sparkprep.documents.parquet import InputSummary
from sparkprep.progress import Progress
from sparkprep.session import spark_conf
from sparkprep.storage import DataFile, OutputFolder

LARGE_ROW_GROUP = 256 << 20
TASK_BYTES = 64 << 20
BROADCAST_ROWS = 2_000_000


@dataclass
class Run:
    """One run: its surroundings and what the stages hand on. Each stage is a function below."""

    spark: SparkSession
    settings: Settings
    output: OutputFolder
    progress: Progress
    inputs: list[str]
    files: list[DataFile]
    summary: InputSummary
    rejected: int = 0
    warnings: list[str] = field(default_factory=list)

    def work(self, *names: str) -> str:
        """A path among the intermediate tables."""
        return os.path.join(self.output.scratch, *names)

    def documents(self, columns: Sequence[str] | None = None) -> DataFrame:
        return parquet.read(self.spark, self.files, self.summary, columns)

    @property
    def cores(self) -> int:
        """Tasks that run at once; 8 where Spark does not say (Spark Connect)."""
        try:
            return int(self.spark.sparkContext.defaultParallelism)
        except (PySparkException, AttributeError):
            return 8


def execute(run: Run) -> dict[str, Any]:
    """All stages, from the opened input to the finished folder; returns the metrics."""
    tally = _sketch(run)
    found = _candidates(run, tally)
    edges, jaccard, copies = _verify(run)
    decisions = _decide(run, edges, jaccard, copies)
    _write(run, decisions)
    return _report(run, tally, found, decisions, jaccard, len(copies))


def _sketch(run: Run) -> Tally:
    with run.progress.stage("sketch", run.summary.rows) as stage:
        tally = write_signatures(
            _spread(run, run.documents()),
            run.settings,
            run.work("signatures"),
            run.summary.largest_mean_text_bytes,
            run.summary.rows,
        )
        stage.bytes = tally.text_bytes
    return tally


def _spread(run: Run, documents: DataFrame) -> DataFrame:
    """Spark cannot cut a row group: where a few large ones would keep cores idle, deal the rows out."""
    summary = run.summary
    if summary.largest_row_group_text_bytes > LARGE_ROW_GROUP and summary.row_groups < 2 * run.cores:
        return documents.repartition(2 * run.cores, KEY)
    return documents


def _candidates(run: Run, tally: Tally) -> CandidateCounts:
    with run.progress.stage("candidates", tally.documents):
        signatures = tables.read(run.spark, run.work("signatures"))
        return write_candidates(signatures, run.settings, run.work("candidates"), tally.documents, run.cores)


def _verify(run: Run) -> tuple[pairs.I64, pairs.F64, pairs.I64]:
    """Edges at or above the threshold (keys (n, 2), Jaccard) and exact copies (keys (m, 2))."""
    with run.progress.stage("verify") as stage:
        folder = run.work("candidates")
        distinct = grouping.unique_rows(pairs.of_kind(folder, candidates.PAIR))
        copies = grouping.unique_rows(pairs.of_kind(folder, candidates.EXACT))
        edges, jaccard = _compare(run, distinct, run.settings.threshold, "verified")
        stage.documents = len(np.unique(distinct))
    return edges, jaccard, copies


def _compare(run: Run, distinct: pairs.I64, threshold: float, name: str) -> tuple[pairs.I64, pairs.F64]:
    """The exact similarity of these pairs where it reaches the threshold."""
    if not len(distinct):
        return np.empty((0, 2), np.int64), np.empty(0)
    ordinary, with_long = pairs.assign(distinct, run.work("signatures"))
    mean = run.summary.largest_mean_text_bytes
    for part, table, conf in (("ordinary", ordinary, batch_settings(mean)), ("long", with_long, one_by_one())):
        if not table.num_rows:
            continue
        groups = run.work(name, f"{part}.groups")
        tables.write(groups, table)
        assignment = tables.read(run.spark, groups)
        if table.num_rows <= BROADCAST_ROWS:
            assignment = F.broadcast(assignment)
        with spark_conf(run.spark, conf):
            verified_pairs(
                run.documents([run.settings.text_column]), assignment, run.settings, threshold, _verify_tasks(run, table)
            ).write.parquet(run.work(name, part))
    found = [tables.columns(run.work(name, part), ["a", "b", "jaccard"]) for part in ("ordinary", "long")]
    a, b, jaccard = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return np.stack([a, b], axis=1).astype(np.int64), jaccard.astype(np.float64)


def _verify_tasks(run: Run, table: pa.Table) -> int:
    """So many tasks that one handles about TASK_BYTES of text, and every core has one."""
    mean = run.summary.text_bytes / max(1, run.summary.rows)
    return max(run.cores, math.ceil(table.num_rows * mean / TASK_BYTES))


def _decide(run: Run, edges: pairs.I64, jaccard: pairs.F64, copies: pairs.I64) -> pa.Table:
    """(KEY, kept_key, jaccard, rule) of each removed document, in keep order."""
    with run.progress.stage("decide") as stage:
        signatures = tables.read(run.spark, run.work("signatures"))
        nodes = np.unique(np.concatenate([edges, copies]))
        stage.documents = len(nodes)
        ranked = pairs.write_ranked(signatures, nodes, run.settings, run.work())
        decisions = pairs.decide(ranked, copies, edges, jaccard, run.settings)
        table = pairs.decisions_table(decisions, ranked)
        unknown = np.isnan(decisions.jaccard)
        if unknown.any():  # rule `component`: ends of chains that nobody has compared
            table = _fill_in(run, table, unknown)
        tables.write(run.work("decisions.parquet"), table)
        masks.write(run.work("removed.parquet"), np.asarray(table[KEY]))
    return table


def _fill_in(run: Run, table: pa.Table, unknown: npt.NDArray[np.bool_]) -> pa.Table:
    """Compute the similarity of those removed documents and their kept ones that no edge joins."""
    ends = np.sort(np.stack([np.asarray(table[KEY]), np.asarray(table["kept_key"])], axis=1), axis=1)
    edges, found = _compare(run, grouping.unique_rows(ends[unknown]), 0.0, "filled_in")
    known = {(a, b): j for (a, b), j in zip(edges.tolist(), found.tolist(), strict=True)}
    jaccard = np.asarray(table["jaccard"]).copy()
    jaccard[unknown] = [known[a, b] for a, b in ends[unknown].tolist()]
    return table.set_column(table.schema.get_field_index("jaccard"), "jaccard", pa.array(jaccard))


def _write(run: Run, decisions: pa.Table) -> None:
    """kept/ and removed/, and the check that no document got lost between them."""
    with run.progress.stage("write", run.summary.rows, run.summary.text_bytes):
        removed = masks.read(run.spark, run.work("removed.parquet"))
        kept = masks.outside(run.documents(), removed).drop(KEY)
        kept.write.option("compression", "snappy").parquet(storage.spark_target(os.path.join(run.output.work, "kept")))
        audit = pairs.removed_rows(
            tables.read(run.spark, run.work("decisions.parquet")), tables.read(run.spark, run.work("ranked"))
        )
        audit.write.parquet(storage.spark_target(os.path.join(run.output.work, "removed")))
    rows = {name: tables.rows(os.path.join(run.output.work, name)) for name in ("kept", "removed")}
    if rows["kept"] + rows["removed"] != run.summary.rows or rows["removed"] != decisions.num_rows:
        raise RuntimeError(
            f"{run.summary.rows:,} documents went in, but {rows['kept']:,} were kept and {rows['removed']:,} removed "
            f"({decisions.num_rows:,} were to be): nothing was put in place; please report this"
        )


def _report(
    run: Run,
    tally: Tally,
    found: CandidateCounts,
    decisions: pa.Table,
    jaccard: pairs.F64,
    copies: int,
) -> dict[str, Any]:
    """metrics.json and report.html."""
    with run.progress.stage("report"):
        settings, summary = run.settings, run.summary
        banding = settings.banding
        source = settings.source_column
        by_source = None
        if source in summary.schema.names:
            removed = masks.read(run.spark, run.work("removed.parquet"))
            by_source = sources.losses(run.documents([source]), source, removed)
            run.warnings += [f"{s} loses over 90 % of its documents" for s in by_source["lost_over_90_percent"]]
        counts = metrics.histogram(jaccard, settings.threshold)
        kept_key, rules = np.asarray(decisions["kept_key"]), decisions["rule"].to_pylist()
        sizes, number = np.unique(np.unique(kept_key, return_counts=True)[1] + 1, return_counts=True)
        shown = examples.collect(
            run.files, summary, settings, np.asarray(decisions[KEY]), kept_key, np.asarray(decisions["jaccard"]), rules
        )
    result: dict[str, Any] = {
        "format": metrics.FORMAT,
        "settings": metrics.settings_in_force(settings),
        "versions": metrics.versions(run.spark.version),
        "input": {
            "paths": run.inputs,
            "files": len(run.files),
            "documents": summary.rows + run.rejected,
            "file_bytes": summary.file_bytes,
            "text_bytes": tally.text_bytes,
        },
        "counts": {
            "input": summary.rows + run.rejected,
            "kept": summary.rows - decisions.num_rows,
            "removed": decisions.num_rows,
            "rejected": run.rejected,
            "exact": rules.count("exact"),
            "near": rules.count("near"),
            "null_text": tally.null_text,
            "empty_text": tally.empty_text,
            "no_words": tally.no_words,
            "duplicate_ids": found.duplicate_ids,
        },
        "candidates": {
            "pairs": found.pairs,
            "verified": len(jaccard),
            "hot_buckets": found.hot_buckets,
            "uncompared_pairs": found.uncompared_pairs,
        },
        "banding": {
            "bands": banding.bands,
            "rows": banding.rows,
            "probability_at_threshold": round(float(probability(settings.threshold, banding.bands, banding.rows)), 6),
        },
        "recall": metrics.recall(counts, copies, settings.threshold, banding.bands, banding.rows),
        "clusters": {str(s): int(n) for s, n in zip(sizes.tolist(), number.tolist(), strict=True)},
        "jaccard_histogram": metrics.coarse(counts, settings.threshold),
        "sources": by_source,
        "stages": run.progress.summary(),
        "seconds": round(run.progress.seconds, 3),
        "warnings": run.warnings,
    }
    storage.write_text_atomic(os.path.join(run.output.work, "metrics.json"), json.dumps(result, indent=1) + "\n")
    report.write(Path(run.output.work, "report.html"), result, shown)
    return result
