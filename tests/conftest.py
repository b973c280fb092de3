"""What every test may use: one Spark session for the whole run, a bucket, and how hypothesis behaves."""

import os
import signal
import urllib.request
from collections.abc import Iterator

import pyarrow.fs as pafs
import pytest
from hypothesis import settings
from pyspark import SparkContext
from pyspark.sql import SparkSession
from s3_buckets import server

from sparkprep.spark.session import get_session

# A shared machine may stop for a second at any moment, so no deadlines. In CI the same examples on every run: a
# failure there must come from the change.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A run in the background of a script ignores Ctrl-C, and so would every program that it starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of a server of S3's protocol, for the whole run. Its listings come in pages of 50 keys, not 1,000."""
    with server() as url:
        yield url


@pytest.fixture(scope="module")
def bucket(s3_server: str) -> Iterator[str]:
    """An empty bucket, the only one; variables of the environment say where, as for any AWS client."""
    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/moto-api/reset", method="POST"), timeout=30).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", s3_server)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        pafs.S3FileSystem(endpoint_override=s3_server, allow_bucket_creation=True).create_dir("bucket")
        yield "s3://bucket"
