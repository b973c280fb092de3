"""Token rows -> llm.c shards, written by the executors in parallel: looked at, counted, planned, written."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkprep.errors import UserError
from sparkprep.io.files import delete_file, delete_folder, delete_partials, exists, file_names, make_folder, write_text
from sparkprep.io.listing import stamps
from sparkprep.io.locks import held
from sparkprep.io.paths import is_local, join_path, normalise
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores, spark_conf
from sparkprep.spark.shared import refuse_unseen
from sparkprep.spark.tasks import run_tasks
from sparkprep.tokens import manifest
from sparkprep.tokens import plan as planning
from sparkprep.tokens.manifest import ENTRY, MANIFEST, NOTES, Entry, Note, note_path, read_notes, sound_entries
from sparkprep.tokens.plan import Shard, ShardPlan, Targets, buckets_at
from sparkprep.tokens.reading import TokenRows, open_rows
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.writing import write_shards

BATCH_ROWS = 2000
BATCH_BYTES = 16 << 20
MOST_PARTIAL_SUMS = 1 << 17
"""Of buckets in pieces, which the driver adds up itself; more are added up by Spark, at the cost of a shuffle."""
_COUNTS = "bucket int, length long, documents long, nulls long"
_PLACED = "task int, shard int, place long, name binary, tokens binary"
_LOCK = ".lock"


def make_shards(
    spark: SparkSession,
    paths: Sequence[str],
    folder: str,
    settings: ShardSettings,
    progress: Progress,
    *,
    tokens_column: str = "tokens",
    id_column: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the shards of these token rows to a folder, those that are not there yet, and its manifest; return that.

    id_column: by default `id` where there is one, else the tokens order the rows. Raises UserError where the folder
    holds shards made from something else (without `overwrite`, which deletes them), or another run writes there.
    """
    folder = normalise(folder)
    preflight(spark)
    rows = open_rows(paths, tokens_column, id_column, cores(spark))
    before = stamps(rows.documents.summary.files)
    with tasks_ended(spark):
        with explained(), progress.stage("count", rows.documents.summary.rows):
            plan, nulls = make_plan(spark, rows, settings, before)
        notes = read_notes(folder)
        is_other = any(note.plan != plan.fingerprint for note in notes.values())
        if is_other and not overwrite:
            raise UserError(
                f"{folder}: holds shards made from other token rows or settings; choose another folder, or --overwrite"
            )
        _refuse_strangers(folder, plan, notes)
    _refuse_unseen(spark, rows, folder)
    with _alone_in(folder), tasks_ended(spark):
        if read_notes(folder) != notes:
            raise UserError(f"{folder}: another run has just written shards there; run again")
        if is_other:
            for file in notes:
                delete_file(join_path(folder, file))
                delete_file(note_path(folder, file))
            notes = {}
        delete_file(join_path(folder, MANIFEST))
        entries = _complete(spark, rows, settings, plan, notes, folder, progress)
        source = [file.path for file in rows.documents.summary.files]
        content = manifest.build(
            source, settings, plan, entries, [*rows.warnings, *_tell_nulls(rows, nulls)], rows.listing.left_out
        )
        write_text(join_path(folder, MANIFEST), json.dumps(content, indent=1) + "\n")
        delete_folder(join_path(folder, NOTES))
    return content


