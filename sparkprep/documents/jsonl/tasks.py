"""What both passes over JSON Lines share: their settings, a line judged, and numbered tasks as a DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from sparkprep.documents.jsonl.lines import Split, parse, read_lines
from sparkprep.documents.jsonl.max_bad import MaxBad

Task = Callable[[int], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class JsonlSettings:
    """How JSON Lines are read.

    Sizes in bytes: `split_bytes` of a plain file for each task, `line_limit` for the longest line, `batch_bytes` of
    JSON for each Arrow batch handed to Spark (a longer line makes a batch of its own).
    """

    text_column: str = "text"
    max_bad: MaxBad = field(default_factory=MaxBad)
    split_bytes: int = 32 << 20
    line_limit: int = 256 << 20
    batch_bytes: int = 4 << 20


def judge(split: Split, line: bytes, length: int, settings: JsonlSettings) -> tuple[dict[str, Any] | None, str]:
    """Return (record, "") for a document, (None, reason) for a bad line, (None, "") for a blank one."""
    if length <= settings.line_limit and not line.strip():
        return None, ""
    record, why = parse(line, length, settings.text_column, settings.line_limit)
    if record is not None:
        for column, value in split.folder_values.items():
            record.setdefault(column, value)
    return record, why


def records_of(split: Split, settings: JsonlSettings) -> Iterator[tuple[dict[str, Any] | None, str, int]]:
    """Yield (record, reason, bytes) for each line, as `judge` has it; the line itself is let go as early as can be."""
    for line, length in read_lines(split, settings.line_limit):
        yield *judge(split, line, length, settings), length


def mapped(spark: SparkSession, tasks: int, task: Task, schema: pa.Schema) -> DataFrame:
    """Return a DataFrame of what `task` yields for 0..tasks-1, each number in a partition of its own."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from task(number)

    fields = [T.StructField(column.name, spark_type(column.type)) for column in schema]
    return spark.range(0, tasks, 1, numPartitions=tasks).mapInArrow(run, T.StructType(fields))


def spark_type(kind: pa.DataType) -> T.DataType:
    """Return the Spark type of the few Arrow types that JSON columns have."""
    if pa.types.is_struct(kind):
        return T.StructType([T.StructField(part.name, spark_type(part.type)) for part in kind])
    if pa.types.is_list(kind):
        return T.ArrayType(spark_type(kind.value_type))
    simple = {
        pa.string(): T.StringType,
        pa.int64(): T.LongType,
        pa.float64(): T.DoubleType,
        pa.bool_(): T.BooleanType,
        pa.binary(): T.BinaryType,
    }
    result: T.DataType = simple[kind]()
    return result
