"""One finished run for all that is asked of it."""

import audited
import pytest
from audited import Audited
from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def audited_run(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audited.make(spark, tmp_path_factory.mktemp("audited"))
