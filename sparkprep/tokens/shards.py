"""Token rows -> llm.c shards, written by the executors in parallel: looked at, counted, planned, written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkprep.documents.keys import quoted
from sparkprep.documents.parquet.damage import why_spark_died
from sparkprep.documents.parquet.reading import stored_schema
from sparkprep.documents.parquet.schemas import plain_type
from sparkprep.errors import UserError
from sparkprep.io.files import (
    cause,
    delete_file,
    delete_folder,
    file_names,
    make_folder,
    write_text,
)
from sparkprep.io.listing import PARQUET, DataFile, list_input, stamps
from sparkprep.io.paths import filesystem, join_path, normalise, spark_uri
from sparkprep.spark.failures import explained
from sparkprep.spark.preflight import preflight
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import spark_conf
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from sparkprep.tokens import manifest
from sparkprep.tokens import plan as planning
from sparkprep.tokens.manifest import ENTRY, MANIFEST, NOTES, Entry, Note, note_path, read_notes, sound_entries
from sparkprep.tokens.plan import Shard, ShardPlan
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.writing import write_shards

BATCH_ROWS = 2000
BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class TokenRows:
    """Token rows as they lie.

    columns: those in use, with plain types. is_list: whether the tokens are lists of numbers rather than binary.
    counted: whether a column `count` of ours says how many a row has. tokens_about: of all rows, end-of-text included,
    estimated from the footers. largest_row_group: bytes of the tokens, uncompressed, in the row group where they are
    most. warnings: what is to be told of the input.
    """

    files: list[DataFile]
    columns: pa.Schema
    tokens_column: str
    id_column: str | None
    is_list: bool
    counted: bool
    rows: int
    tokens_about: int
    largest_row_group: int
    warnings: tuple[str, ...]


def summarise(paths: Sequence[str], tokens_column: str, id_column: str) -> TokenRows:
    """Read the footers of token rows and return what they tell.

    Raises UserError for what holds no token rows, with the columns there are.
    """
    listing = list_input(paths)
    files = listing.files
    if files[0].format != PARQUET:
        raise UserError(f"{files[0].path}: token rows are Parquet; run `sparkprep tokenize` on documents first")
    rows, bytes_of_groups = 0, list[list[int]]()
    first: pa.Schema | None = None
    for file in files:
        system, inner = filesystem(file.path)
        try:
            footer = pq.read_metadata(inner, filesystem=system)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{file.path}: not a sound Parquet file: {cause(error)}") from error
        schema = footer.schema.to_arrow_schema()
        first = first or schema
        _check_columns(file.path, schema, tokens_column)
        leaf = next(i for i in range(footer.num_columns) if footer.schema.column(i).path.split(".")[0] == tokens_column)
        rows += footer.num_rows
        groups = [footer.row_group(g) for g in range(footer.num_row_groups)]
        bytes_of_groups.append([group.column(leaf).total_uncompressed_size for group in groups])
    assert first is not None
    kind = first.field(tokens_column).type
    is_list = not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
    has_count = "count" in first.names and pa.types.is_int64(first.field("count").type)
    named = {tokens_column, id_column, "count"}
    return TokenRows(
        files=files,
        columns=pa.schema([pa.field(each.name, plain_type(each.type)) for each in first if each.name in named]),
        tokens_column=tokens_column,
        id_column=id_column if id_column in first.names else None,
        is_list=is_list,
        counted=not is_list and tokens_column == "tokens" and has_count,
        rows=rows,
        tokens_about=sum(sum(groups) // 2 for groups in bytes_of_groups) + rows,
        largest_row_group=max(chain.from_iterable(bytes_of_groups), default=0),
        warnings=tuple(listing.warnings),
    )


def _check_columns(path: str, schema: pa.Schema, tokens_column: str) -> None:
    if tokens_column not in schema.names:
        raise UserError(
            f"{path}: no column {tokens_column!r}; columns there are: {', '.join(schema.names)}; "
            "name it with --tokens-column"
        )
    kind = schema.field(tokens_column).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or (is_list and pa.types.is_integer(kind.value_type))
    ):
        hint = (
            "run `sparkprep tokenize` on it first" if pa.types.is_string(kind) else "name another with --tokens-column"
        )
        raise UserError(f"{path}: column {tokens_column!r} is {kind}, not lists of numbers or binary; {hint}")


def _place(spark: SparkSession, rows: TokenRows, seed: int, bits: int) -> DataFrame:
    """Return the rows with `place` (their order), `bucket` and `length` (tokens, end-of-text included)."""
    tokens = F.col(quoted(rows.tokens_column))
    schema = stored_schema(spark, rows.files[0].path, rows.columns)
    frame = spark.read.schema(schema).parquet(*(spark_uri(file.path) for file in rows.files))
    name = F.col(quoted(rows.id_column)) if rows.id_column else tokens
    place = F.xxhash64(F.lit(seed), name)
    # The hash is signed: with its first bit turned over, the buckets stand in the hash's own order.
    bucket = F.shiftrightunsigned(place.bitwiseXOR(F.lit(-(1 << 63))), 64 - bits).cast("int")
    length = F.coalesce(F.col("count"), F.lit(0)) if rows.counted else _length(tokens, rows.is_list)
    return frame.select(
        name.alias("name"),
        tokens.alias("tokens"),
        place.alias("place"),
        bucket.alias("bucket"),
        (length + 1).cast("long").alias("length"),
    )


def _length(tokens: Column, is_list: bool) -> Column:
    """Return the number of tokens of a row without an end-of-text at either end."""
    if is_list:
        size = F.size(tokens)
        starts = (size > 0) & (F.get(tokens, F.lit(0)) == END_OF_TEXT)
        ends = (size > F.when(starts, 1).otherwise(0)) & (F.get(tokens, size - 1) == END_OF_TEXT)
    else:
        size = (F.octet_length(tokens) / 2).cast("long")
        mark = F.lit(END_OF_TEXT.to_bytes(2, "little"))
        starts = F.substring(tokens, 1, 2) == mark
        ends = (size > F.when(starts, 1).otherwise(0)) & (F.substring(tokens, -2, 2) == mark)
    count = size - F.when(starts, 1).otherwise(0) - F.when(ends, 1).otherwise(0)
    return F.when(tokens.isNull(), 0).otherwise(count)


def make_plan(spark: SparkSession, rows: TokenRows, settings: ShardSettings) -> ShardPlan:
    """Count the tokens of each bucket and lay the shards over them. Only the buckets' table comes to the driver."""
    bits = planning.bucket_bits(rows.tokens_about, settings.shard_tokens)
    placed = _place(spark, rows, settings.seed, bits)
    table = (
        placed.groupBy("bucket").agg(F.sum("length").alias("length"), F.count(F.lit(1)).alias("documents")).collect()
    )
    counts, documents = np.zeros(1 << bits, np.int64), 0
    for bucket, length, number in table:
        counts[bucket] = length
        documents += number
    source = [stamps(rows.files), rows.tokens_column, rows.id_column]
    return planning.make(counts, documents, settings, source)


