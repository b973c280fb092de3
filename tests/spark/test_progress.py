"""What a run says while it works: a line for each stage, a bar on terminals, quiet lines in logs."""

import io
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TextIO

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparkprep.spark import displays, progress
from sparkprep.spark.forecast import Cost, Pace
from sparkprep.spark.progress import Progress
from sparkprep.units import human_bytes, human_duration, time_of_day


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 seconds"),
        (1.2, "1 second"),
        (89.4, "89 seconds"),
        (90, "2 minutes"),
        (2_500, "42 minutes"),
        (5_400, "1 hour 30 minutes"),
        (7_200, "2 hours"),
        (200_000, "2 days 7 hours"),
    ],
)
def test_times_are_told_as_people_say_them(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_another_day_is_told_with_its_date() -> None:
    now = datetime(2026, 3, 1, 22, 30)
    assert (time_of_day(300, now), time_of_day(7_200, now)) == ("22:35", "2026-03-02 00:30")


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
    monkeypatch.setattr(displays, "QUIET_INTERVAL", 0.1)
    monkeypatch.setattr(displays.Bar, "interval", 0.1)
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
    assert any(
        re.fullmatch(r"verify +[1-8] of 10 documents, \d+ seconds? so far, about \d+ seconds? left", line)
        for line in between
    )
    for line in between:
        assert re.match(r"verify +\d of 10 documents, \d+ seconds? so far(, about \d+ \w+ left|$)", line)


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
    assert re.search(r"verify .* [1-9]\d? %, about \d seconds? left, [1-8] of 10 documents", text)
    line = text.rstrip().split("\r")[-1]
    assert re.fullmatch(r"verify +10 documents +\d+\.\d s", line.strip())


def test_a_bar_tells_the_time_so_far_until_a_task_has_ended() -> None:
    look = displays.Look("verify", 10, Pace(0, 8, 4.0), 4.0)
    assert look.brief(99) == "4 seconds so far, 0 of 10 documents"


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (99, "about 12 minutes left, 1,250 of 10,000 documents"),
        (47, "about 12 minutes left, 1,250 of 10,000"),
        (37, "about 12 minutes left"),
    ],
)
def test_a_narrow_bar_leaves_out_what_does_not_fit_whole(room: int, text: str) -> None:
    look = displays.Look("verify", 10_000, Pace(1, 8, 100.0, 1, 100.0), 100.0, left=700.0)
    assert look.brief(room) == text


def test_a_long_run_says_at_its_start_how_long_it_will_take_and_until_when(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "SLOW", 0.1)
    monkeypatch.setattr(progress, "FIRST_ESTIMATE", 0.5)
    told = Progress(spark, stream, {"verify": Cost(1.0), "write": Cost(100.0)})
    told.expect(10_000_000_000)
    with told.stage("verify", 10):
        slow_job(spark, tasks=2, seconds=1.5)
    first, last = stream.getvalue().splitlines()
    assert re.fullmatch(r"about 8 minutes for 10\.0 GB \(first estimate\), until (\d{4}-\d\d-\d\d )?\d\d:\d\d", first)
    assert last.startswith("verify")


def test_a_run_of_less_than_a_minute_needs_no_such_line(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "SLOW", 0.1)
    monkeypatch.setattr(progress, "FIRST_ESTIMATE", 0.2)
    told = Progress(spark, stream, {"verify": Cost(1.0), "write": Cost(5.0)})
    told.expect(1_000_000_000)
    with told.stage("verify", 10):
        slow_job(spark, tasks=2, seconds=0.6)
    assert len(stream.getvalue().splitlines()) == 1


def test_a_program_is_told_in_the_log_or_not_at_all_but_for_warnings(
    spark: SparkSession, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for asked, lines in ((None, ["verify"]), (False, [])):
        caplog.clear()
        with caplog.at_level("INFO", "sparkprep"):
            told = Progress(spark, displays.display_for(asked))
            with told.stage("verify", 10):
                pass
            told.warn(["something is \x1b odd"])
        info = [record.getMessage().split()[0] for record in caplog.records if record.levelname == "INFO"]
        assert info == lines
        assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
            r"warning: something is \x1b odd"
        ]
    assert capfd.readouterr() == ("", "")


def test_what_is_of_use_while_a_run_goes_on_is_told_at_once_also_with_quiet_and_in_a_log(
    spark: SparkSession, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    for told in (Progress(spark, stream), Progress(spark, displays.stream_of_face(True))):
        told.warn(["at the end a face tells this"])
        told.alert(["the disk may become full"])
        with told.stage("verify", 10):
            pass
    assert stream.getvalue().startswith("warning: the disk may become full\nverify ")
    assert capfd.readouterr() == ("", "warning: the disk may become full\n")
    for asked in (None, False):
        caplog.clear()
        Progress(spark, displays.display_for(asked)).alert(["the disk may become full"])
        assert [record.getMessage() for record in caplog.records] == ["warning: the disk may become full"]


def test_behind_spark_submit_a_bar_is_drawn_where_the_launcher_has_seen_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    for columns, kind in (("100", displays.Bar), ("0", displays.Bar), ("", displays.Lines)):
        monkeypatch.setenv(displays.TERMINAL_VARIABLE, columns)
        assert type(displays.display_on(sys.stderr)) is kind
        assert type(displays.display_on(io.StringIO())) is displays.Lines
    monkeypatch.setenv(displays.TERMINAL_VARIABLE, "100")
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT")  # of an outer job, which this is none of
    assert type(displays.display_on(sys.stderr)) is displays.Lines


def test_a_short_stage_gets_no_bar(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displays, "QUIET_INTERVAL", 0.01)
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


def test_a_stage_whose_tasks_are_of_the_input_tells_of_them_and_their_bytes() -> None:
    look = displays.Look("extract", 0, Pace(3, 12, 30.0), 31.0, 90.0, 0.25, "archives", 12_000_000_000, 5_000_000_000)
    assert str(look) == "3 of 12 archives, 5.0 GB of 12.0 GB, 31 seconds so far, about 2 minutes left"


def test_the_time_of_tasks_of_unequal_size_goes_by_their_bytes() -> None:
    """Of three archives the largest, begun first, has taken 60 seconds: the two others are a sixth of all."""
    by_size = progress._by_size(Pace(1, 3, 60.0, 1, 60.0), (1_000, 100, 100))
    assert (by_size.finished, by_size.total, by_size.whole()) == (1_000, 1_200, 72.0)


@pytest.mark.parametrize("sizes", [(), (5, 7), (0, 0, 0)])
def test_tasks_whose_sizes_are_not_known_are_alike(sizes: tuple[int, ...]) -> None:
    pace = Pace(1, 3, 60.0, 1, 60.0)
    assert progress._by_size(pace, sizes) is pace
