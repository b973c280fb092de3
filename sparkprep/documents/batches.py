"""How documents travel from Spark to Python: in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from pyspark.sql import SparkSession

from sparkprep.spark.session import spark_conf

LONG_TEXT = 1 << 20
"""Bytes from which a text is handled alone, since Spark counts rows, not bytes, where it fills batches and pages."""
BATCH_BYTES = 32 << 20
BATCH_ROWS = 512


def batch_settings(average_text_bytes: float) -> dict[str, str]:
    """Return Spark settings that keep one batch of texts near BATCH_BYTES, in the JVM's reader as in Arrow.

    `average_text_bytes` is the largest mean text of any row group.
    """
    rows = int(min(BATCH_ROWS, max(1, BATCH_BYTES // max(1.0, average_text_bytes))))
    return {
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(rows),
        "spark.sql.parquet.columnarReaderBatchSize": str(8 * rows if rows > 1 else 1),
    }


def one_by_one() -> dict[str, str]:
    """Return Spark settings for texts of LONG_TEXT and more."""
    return {
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
        "spark.sql.parquet.columnarReaderBatchSize": "1",
    }


class Counts(Protocol):
    """What a scan counted, and how the counts of two scans are added."""

    @property
    def documents(self) -> int: ...

    def __add__(self, other: Self, /) -> Self: ...


C = TypeVar("C", bound=Counts)


def scan_twice(
    spark: SparkSession, average_text_bytes: float, expected: int, short: Callable[[], C], long: Callable[[], C]
) -> C:
    """Scan the texts below LONG_TEXT in batches, then the others one by one; return the counts of both.

    The second scan is made only where the first counted fewer documents than `expected`, all there are: an input
    without long texts is read once. average_text_bytes: the largest mean text of any row group.
    """
    with spark_conf(spark, batch_settings(average_text_bytes)):
        counts = short()
    if counts.documents < expected:
        with spark_conf(spark, one_by_one()):
            counts = counts + long()
    return counts
