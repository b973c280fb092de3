"""Token rows -> llm.c shards, written by the executors in parallel: the stages, the manifest, the check of a folder."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkprep import __version__
from sparkprep.documents.keys import quoted
from sparkprep.errors import UserError
from sparkprep.io.files import (
    cause,
    delete_file,
    delete_folder,
    exists,
    file_names,
    make_folder,
    open_input,
    write_text,
)
from sparkprep.io.listing import PARQUET, DataFile, list_files, stamps
from sparkprep.io.paths import filesystem, join_path, normalise, spark_uri
from sparkprep.llmc import shard as shard_format
from sparkprep.spark.failures import explained
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import spark_conf
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, SHA256
from sparkprep.tokens import plan as planning
from sparkprep.tokens.plan import Plan, Shard
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.writing import PROGRESS, WRITTEN, Written, write_shards

MANIFEST = "manifest.json"
BATCH_ROWS = 2000
BATCH_BYTES = 16 << 20
HASHERS = 4


@dataclass(frozen=True)
class TokenRows:
    """Token rows as they lie. counted: whether a column `count` of ours says how many tokens a row has."""

    files: list[DataFile]
    tokens_column: str
    id_column: str | None
    is_list: bool
    counted: bool
    rows: int
    tokens_about: int


def inspect(paths: Sequence[str], tokens_column: str, id_column: str) -> TokenRows:
    """Look at the footers. Raises UserError for what holds no token rows, with the columns there are."""
    files = list_files(paths)
    if files[0].format != PARQUET:
        raise UserError(f"{files[0].path}: token rows are Parquet; run `sparkprep tokenize` on documents first")
    rows = about = 0
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
        about += (
            sum(footer.row_group(g).column(leaf).total_uncompressed_size for g in range(footer.num_row_groups)) // 2
        )
    assert first is not None
    kind = first.field(tokens_column).type
    is_list = not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
    return TokenRows(
        files,
        tokens_column,
        id_column if id_column in first.names else None,
        is_list,
        not is_list
        and tokens_column == "tokens"
        and "count" in first.names
        and pa.types.is_int64(first.field("count").type),
        rows,
        about + rows,
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


def _placed(spark: SparkSession, rows: TokenRows, seed: int, bits: int) -> DataFrame:
    """The rows with `place` (their order), `bucket` and `length` (tokens, end-of-text included)."""
    tokens = F.col(quoted(rows.tokens_column))
    frame = spark.read.parquet(*(spark_uri(file.path) for file in rows.files))
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
    """Tokens of a row without an end-of-text at either end."""
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


def make_plan(spark: SparkSession, rows: TokenRows, settings: ShardSettings) -> Plan:
    """Count the tokens of each bucket and lay the shards over them. Only the buckets' table comes to the driver."""
    bits = planning.bucket_bits(rows.tokens_about, settings.shard_tokens)
    placed = _placed(spark, rows, settings.seed, bits)
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
    """Write the shards of these token rows to a folder, those that are not there yet, and its manifest; returns that.

    Raises UserError where the folder holds shards made from something else (without `overwrite`, which deletes them).
    """
    folder = normalise(folder)
    rows = inspect(paths, tokens_column, id_column)
    with progress.stage("count", rows.rows):
        plan = make_plan(spark, rows, settings)
    make_folder(join_path(folder, PROGRESS))
    known = _known(folder)
    if any(entry["plan"] != plan.fingerprint for entry in known.values()):
        if not overwrite:
            raise UserError(
                f"{folder}: holds shards made from other token rows or settings; choose another folder, or --overwrite"
            )
        for file in known:
            delete_file(join_path(folder, file))
            delete_file(join_path(folder, PROGRESS, f"{file}.json"))
        known = {}
    _refuse_strangers(folder, plan, known)
    delete_file(join_path(folder, MANIFEST))
    with progress.stage("check") as stage:
        done = _sound(folder, plan, known)
        stage.bytes = 2 * sum(written.tokens for written in done)
    missing = [shard for shard in plan.shards if shard.index not in {written.index for written in done}]
    if missing:
        size = 2 * sum(shard.tokens for shard in missing)
        with progress.stage("write", plan.documents, size), explained([file.path for file in rows.files]):
            done += _write(spark, rows, settings, plan, missing, folder)
    manifest = _manifest(rows, settings, plan, sorted(done, key=lambda written: written.index))
    write_text(join_path(folder, MANIFEST), json.dumps(manifest, indent=1) + "\n")
    delete_folder(join_path(folder, PROGRESS))
    return manifest


