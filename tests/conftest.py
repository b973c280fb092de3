"""What every test may use: one Spark session for the whole run, and how hypothesis behaves."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from pyspark import SparkContext
from pyspark.sql import SparkSession

from sparkprep.session import get_session

# A shared machine may stop for a second at any moment, so no deadlines. In CI the same examples on every run: a
# failure there must come from the change.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A session on two cores. At the end its JVM is gone, and with it the Python workers."""
    session = get_session(
        "tests", {"spark.driver.memory": "2g", "spark.sql.shuffle.partitions": "2"}, master="local[2]"
    )
    jvm = SparkContext._gateway.proc
    yield session
    session.stop()
    jvm.stdin.close()  # PySpark's JVM lives until this pipe ends
    jvm.wait(timeout=60)
