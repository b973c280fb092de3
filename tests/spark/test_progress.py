"""What a run says while it works: a line for each stage, a bar on terminals, quiet lines in logs."""

import io
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparkprep.spark import progress
from sparkprep.spark.progress import Progress
from sparkprep.units import human_bytes


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1234567, "1.2 MB"), (5e9, "5.0 GB"), (7.25e13, "72.5 TB")],
)
def test_bytes_are_told_in_decimal_units(size: float, text: str) -> None:
    assert human_bytes(size) == text


def test_a_stage_tells_documents_bytes_and_seconds_in_one_line(spark: SparkSession) -> None:
    stream = io.StringIO()
    told = Progress(spark, stream)
    with told.stage("sketch", 12345) as stage:
        stage.bytes = 6_700_000
    with told.stage("decide"):
        pass
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"sketch +12,345 documents +6\.7 MB +\d+\.\d s", first)
    assert re.fullmatch(r"decide +\d+\.\d s", second)
    assert first.index(" s") == second.index(" s") or len(first) == len(second)  # the columns stand in line
    summary = told.summary()
    assert [(s["name"], s["documents"], s["bytes"]) for s in summary] == [
        ("sketch", 12345, 6_700_000),
        ("decide", 0, 0),
    ]
    assert 0 <= sum(s["seconds"] for s in summary) <= told.seconds + 0.01


def test_a_stage_that_fails_is_not_told_as_done_and_leaves_no_watcher(spark: SparkSession) -> None:
    stream = io.StringIO()
    told = Progress(spark, stream)
    threads = threading.active_count()
    with pytest.raises(ValueError, match="in mid-stage"), told.stage("verify"):
        raise ValueError("in mid-stage")
    assert stream.getvalue() == ""
    assert told.summary() == []
    assert threading.active_count() == threads


def test_without_a_stream_nothing_is_said_and_all_is_counted(
    spark: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    told = Progress(spark, None)
    with told.stage("write", 5):
        time.sleep(0.01)
    assert capfd.readouterr() == ("", "")
    assert told.summary()[0]["documents"] == 5


def test_the_spark_jobs_of_a_stage_bear_its_name(spark: SparkSession) -> None:
    with Progress(spark, None).stage("candidates"):
        assert spark.sparkContext.getLocalProperty("spark.job.description") == "sparkprep: candidates"
    assert spark.sparkContext.getLocalProperty("spark.job.description") is None


def slow_job(spark: SparkSession, tasks: int, seconds: float) -> None:
    """A Spark job of so many tasks, each of which takes that long."""

    def rest(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import time

        for batch in batches:
            time.sleep(seconds)
            yield batch

    spark.range(0, tasks, 1, tasks).mapInArrow(rest, "id long").write.format("noop").mode("overwrite").save()


def watched(spark: SparkSession, stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage of a few seconds of Spark work, watched closely."""
    monkeypatch.setattr(progress, "SLOW", 0.1)
    monkeypatch.setattr(progress, "QUIET_INTERVAL", 0.3)
    with Progress(spark, stream).stage("verify", 10):
        slow_job(spark, tasks=8, seconds=0.5)


def test_a_long_stage_in_a_log_says_now_and_then_how_far_it_is(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    watched(spark, stream, monkeypatch)
    text = stream.getvalue()
    assert "\r" not in text
    assert "\x1b" not in text
    *between, last = text.splitlines()
    assert last.startswith("verify                10 documents")
    assert any(re.fullmatch(r"verify +[1-7] of 8 tasks, \d+ s so far, about \d+ s left", line) for line in between)
    for line in between:
        assert re.fullmatch(r"verify +(\d of 8 tasks, )?\d+ s so far(, about \d+ s left)?", line)


def test_a_long_stage_on_a_terminal_has_a_bar_with_the_time_left_which_goes_in_the_end(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while block := os.read(reader, 4096):
                shown.append(block)
        except OSError:  # how Linux says that the other side is closed
            pass

    thread = threading.Thread(target=read)
    thread.start()
    with os.fdopen(writer, "w") as terminal:
        assert terminal.isatty()
        watched(spark, terminal, monkeypatch)
    thread.join(timeout=10)
    os.close(reader)
    text = b"".join(shown).decode()
    assert re.search(r"verify .* [1-9]\d? % of the tasks, \d\d:\d\d so far, \d\d:\d\d left", text)
    *bar, line = text.rstrip().split("\r")
    assert "% of the tasks" in "".join(bar)
    assert re.fullmatch(r"verify +10 documents +\d+\.\d s", line.strip())


def test_a_short_stage_gets_no_bar(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_INTERVAL", 0.01)
    stream = io.StringIO()
    with Progress(spark, stream).stage("verify"):
        slow_job(spark, tasks=1, seconds=0.1)
    assert len(stream.getvalue().splitlines()) == 1


def test_where_tasks_cannot_be_counted_the_stages_are_told_without_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Connect:
        """As a Spark Connect session, which has no SparkContext."""

        @property
        def sparkContext(self) -> None:
            raise AttributeError("sparkContext")

    monkeypatch.setattr(progress, "SLOW", 0.01)
    stream = io.StringIO()
    with Progress(Connect(), stream).stage("verify"):  # type: ignore[arg-type]
        time.sleep(0.1)
    assert re.fullmatch(r"verify +0\.\d s\n", stream.getvalue())
