"""Numbered tasks: Spark hands out numbers, and each task reads, computes and writes what its number stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

Task = Callable[[int], Iterator[pa.RecordBatch]]
"""What a number's task yields."""


def run_tasks(spark: SparkSession, numbers: list[int] | range, task: Task, schema: str) -> DataFrame:
    """Return a DataFrame of what `task` yields for each of the numbers, every one in a partition of its own.

    schema: in Spark's words, that of the batches. Of no numbers, a DataFrame without rows.
    """
    count = len(numbers)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for place in batch.column(0).to_pylist():
                yield from task(numbers[place])

    return spark.range(0, count, 1, numPartitions=max(1, count)).mapInArrow(run, schema)
