"""A failure of Spark: told by its cause in one line, or by the file at which the user can mend it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkprep.errors import UserError
from sparkprep.spark.failures import SPARK_ERRORS, cause_of_failure, explained, tasks_ended
from sparkprep.spark.tasks import run


def test_what_a_worker_died_of_is_told_with_its_file(spark: SparkSession) -> None:
    def failing(batches):  # type: ignore[no-untyped-def]
        for batch in batches:
            yield batch.take([len(batch) + {}["missing"]])

    with pytest.raises(SPARK_ERRORS) as failed:
        spark.range(1).mapInArrow(failing, "id long").collect()
    line = cause_of_failure(failed.value)
    assert line.startswith("KeyError: 'missing' (")
    assert Path(__file__).name in line
    assert "\n" not in line


def test_a_users_mistake_found_by_a_worker_stays_one(spark: SparkSession) -> None:
    def refusing(batches):  # type: ignore[no-untyped-def]
        from sparkprep.errors import UserError

        for _ in batches:
            raise UserError("x.parquet: row 3 holds an orange; peel it")
        yield from ()

    with pytest.raises(UserError, match=r"^x.parquet: row 3 holds an orange; peel it$"), explained():
        spark.range(1).mapInArrow(refusing, "id long").collect()


def test_what_java_fails_of_is_told_without_the_calls_around_it(spark: SparkSession) -> None:
    with pytest.raises(SPARK_ERRORS) as failed:
        spark.range(3).selectExpr("raise_error(concat('row ', cast(id as string)))").collect()
    line = cause_of_failure(failed.value)
    assert "row " in line
    assert "Job aborted" not in line
    assert "\n" not in line


@pytest.fixture
def rewritten(spark: SparkSession, tmp_path: Path) -> Path:
    """A file of Spark's that another program has written anew beside Spark's hidden checksum."""
    spark.range(100).coalesce(1).write.parquet(f"file:{tmp_path}/table")
    (path,) = (tmp_path / "table").glob("part-*.parquet")
    assert path.with_name(f".{path.name}.crc").exists()
    pq.write_table(pa.table({"id": list(range(200, 300))}), path)
    return path


def test_a_stale_checksum_is_named_with_the_file_to_delete(spark: SparkSession, rewritten: Path) -> None:
    with pytest.raises(UserError) as told, explained([str(rewritten)]):
        spark.read.schema("id long").parquet(f"file:{rewritten.parent}").collect()
    assert str(told.value).startswith(f"{rewritten}: does not match its checksum file .{rewritten.name}.crc")
    assert "delete that file" in str(told.value)


@pytest.mark.parametrize("error", [ConnectionRefusedError, ConnectionResetError])
def test_a_death_of_spark_is_told_with_what_to_do(error: type[Exception]) -> None:
    with pytest.raises(UserError, match=r"ran out of memory: .*driver-memory"), explained():
        raise error


def test_a_file_that_spark_cannot_read_is_named(spark: SparkSession, tmp_path: Path) -> None:
    texts = [f"some text {n * n % 977}" for n in range(2000)]
    bad = tmp_path / "bad #1 %41.parquet"
    pq.write_table(pa.table({"text": texts}), bad, use_dictionary=False)
    content = bytearray(bad.read_bytes())
    content[100:2000] = b"\xaa" * 1900
    bad.write_bytes(content)
    with pytest.raises(UserError) as told, explained([str(tmp_path / "good.parquet"), str(bad)]):
        spark.read.schema("text string").parquet(f"file:{tmp_path}").collect()
    assert str(told.value).startswith(f"{bad}: damaged Parquet file (")
    assert str(told.value).endswith("restore it or leave it out")


def test_a_connection_that_is_gone_means_that_java_has_ended() -> None:
    assert cause_of_failure(ConnectionRefusedError(111, "Connection refused")).startswith("its Java process has ended")


@pytest.mark.parametrize(
    ("death", "said"),
    [
        (
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            r"a worker of Spark was killed \(Python worker exited un.*fewer",
        ),
        (lambda: os._exit(7), r"a worker of Spark was killed \(Python worker exited unexpectedly"),
        (
            lambda: os.abort(),
            r"crashed in compiled code \(Fatal Python error: Aborted in .*test_failures\.py, line \d+\)",
        ),
        (lambda: bytearray(1 << 60), r"had no memory left \(MemoryError \(.*test_failures\.py, line \d+\)\): .*fewer"),
    ],
    ids=["kill -9", "exit", "abort", "memory"],
)
def test_a_worker_that_dies_is_told_with_its_own_last_line_and_the_way_out(
    spark: SparkSession, death: Callable[[], object], said: str
) -> None:
    def task(number: int) -> list[int]:
        death()
        return [number]

    with pytest.raises(UserError, match=said) as told, explained():
        run(spark, [0], task)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Job aborted due to stage failure: ... ExecutorLostFailure (executor 3 exited caused by one of the running "
            "tasks) Reason: Container killed by YARN for exceeding physical memory limits. 5 GB of 5 GB used.\nDriver",
            "Spark lost an executor (Container killed by YARN for exceeding physical memory limits. 5 GB of 5 GB used",
        ),
        (
            "x: java.net.SocketException: Broken pipe\n\tat org.apache.spark.api.python.BasePythonRunner$WriterThread",
            "a worker of Spark was killed (java.net.SocketException: Broken pipe)",
        ),
        ("x\nCaused by: java.lang.OutOfMemoryError: Java heap space\n\tat y", "(java.lang.OutOfMemoryError: Java heap"),
        (
            "Job aborted due to stage failure: ... org.apache.spark.SparkException: EOFException occurred while "
            "reading the port number from sparkprep.startup.worker_daemon's stdout and terminated with code: 137.",
            "the process that Spark's Python workers come from was killed, or could not start (EOFException occurred",
        ),
    ],
)
def test_memory_that_was_not_enough_is_told_with_more_of_it(text: str, said: str) -> None:
    from py4j.protocol import Py4JError

    with pytest.raises(UserError) as told, explained():
        raise Py4JError(text)
    assert said in str(told.value)
    assert "Overhead" in str(told.value) or "--driver-memory" in str(told.value)


def test_other_errors_pass() -> None:
    with pytest.raises(OSError, match="elsewhere"), explained():
        raise OSError("elsewhere")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "An error occurred while calling o1.parquet.\n: org.apache.spark.SparkException: Job aborted due to stage "
            "failure: Task 0 in stage 1.0 failed 1 times, most recent failure: Lost task 0.0 in stage 1.0 (TID 1) (host"
            " executor driver): org.apache.spark.SparkException: \nError from python worker:\n  Traceback (most recent "
            'call last):\n    File "/lib/runpy.py", line 196, in _run\n      return x\n    File "/home/u/random.py", '
            "line 3, in <module>\n      oops\n  AttributeError: module 'random' has no attribute 'Random'\n"
            "PYTHONPATH was:\n  /x\norg.apache.spark.SparkException: No port number in daemon's stdout\n",
            "AttributeError: module 'random' has no attribute 'Random' (/home/u/random.py, line 3)",
        ),
        (
            "Job aborted due to stage failure: Task 0 in stage 0.0 failed 1 times, most recent failure: Lost task 0.0 "
            "in stage 0.0 (TID 0) (host executor driver): org.apache.spark.SparkException: Exception thrown in "
            "awaitResult: \n\tat org.apache.spark.X(X.scala:1)\nCaused by: java.io.IOException: the disk is gone\n"
            "\tat y\n\nDriver stacktrace:\n\tat z\nCaused by: java.lang.Error: not this\n",
            "java.io.IOException: the disk is gone",
        ),
        ("[PATH_NOT_FOUND] Path does not exist: file:/x.", "[PATH_NOT_FOUND] Path does not exist: file:/x."),
        ("", "Py4JError"),
    ],
)
def test_the_cause_is_found_in_texts_of_every_form(text: str, line: str) -> None:
    from py4j.protocol import Py4JError

    assert cause_of_failure(Py4JError(text)) == line


def write_slowly(folder: Path, fails: bool) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a task that makes files in a folder for seconds; that of row 0 may fail when others have begun."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            number = batch.column(0)[0].as_py()
            for step in range(80):
                if fails and number == 0 and len(list(folder.iterdir())) > 5:
                    raise ValueError("for once")
                if number:
                    (folder / f"{number}-{step}").touch()
                time.sleep(0.05)
            yield batch

    return run


def nothing_more_comes(folder: Path) -> bool:
    there = sorted(folder.iterdir())
    time.sleep(0.5)
    return sorted(folder.iterdir()) == there


def test_a_block_is_left_by_a_failure_only_when_no_task_writes_any_more(spark: SparkSession, tmp_path: Path) -> None:
    slow = spark.range(0, 2, 1, 2).mapInArrow(write_slowly(tmp_path, fails=True), "id long")
    with pytest.raises(SPARK_ERRORS, match="for once"), tasks_ended(spark):
        slow.collect()
    assert nothing_more_comes(tmp_path)


def test_a_block_is_left_by_an_interrupt_only_when_its_own_jobs_are_cancelled(
    spark: SparkSession, tmp_path: Path
) -> None:
    def of_another_thread(number: int) -> list[int]:
        (tmp_path / "theirs").touch()
        time.sleep(8)
        return [number]

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "ours").mkdir()
    slow = spark.range(0, 1, 1, 1).select((F.col("id") + 1).alias("id"))
    slow = slow.mapInArrow(write_slowly(tmp_path / "ours", fails=False), "id long")
    ends: list[list[int]] = []
    other = threading.Thread(target=lambda: ends.append(run(spark, [7], of_another_thread)))
    other.start()
    before = signal.signal(signal.SIGALRM, interrupt)
    main_thread = threading.get_ident()

    def strike_when_it_writes() -> None:
        while not any((tmp_path / "ours").iterdir()):
            time.sleep(0.05)
        signal.pthread_kill(main_thread, signal.SIGALRM)

    try:
        while not (tmp_path / "theirs").exists():
            time.sleep(0.05)
        threading.Thread(target=strike_when_it_writes, daemon=True).start()
        with pytest.raises(KeyboardInterrupt), tasks_ended(spark):
            slow.collect()
        assert list((tmp_path / "ours").iterdir())
        assert nothing_more_comes(tmp_path / "ours")
    finally:
        signal.signal(signal.SIGALRM, before)
    other.join(timeout=60)
    assert ends == [[7]]
