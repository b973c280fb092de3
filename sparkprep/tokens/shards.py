"""Token rows -> llm.c shards, written by the executors in parallel: looked at, counted, planned, written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc
from pyspark.sql import SparkSession

from sparkprep.errors import UserError, argument
from sparkprep.io.files import delete_file, delete_folder, delete_partials, exists, file_names, make_folder, write_text
from sparkprep.io.heartbeat import Heartbeat
from sparkprep.io.listing import stamps
from sparkprep.io.locks import held
from sparkprep.io.overlap import refuse_same_place
from sparkprep.io.paths import is_local, join_path, normalise
from sparkprep.spark.external_sort import sort
from sparkprep.spark.failures import explained, tasks_ended
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.room import tell_of_room
from sparkprep.spark.session import cores
from sparkprep.spark.shared import refuse_unseen
from sparkprep.spark.tasks import shuffle
from sparkprep.tokens import manifest
from sparkprep.tokens import plan as planning
from sparkprep.tokens.manifest import MANIFEST, NOTES, Entry, Note, note_path, read_notes, sound_entries, write_notes
from sparkprep.tokens.packing import packed
from sparkprep.tokens.plan import Shard, ShardPlan, Targets, buckets_at
from sparkprep.tokens.reading import PLACED, TokenRows, open_rows
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.writing import write_shard

COUNTS_PER_TASK = 1 << 22
"""Of a bucket in a piece: as many are added up by a task, if there are more tasks to share them."""
SHUFFLED = 1.8
"""Bytes that are shuffled of a byte of token rows as encoded in Parquet: of the embedded 10k's 1.61 were measured."""
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
    refuse_same_place(paths, output=folder)
    worker = preflight(spark)
    rows = open_rows(paths, tokens_column, id_column, cores(spark))
    tell_of_room(spark, progress, worker, rows.documents.summary.bytes, SHUFFLED)
    before = stamps(rows.documents.summary.files)
    progress.expect(rows.documents.summary.bytes)
    with tasks_ended(spark):
        with explained(), progress.stage("count", rows.documents.summary.rows):
            plan, nulls = make_plan(spark, rows, settings, before)
        notes = read_notes(folder)
        is_other = any(note.plan != plan.fingerprint for note in notes.values())
        if is_other and not overwrite:
            raise UserError(
                f"{folder}: holds shards made from other token rows or settings; choose another folder, or "
                f"{argument('overwrite', True)}"
            )
        _refuse_strangers(folder, plan, notes, overwrite)
    _refuse_unseen(spark, rows, folder)
    with _alone_in(folder), tasks_ended(spark):
        if read_notes(folder) != notes:
            raise UserError(f"{folder}: another run has just written shards there; run again")
        if is_other:
            for file in notes:
                delete_file(join_path(folder, file))
                delete_file(note_path(folder, file))
            delete_file(join_path(folder, MANIFEST))
            notes = {}
        entries = _complete(spark, rows, settings, plan, notes, folder, progress)
        source = [file.path for file in rows.documents.summary.files]
        content = manifest.build(
            source,
            settings,
            plan,
            entries,
            [*rows.warnings, *_tell_nulls(rows, nulls)],
            rows.listing.left_out,
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

    On S3 the run's heartbeat keeps others out, and a file appears when its upload has ended; the parts of one that a
    killed run has begun are known by that heartbeat (`sparkprep clean`).
    """
    notes = join_path(folder, NOTES)
    make_folder(notes)
    if not is_local(folder):
        with Heartbeat(notes, alone=True):
            yield
        return
    with held(folder, os.path.join(notes, _LOCK), f"choose another {argument('output')}") as is_held:
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
    """Write the shards that are not in the folder whole; return the entries of all.

    The manifest goes only where a shard must be made, and when a note tells of each that is whole: whenever the run is
    killed, the next one knows these.
    """
    with progress.stage("check") as stage:
        planned = {shard.file for shard in plan.shards}
        entries = sound_entries(folder, {file: note for file, note in notes.items() if file in planned})
        stage.bytes = 2 * sum(entry.tokens for entry in entries)
    missing = [shard for shard in plan.shards if shard.index not in {entry.index for entry in entries}]
    if missing:
        write_notes(folder, plan, entries)
        delete_file(join_path(folder, MANIFEST))
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
    pieces = range(len(rows.documents.pieces))
    parts = min(cores(spark), max(1, (len(pieces) << bits) // COUNTS_PER_TASK))

    def count(number: int) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        counts = np.zeros((1 << bits) + 1, np.int64)  # tokens of each bucket, and last the rows of null
        for batch in rows.batches(number, settings.seed):
            np.add.at(counts, buckets_at(batch.places, bits), batch.lengths)
            counts[-1] += batch.nulls
        yield from enumerate(np.array_split(counts, parts))

    def add_up(part: int, counts: Iterator[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
        return [reduce(np.add, counts)]

    counts = np.concatenate(shuffle(spark, pieces, count, parts, add_up) or [np.zeros((1 << bits) + 1, np.int64)])
    content = [source, rows.tokens_column, rows.id_column]
    return planning.make(counts[:-1], rows.documents.summary.rows, settings, content), int(counts[-1])


def _tell_nulls(rows: TokenRows, nulls: int) -> list[str]:
    """Return a warning where tokens are null: a step before this one may have failed."""
    what = f"{nulls:,} {'row has' if nulls == 1 else 'rows have'} null in column {rows.tokens_column!r}"
    return [f"{what}: written as {'a document' if nulls == 1 else 'documents'} without tokens"] if nulls else []


def _write(
    spark: SparkSession, rows: TokenRows, settings: ShardSettings, plan: ShardPlan, missing: list[Shard], folder: str
) -> list[Entry]:
    """Write the missing shards, each in a task of its own."""
    targets = Targets.of(plan, missing)

    def send(number: int) -> Iterator[tuple[int, bytes]]:
        return packed(rows.batches(number, settings.seed), targets, plan.bucket_bits)

    def write(place: int, blobs: Iterator[bytes]) -> list[Entry]:
        ordered = sort(pa.ipc.read_record_batch(blob, PLACED) for blob in blobs)
        return [write_shard(ordered, plan, missing[place], folder, rows.dtype)]

    return shuffle(spark, range(len(rows.documents.pieces)), send, len(missing), write)


def _refuse_strangers(folder: str, plan: ShardPlan, notes: Mapping[str, Note], overwrite: bool) -> None:
    """Refuse shards of our names of which nothing is noted: a trainer's glob would take them for ours.

    Those that bear the name of a shard to be made may be replaced with `overwrite`.
    """
    name = re.escape(plan.shards[0].file.removesuffix("_val_000000.bin"))
    planned = {shard.file for shard in plan.shards}
    for file in file_names(folder):
        if file in notes or (file in planned and overwrite):
            continue
        if file in planned or re.fullmatch(rf"{name}_(val|train)_\d{{6}}\.bin", file):
            or_replace = f", or pass {argument('overwrite', True)} to replace it" if file in planned else ""
            raise UserError(
                f"{join_path(folder, file)}: a shard of this name that is not of this run; move it away{or_replace}"
            )