def _write(
    spark: SparkSession, rows: TokenRows, settings: ShardSettings, plan: Plan, missing: list[Shard], folder: str
) -> list[Written]:
    tasks, wanted = _task_numbers(spark, [shard.index for shard in missing]), []
    for shard in missing:
        first, last = plan.buckets_of(shard)
        wanted += [(bucket, shard.index, tasks[shard.index]) for bucket in range(first, last + 1)]
    table = spark.createDataFrame(wanted, "bucket int, shard int, task int")
    placed = _placed(spark, rows, settings.seed, plan.bucket_bits).join(F.broadcast(table), "bucket")
    ordered = placed.repartition(len(missing), "task").sortWithinPartitions("shard", "place", "name", "tokens")
    mean = 2 * plan.tokens / plan.documents
    batch = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(max(1, min(BATCH_ROWS, int(BATCH_BYTES // mean))))}
    with spark_conf(spark, batch):
        work = partial(write_shards, plan=plan, folder=folder)
        found = ordered.select("shard", "bucket", "tokens").mapInArrow(work, WRITTEN).collect()  # a row for each shard
    return [Written(**row.asDict()) for row in found]


def _task_numbers(spark: SparkSession, indices: list[int]) -> dict[int, int]:
    """For each shard a number that Spark's hash partitioning sends to a task of its own."""
    tasks = len(indices)
    tried = spark.range(0, max(64, 24 * tasks * math.ceil(math.log2(tasks + 1)))).select(
        F.col("id").cast("int").alias("number")
    )
    by_task = tried.groupBy(F.pmod(F.hash("number"), F.lit(tasks)).alias("task")).agg(F.min("number").alias("number"))
    numbers = sorted((row["task"], row["number"]) for row in by_task.collect())
    return {index: numbers[place % len(numbers)][1] for place, index in enumerate(indices)}


def _known(folder: str) -> dict[str, dict[str, Any]]:
    """What manifest and progress files tell of the shards in a folder: file -> its fields and its plan."""
    known: dict[str, dict[str, Any]] = {}
    manifest = join_path(folder, MANIFEST)
    if exists(manifest):
        told = _json(manifest)
        for entry in told["shards"]:
            known[entry["file"]] = {**{k: entry[k] for k in Written.__dataclass_fields__}, "plan": told["plan"]}
    for path in file_names(join_path(folder, PROGRESS)):
        if path.endswith(".json"):
            entry = _json(join_path(folder, PROGRESS, path))
            known[entry["file"]] = entry
    return known


def _json(path: str) -> Any:
    with open_input(path) as stream:
        content = stream.read()
    try:
        return json.loads(content)
    except ValueError as error:
        raise UserError(
            f"{path}: not sound JSON ({error}); delete it, or take --overwrite on another folder"
        ) from error


def _refuse_strangers(folder: str, plan: Plan, known: dict[str, Any]) -> None:
    """Shards of our names of which nothing is known: a trainer's glob would take them for ours."""
    name = re.escape(plan.shards[0].file.removesuffix("_val_000000.bin"))
    mine = {shard.file for shard in plan.shards}
    for file in file_names(folder):
        if re.fullmatch(rf"{name}_(val|train)_\d{{6}}\.bin", file) and file not in mine and file not in known:
            raise UserError(f"{join_path(folder, file)}: a shard of this name that is not of this run; move it away")


def _sound(folder: str, plan: Plan, known: dict[str, dict[str, Any]]) -> list[Written]:
    """Those shards of the plan that lie in the folder whole: their SHA-256 is what was noted when they were written."""
    fields = {shard.file: shard for shard in plan.shards}
    notes = [
        Written(**{k: entry[k] for k in Written.__dataclass_fields__})
        for file, entry in known.items()
        if file in fields
    ]
    with ThreadPoolExecutor(HASHERS) as pool:
        right = list(pool.map(lambda note: sha256(join_path(folder, note.file)) == note.sha256, notes))
    return [note for note, is_right in zip(notes, right, strict=True) if is_right]


def sha256(path: str) -> str | None:
    """Of a file; None where there is none."""
    if not exists(path):
        return None
    digest = hashlib.sha256()
    with open_input(path) as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _manifest(rows: TokenRows, settings: ShardSettings, plan: Plan, written: list[Written]) -> dict[str, Any]:
    first = {shard.index: shard for shard in plan.shards}
    return {
        "format": "llm.c token shards, uint16, GPT-2",
        "tokens": plan.tokens,
        "documents": plan.documents,
        "shards": [{"split": first[w.index].split, "first_token": first[w.index].first, **asdict(w)} for w in written],
        "settings": asdict(settings),
        "source": [file.path for file in rows.files],
        "order": "xxhash64(seed, id), as signed 64-bit numbers; ties by id, then by tokens",
        "vocabulary_sha256": SHA256,
        "sparkprep": __version__,
        "plan": plan.fingerprint,
    }


def verify(folder: str) -> dict[str, Any]:
    """Check every shard of a folder against its manifest: header, size, SHA-256, tokens, documents; the manifest.

    Raises UserError that names the first file that is wrong.
    """
    path = join_path(normalise(folder), MANIFEST)
    if not exists(path):
        raise UserError(f"{folder}: no {MANIFEST}: the shards are not finished; run `sparkprep shards` again")
    manifest = _json(path)
    with ThreadPoolExecutor(HASHERS) as pool:
        list(pool.map(lambda entry: _verify_one(join_path(folder, entry["file"]), entry), manifest["shards"]))
    total = sum(entry["tokens"] for entry in manifest["shards"])
    begun = sum(entry["documents"] for entry in manifest["shards"])
    if (total, begun) != (manifest["tokens"], manifest["documents"]):
        raise UserError(f"{path}: its shards hold {total:,} tokens of {begun:,} documents, which is not what it says")
    return dict(manifest)


def _verify_one(path: str, entry: dict[str, Any]) -> None:
    cure = "delete it and run `sparkprep shards` again, which makes what is missing"
    if not exists(path):
        raise UserError(f"{path}: missing; {cure}")
    header = shard_format.read_header(path)
    digest = hashlib.sha256()
    documents, greatest = 0, 0
    with open_input(path) as stream:
        digest.update(stream.read(shard_format.HEADER_BYTES))
        while block := stream.read(1 << 22):
            digest.update(block)
            tokens = np.frombuffer(block, "<u2")
            documents += int((tokens == END_OF_TEXT).sum())
            greatest = max(greatest, int(tokens.max()))
    if header.tokens != entry["tokens"] or digest.hexdigest() != entry["sha256"]:
        raise UserError(f"{path}: not the file that the manifest tells of (other tokens or SHA-256); {cure}")
    if greatest > END_OF_TEXT or documents != entry["documents"]:
        raise UserError(
            f"{path}: holds {documents:,} documents and token {greatest}, not what the manifest tells; {cure}"
        )
