"""A cluster that gives no executor is told of after a declared time, and a disk that is too small before the work."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import s3_buckets
from checkout import ROOT
from cluster_start import PACKAGES, _class, _daemon, _told
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark import room
from sparkprep.spark.executors import first_answer
from sparkprep.spark.room import room_warnings

_JOB = """\
import sys
from sparkprep.errors import UserError
from sparkprep.spark.preflight import preflight
from sparkprep.spark.session import get_session
settings = {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.executor.memory": "1g"}
spark = get_session("none", settings, master=sys.argv[1])
try:
    preflight(spark)
except UserError as error:
    print("told:", error)
spark.stop()
"""


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A Spark master without any worker, and where its files lie."""
    root = tmp_path_factory.mktemp("master")
    with _daemon(_class("master.Master", PACKAGES), root, root / "log") as process:
        yield _told(r"Starting Spark master at (spark://\S+)", root / "log", process)[0], root


@pytest.mark.slow
@pytest.mark.parametrize("memory", [None, "512m"])
def test_a_cluster_that_can_place_no_executor_is_told_of(master: tuple[str, Path], memory: str | None) -> None:
    address, root = master
    with ExitStack() as running:
        if memory is not None:
            worker = [*_class("worker.Worker", PACKAGES), "--cores", "1", "--memory", memory, address]
            log = root / "worker"
            _told("Successfully registered with master", log, running.enter_context(_daemon(worker, root, log)))
        start = time.monotonic()
        done = subprocess.run(
            ["env", "SPARKPREP_EXECUTOR_WAIT=4", sys.executable, "-c", _JOB, address],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert f"told: no executor came up within 4 seconds: {address} was asked for executors of 1g; " in done.stdout
    assert "SPARKPREP_EXECUTOR_WAIT=3600" in done.stdout
    assert time.monotonic() - start < 60


_ASK = """\
import os, sys
from sparkprep.errors import UserError
from sparkprep.io.listing import list_files
from sparkprep.spark.preflight import preflight
from sparkprep.spark.session import get_session
from sparkprep.spark.shared import refuse_unseen
settings = {"spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false", "spark.executor.memory": "512m"}
settings |= {"spark.pyspark.python": sys.executable, "spark.executorEnv.PYTHONPATH": os.environ["PYTHONPATH"]}
for name in sys.argv[2:]:
    settings[f"spark.executorEnv.{name}"] = os.environ[name]
spark = get_session("ask", settings, master=sys.argv[1])
try:
    print("free:", int(preflight(spark)["free"]) > 0)
    refuse_unseen(spark, list_files(["s3://bucket/in"]), ["s3://bucket/out.partial-01234567"])
    one = spark.sparkContext.parallelize([0], 1)
    print("payer:", one.map(lambda _: os.environ.get("SPARKPREP_REQUEST_PAYER")).collect())
except UserError as error:
    print("told:", error)
spark.stop()
"""
_AWS = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


@pytest.mark.slow
def test_what_the_driver_reaches_and_a_worker_does_not_is_told(
    master: tuple[str, Path], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, root = master
    s3_buckets.put("in/a.jsonl", '{"text": "x"}')
    monkeypatch.setenv("SPARKPREP_REQUEST_PAYER", "bucket")
    with _daemon(
        [*_class("worker.Worker", PACKAGES), "--cores", "1", "--memory", "1g", address], root, root / "w"
    ) as on:
        _told("Successfully registered with master", root / "w", on)
        alone, told = (
            subprocess.run(
                ["env", f"PYTHONPATH={ROOT}", sys.executable, "-c", _ASK, address, *given],
                capture_output=True,
                text=True,
                timeout=120,
            ).stdout
            for given in ((), _AWS)
        )
    assert "free: True" in alone
    assert f"told: a worker ({socket.gethostname()}) cannot use what the driver can: s3://bucket/in/a.jsonl: " in alone
    assert "no complete AWS credentials found" in alone
    assert told.splitlines() == ["free: True", "payer: ['bucket']"]
    assert set(s3_buckets.objects()) == {"in/a.jsonl"}


def test_a_first_job_that_answers_is_not_held_up_and_one_that_fails_fails_as_it_did(spark: SparkSession) -> None:
    assert first_answer(spark, lambda: spark.sparkContext.parallelize([1, 2], 1).sum()) == 3

    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        first_answer(spark, fail)


def test_a_wait_that_is_no_number_is_named(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKPREP_EXECUTOR_WAIT", "ten")
    with pytest.raises(UserError, match=r"SPARKPREP_EXECUTOR_WAIT=ten is no number of seconds; unset, it is 600"):
        first_answer(spark, lambda: 1)


def test_a_disk_that_is_too_small_is_told_of_and_one_that_holds_nothing_is_refused(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))
    assert room_warnings(spark, {}, 10**6, 0.7) == []
    free = room.shutil.disk_usage(tmp_path).free
    (warning,) = room_warnings(spark, {}, 2 * free, 1.0)
    assert warning.startswith("the disk may become full: about ")
    assert f"are free in {tmp_path} on " in warning
    with pytest.raises(UserError, match=r"no room for the shuffle: about .*: free some, or name a larger disk"):
        room_warnings(spark, {}, 20 * free, 1.0)


def test_of_a_cluster_the_disk_of_a_worker_counts(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "is_local", lambda spark: False)
    assert room_warnings(spark, {"free": "1000", "host": "w"}, 900, 1.0) == []
    (warning,) = room_warnings(spark, {"free": "1000", "host": "w"}, 2000, 1.0)
    assert "2.0 kB are shuffled, and 1.0 kB are free in spark.local.dir of 1 machines like w" in warning
    assert room_warnings(spark, {"free": "", "host": "w"}, 10**15, 1.0) == []