def _refuse_unseen(spark: SparkSession, rows: TokenRows, folder: str) -> None:
    """Refuse rows or a folder that workers do not see; a folder that was made to try it goes again."""
    is_new = not exists(folder)
    make_folder(folder)
    try:
        refuse_unseen(spark, rows.documents.summary.files, [folder])
    except UserError:
        if is_new:
            delete_folder(folder)
        raise


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Make a folder of shards, keep other runs out of it, and delete what a killed one had begun to write.

    On S3, where nobody can be kept out, a file appears when its upload has ended: nothing is left of one begun.
    """
    notes = join_path(folder, NOTES)
    make_folder(notes)
    if not is_local(folder):
        yield
        return
    with held(folder, os.path.join(notes, _LOCK), "choose another --output") as is_held:
        if is_held:
            delete_partials(folder)
            delete_partials(notes)
        yield


def _complete(
    spark: SparkSession,
    rows: TokenRows,
    settings: ShardSettings,
    plan: ShardPlan,
    notes: Mapping[str, Note],
    folder: str,
    progress: Progress,
) -> list[Entry]:
    """Write the shards that are not in the folder whole; return the entries of all."""
    with progress.stage("check") as stage:
        planned = {shard.file for shard in plan.shards}
        entries = sound_entries(folder, {file: note for file, note in notes.items() if file in planned})
        stage.bytes = 2 * sum(entry.tokens for entry in entries)
    missing = [shard for shard in plan.shards if shard.index not in {entry.index for entry in entries}]
    if missing:
        size = 2 * sum(shard.tokens for shard in missing)
        try:
            with progress.stage("write", plan.documents, size), explained():
                entries += _write(spark, rows, settings, plan, missing, folder)
        except UserError:
            rows.listing.check_unchanged()
            raise
    rows.listing.check_unchanged()
    written = sum(entry.documents for entry in entries)
    if written != plan.documents or len(entries) != len(plan.shards):
        raise RuntimeError(
            f"{plan.documents:,} documents were to be in {len(plan.shards):,} shards, {written:,} are in "
            f"{len(entries):,}; please report this"
        )
    return sorted(entries, key=lambda entry: entry.index)


def make_plan(
    spark: SparkSession, rows: TokenRows, settings: ShardSettings, source: list[list[str | int]]
) -> tuple[ShardPlan, int]:
    """Count the tokens of each bucket and lay the shards over them. Only the buckets' table comes to the driver.

    Returns the plan, and how many rows have null for their tokens. source: the stamps of the rows' files.
    """
    bits = planning.bucket_bits(rows.tokens_about, settings.shard_tokens)

    def task(number: int) -> Iterator[pa.RecordBatch]:
        lengths, documents = np.zeros(1 << bits, np.int64), np.zeros(1 << bits, np.int64)
        nulls = 0
        for batch in rows.batches(number, settings.seed):
            buckets = buckets_at(batch.places, bits)
            np.add.at(lengths, buckets, batch.lengths)
            np.add.at(documents, buckets, 1)
            nulls += batch.nulls
        used = np.flatnonzero(documents)
        columns = {"bucket": used.astype(np.int32), "length": lengths[used], "documents": documents[used]}
        yield pa.RecordBatch.from_pydict({**columns, "nulls": np.where(used == used[:1], nulls, 0)})

    pieces = len(rows.documents.pieces)
    partial_sums = run_tasks(spark, range(pieces), task, _COUNTS)
    if pieces << bits > MOST_PARTIAL_SUMS:
        partial_sums = partial_sums.groupBy("bucket").agg(F.sum("length"), F.sum("documents"), F.sum("nulls"))
    counts, total, nulls = np.zeros(1 << bits, np.int64), 0, 0
    for bucket, length, number, null in partial_sums.collect():
        counts[bucket] += length
        total += number
        nulls += null
    return planning.make(counts, total, settings, [source, rows.tokens_column, rows.id_column]), nulls


def _tell_nulls(rows: TokenRows, nulls: int) -> list[str]:
    """Return a warning where tokens are null: a step before this one may have failed."""
    what = f"{nulls:,} {'row has' if nulls == 1 else 'rows have'} null in column {rows.tokens_column!r}"
    return [f"{what}: written as {'a document' if nulls == 1 else 'documents'} without tokens"] if nulls else []


def _write(
    spark: SparkSession, rows: TokenRows, settings: ShardSettings, plan: ShardPlan, missing: list[Shard], folder: str
) -> list[Entry]:
    """Write the missing shards, each in a task of its own."""
    targets = Targets.of(plan, missing, task_numbers([shard.index for shard in missing]))

    def task(number: int) -> Iterator[pa.RecordBatch]:
        for batch in rows.batches(number, settings.seed):
            for taken, shards, tasks in targets.of_rows(buckets_at(batch.places, plan.bucket_bits)):
                columns = {
                    "task": tasks,
                    "shard": shards,
                    "place": batch.places[taken],
                    "name": batch.names.take(taken),
                    "tokens": batch.tokens.take(taken),
                }
                yield pa.RecordBatch.from_pydict(columns)

    placed = run_tasks(spark, range(len(rows.documents.pieces)), task, _PLACED)
    ordered = placed.repartition(len(missing), "task").sortWithinPartitions("shard", "place", "name", "tokens")
    mean = 2 * plan.tokens / plan.documents
    batch = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(max(1, min(BATCH_ROWS, int(BATCH_BYTES // mean))))}
    with spark_conf(spark, batch):
        work = partial(write_shards, plan=plan, folder=folder, dtype=rows.dtype)
        written = ordered.select("shard", "place", "tokens").mapInArrow(work, ENTRY).collect()  # a row for each shard
    return [Entry(**row.asDict()) for row in written]


def task_numbers(indices: Sequence[int]) -> dict[int, int]:
    """Return for each shard a number that Spark's hash partitioning sends to a task of its own, of as many as shards.

    That is Murmur3 (Appleby, 32 bits, seed 42) of the number as an int. Were it another, tasks would write several
    shards or none, and the shards would be the same.
    """
    tasks = len(indices)
    numbers = np.arange(max(64, 24 * tasks * math.ceil(math.log2(tasks + 1))), dtype=np.uint32)
    hashes: npt.NDArray[np.uint32] = np.multiply(numbers, 0xCC9E2D51)
    hashes = np.multiply(hashes << 15 | hashes >> 17, 0x1B873593) ^ 42
    hashes = np.add(np.multiply(hashes << 13 | hashes >> 19, 5), 0xE6546B64) ^ 4
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashes = np.multiply(hashes ^ hashes >> shift, factor)
    hashes ^= hashes >> 16
    _, first = np.unique(hashes.view(np.int32) % tasks, return_index=True)
    return {index: int(numbers[first[place % len(first)]]) for place, index in enumerate(indices)}


def _refuse_strangers(folder: str, plan: ShardPlan, notes: Mapping[str, Note]) -> None:
    """Refuse shards of our names of which nothing is noted: a trainer's glob would take them for ours."""
    name = re.escape(plan.shards[0].file.removesuffix("_val_000000.bin"))
    planned = {shard.file for shard in plan.shards}
    for file in file_names(folder):
        if re.fullmatch(rf"{name}_(val|train)_\d{{6}}\.bin", file) and file not in planned and file not in notes:
            raise UserError(f"{join_path(folder, file)}: a shard of this name that is not of this run; move it away")
