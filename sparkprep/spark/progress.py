"""What a run says while it works: one line for each stage, and a bar with the time left while a stage runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from tqdm import tqdm

from sparkprep.spark.session import job_description
from sparkprep.units import human_bytes

SLOW = 2.0
"""Seconds after which a stage gets a bar."""
QUIET_INTERVAL = 30.0
"""Seconds between two lines of progress where the output is not a terminal."""


@dataclass
class Stage:
    """What a stage did; `documents` and `bytes` (of text) may be filled in while it runs."""

    name: str
    documents: int
    bytes: int
    seconds: float = 0.0


class Progress:
    """Collects the stages of a run and, unless `stream` is None, tells of them there."""

    def __init__(self, spark: SparkSession, stream: TextIO | None = sys.stderr) -> None:
        self._spark = spark
        self._stream = stream
        self._start = time.monotonic()
        self.stages: list[Stage] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def summary(self) -> list[dict[str, Any]]:
        """Return what the stages did, as JSON knows it."""
        return [asdict(stage) for stage in self.stages]

    @contextmanager
    def stage(self, name: str, documents: int = 0, size: int = 0) -> Iterator[Stage]:
        """Time the block and label its Spark jobs; print its line when it has ended without an error."""
        stage = Stage(name, documents, size)
        start = time.monotonic()
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(stage, done), daemon=True)
        if self._stream is not None:
            watcher.start()
        try:
            with job_description(self._spark, f"sparkprep: {name}"):
                yield stage
        finally:
            done.set()
            if watcher.ident is not None:
                watcher.join()
        stage.seconds = round(time.monotonic() - start, 3)
        self.stages.append(stage)
        self._say(stage)

    def _say(self, stage: Stage) -> None:
        if self._stream is None:
            return
        volume = f"{stage.documents:>12,} documents" if stage.documents else " " * 22
        size = f"{human_bytes(stage.bytes):>10}" if stage.bytes else " " * 10
        print(f"{stage.name:<12}{volume}{size}{stage.seconds:>9.1f} s", file=self._stream, flush=True)

    def _watch(self, stage: Stage, done: threading.Event) -> None:
        if done.wait(SLOW) or not self._can_count():
            return
        if self._stream is not None and self._stream.isatty():
            self._draw_bar(stage, done)
        else:
            self._say_now_and_then(stage, done)

    def _draw_bar(self, stage: Stage, done: threading.Event) -> None:
        layout = "{desc} {bar:30} {percentage:3.0f} % of the tasks, {elapsed} so far, {remaining} left"
        bar = tqdm(total=100, desc=f"{stage.name:<11}", file=self._stream, leave=False, bar_format=layout)
        shown: frozenset[int] = frozenset()
        while not done.wait(0.5):
            finished, total, ids = self._tasks()
            if ids != shown:  # the next Spark stages of this step: their time left is their own
                shown = ids
                bar.reset(total=100)
            if total:
                bar.n = 100.0 * finished / total
                bar.refresh()
        bar.close()

    def _say_now_and_then(self, stage: Stage, done: threading.Event) -> None:
        """Where a log is written: a line from time to time, without control characters."""
        start, shown, since = time.monotonic(), frozenset[int](), 0.0
        while not done.wait(QUIET_INTERVAL):
            finished, total, ids = self._tasks()
            now = time.monotonic()
            if ids != shown:
                shown, since = ids, now - QUIET_INTERVAL
            left = f", about {(now - since) * (total - finished) / finished:.0f} s left" if finished else ""
            tasks = f"{finished:,} of {total:,} tasks, " if total else ""
            print(f"{stage.name:<12}{tasks}{now - start:.0f} s so far{left}", file=self._stream, flush=True)

    def _can_count(self) -> bool:
        try:
            return self._spark.sparkContext is not None
        except (PySparkException, AttributeError):  # Spark Connect has no task counts
            return False

    def _tasks(self) -> tuple[int, int, frozenset[int]]:
        """(finished, all) tasks of the Spark stages that run now, and these stages' numbers."""
        tracker = self._spark.sparkContext.statusTracker()
        ids = frozenset(tracker.getActiveStageIds())
        infos = [info for info in map(tracker.getStageInfo, ids) if info is not None]
        return sum(i.numCompletedTasks for i in infos), sum(i.numTasks for i in infos), ids
