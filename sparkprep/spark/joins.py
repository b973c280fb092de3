"""Joins that bring no table to the driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_LIMITS = ("spark.sql.autoBroadcastJoinThreshold", "spark.sql.adaptive.autoBroadcastJoinThreshold")


@contextmanager
def joins_by_shuffle(spark: SparkSession) -> Iterator[None]:
    """Let the joins of the block shuffle both sides, whatever Spark takes their sizes for.

    Else it collects a side that it holds to be small, to hand it to all tasks. Of a table that tasks read
    (`tasks.run_tasks`) it knows nothing but the numbers that they are handed, and so holds each to be small: beyond the
    driver's budget, tables that grow with the documents would come to the driver.
    """
    before = {name: spark.conf.get(name, None) for name in _LIMITS}  # None: it is not set
    for name in _LIMITS:
        spark.conf.set(name, "-1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, value)