def make_shards(
    spark: SparkSession,
    paths: Sequence[str],
    folder: str,
    settings: ShardSettings,
    progress: Progress,
    *,
    tokens_column: str = "tokens",
    id_column: str = "id",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the shards of these token rows to a folder, those that are not there yet, and its manifest; return that.

    Raises UserError where the folder holds shards made from something else (without `overwrite`, which deletes them).
    """
    folder = normalise(folder)
    preflight(spark)
    rows = summarise(paths, tokens_column, id_column)

    def why_died() -> UserError | None:
        columns = [rows.tokens_column, *([rows.id_column] if rows.id_column else [])]
        return why_spark_died(rows.files, columns, rows.largest_row_group, "tokens")

    paths_read = [file.path for file in rows.files]
    with explained(paths_read, why_died), progress.stage("count", rows.rows):
        plan = make_plan(spark, rows, settings)
    notes = read_notes(folder)
    if any(note.plan != plan.fingerprint for note in notes.values()):
        if not overwrite:
            raise UserError(
                f"{folder}: holds shards made from other token rows or settings; choose another folder, or --overwrite"
            )
        for file in notes:
            delete_file(join_path(folder, file))
            delete_file(note_path(folder, file))
        notes = {}
    _refuse_strangers(folder, plan, notes)
    delete_file(join_path(folder, MANIFEST))
    make_folder(join_path(folder, NOTES))
    with progress.stage("check") as stage:
        planned = {shard.file for shard in plan.shards}
        entries = sound_entries(folder, {file: note for file, note in notes.items() if file in planned})
        stage.bytes = 2 * sum(entry.tokens for entry in entries)
    missing = [shard for shard in plan.shards if shard.index not in {entry.index for entry in entries}]
    if missing:
        size = 2 * sum(shard.tokens for shard in missing)
        with progress.stage("write", plan.documents, size), explained(paths_read, why_died):
            entries += _write(spark, rows, settings, plan, missing, folder)
    entries.sort(key=lambda entry: entry.index)
    content = manifest.build(paths_read, settings, plan, entries, rows.warnings)
    write_text(join_path(folder, MANIFEST), json.dumps(content, indent=1) + "\n")
    delete_folder(join_path(folder, NOTES))
    return content


def _write(
    spark: SparkSession, rows: TokenRows, settings: ShardSettings, plan: ShardPlan, missing: list[Shard], folder: str
) -> list[Entry]:
    """Write the missing shards, each in a task of its own."""
    tasks, places = _task_numbers(spark, [shard.index for shard in missing]), []
    for shard in missing:
        first, last = plan.buckets_of(shard)
        places += [(bucket, shard.index, tasks[shard.index]) for bucket in range(first, last + 1)]
    table = spark.createDataFrame(places, "bucket int, shard int, task int")
    placed = _place(spark, rows, settings.seed, plan.bucket_bits).join(F.broadcast(table), "bucket")
    ordered = placed.repartition(len(missing), "task").sortWithinPartitions("shard", "place", "name", "tokens")
    mean = 2 * plan.tokens / plan.documents
    batch = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(max(1, min(BATCH_ROWS, int(BATCH_BYTES // mean))))}
    with spark_conf(spark, batch):
        work = partial(write_shards, plan=plan, folder=folder)
        written = ordered.select("shard", "bucket", "tokens").mapInArrow(work, ENTRY).collect()  # a row for each shard
    return [Entry(**row.asDict()) for row in written]


def _task_numbers(spark: SparkSession, indices: list[int]) -> dict[int, int]:
    """Return for each shard a number that Spark's hash partitioning sends to a task of its own."""
    tasks = len(indices)
    tried = spark.range(0, max(64, 24 * tasks * math.ceil(math.log2(tasks + 1)))).select(
        F.col("id").cast("int").alias("number")
    )
    by_task = tried.groupBy(F.pmod(F.hash("number"), F.lit(tasks)).alias("task")).agg(F.min("number").alias("number"))
    numbers = sorted((row["task"], row["number"]) for row in by_task.collect())
    return {index: numbers[place % len(numbers)][1] for place, index in enumerate(indices)}


def _refuse_strangers(folder: str, plan: ShardPlan, notes: Mapping[str, Note]) -> None:
    """Refuse shards of our names of which nothing is noted: a trainer's glob would take them for ours."""
    name = re.escape(plan.shards[0].file.removesuffix("_val_000000.bin"))
    planned = {shard.file for shard in plan.shards}
    for file in file_names(folder):
        if re.fullmatch(rf"{name}_(val|train)_\d{{6}}\.bin", file) and file not in planned and file not in notes:
            raise UserError(f"{join_path(folder, file)}: a shard of this name that is not of this run; move it away")
