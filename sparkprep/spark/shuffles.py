"""How many bytes the Spark jobs of a block of work have put into shuffles, as Spark itself has counted them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

_UNKNOWN = (Py4JError, PySparkException, AttributeError)
"""What is raised where there is nobody to ask, as over Spark Connect, or where Spark has forgotten."""


@contextmanager
def shuffled_bytes(spark: SparkSession) -> Iterator[Callable[[], int | None]]:
    """Yield what returns the bytes that the jobs of the block, so far, have written into shuffles, as they were packed.

    It returns None where that is not known: Spark keeps a record of its last thousand jobs and stages.
    """
    tag = f"sparkprep-{uuid.uuid4().hex}"
    try:
        spark.sparkContext.addJobTag(tag)
    except _UNKNOWN:
        yield lambda: None
        return
    try:
        yield lambda: _written(spark, tag)
    finally:
        spark.sparkContext.removeJobTag(tag)


def _written(spark: SparkSession, tag: str) -> int | None:
    try:
        context = spark.sparkContext._jsc.sc()
        context.listenerBus().waitUntilEmpty()  # Spark's record follows in the background
        record = context.statusStore()
        stages: set[int] = set()
        for job in context.statusTracker().getJobIdsForTag(tag):
            ids = record.job(job).stageIds()
            stages.update(ids.apply(place) for place in range(ids.size()))
        return sum(int(record.lastStageAttempt(stage).shuffleWriteBytes()) for stage in stages)
    except _UNKNOWN:
        return None
