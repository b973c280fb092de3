"""Joins by shuffle: no table comes to the driver, and the session is left as it was."""

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparkprep.spark.joins import joins_by_shuffle
from sparkprep.spark.tasks import run_tasks

LIMIT = "spark.sql.autoBroadcastJoinThreshold"


def plan_of_join(spark: SparkSession) -> str:
    """How Spark would join two tables that tasks read, of which it knows no size."""
    left, right = (
        run_tasks(spark, range(4), lambda number: iter([pa.RecordBatch.from_pydict({"k": [number]})]), "k long")
        for _ in range(2)
    )
    return str(left.join(right, "k")._jdf.queryExecution().executedPlan().toString())


def test_a_table_of_unknown_size_is_not_taken_for_a_small_one(spark: SparkSession) -> None:
    assert "Broadcast" in plan_of_join(spark), "what it is there against"
    with joins_by_shuffle(spark):
        assert "Broadcast" not in plan_of_join(spark)


def test_the_session_is_left_as_it_was(spark: SparkSession) -> None:
    before = spark.conf.get(LIMIT)
    try:
        spark.conf.set(LIMIT, "12345")
        with pytest.raises(ValueError, match="of the block"), joins_by_shuffle(spark):
            raise ValueError("of the block")
        assert spark.conf.get(LIMIT) == "12345"
        assert spark.conf.get("spark.sql.adaptive.autoBroadcastJoinThreshold", None) is None
    finally:
        spark.conf.set(LIMIT, before)
