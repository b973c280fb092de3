"""Numbered tasks: Spark hands out numbers, and each task reads, computes and writes what its number stands for.

`run` and `shuffle` go through Spark's oldest interface, in which it neither plans a query nor compiles one: in a JVM
that has just started, the first query alone costs more than all tasks of a small input together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

Task = Callable[[int], Iterator[pa.RecordBatch]]
"""What a number's task yields."""

T = TypeVar("T")
V = TypeVar("V")


def run(spark: SparkSession, numbers: Sequence[int], task: Callable[[int], Iterable[T]]) -> list[T]:
    """Run a task for each of the numbers and return all that they yield, in the order of the numbers.

    What tasks yield is small: it comes to the driver.
    """
    if not numbers:
        return []
    places = spark.sparkContext.parallelize(range(len(numbers)), len(numbers))
    return places.mapPartitions(lambda mine: (each for place in mine for each in task(numbers[place]))).collect()


def shuffle(
    spark: SparkSession,
    numbers: Sequence[int],
    task: Callable[[int], Iterable[tuple[int, V]]],
    reducers: int,
    finish: Callable[[int, Iterator[V]], Iterable[T]],
) -> list[T]:
    """Run a task for each of the numbers, bring what they yield, (reducer, value), together by reducer, and run
    `finish` for each of the `reducers`; return all that these yield, in their order.

    A task should yield few and large values: each costs as much as a row of Spark. The values of a reducer come in no
    particular order.
    """
    if not numbers:
        return []
    places = spark.sparkContext.parallelize(range(len(numbers)), len(numbers))
    sent = places.mapPartitions(lambda mine: (each for place in mine for each in task(numbers[place])))
    together = sent.partitionBy(reducers, int)
    return together.mapPartitionsWithIndex(
        lambda number, pairs: finish(number, (value for _, value in pairs))
    ).collect()


def run_tasks(spark: SparkSession, numbers: Sequence[int], task: Task, schema: str) -> DataFrame:
    """Return a DataFrame of what `task` yields for each of the numbers, every one in a partition of its own.

    schema: in Spark's words, that of the batches. Of no numbers, a DataFrame without rows.
    """
    count = len(numbers)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for place in batch.column(0).to_pylist():
                yield from task(numbers[place])

    return spark.range(0, count, 1, numPartitions=max(1, count)).mapInArrow(run, schema)
