"""What a run says while it works: one line for each stage, and how far it is while a stage runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any, TextIO

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparkprep.safe import safe_text
from sparkprep.spark.displays import WARNING, Display, Look, Nowhere, display_on
from sparkprep.spark.forecast import READ, Costs, Forecast, Pace
from sparkprep.spark.session import cores, job_description
from sparkprep.spark.shuffles import shuffled_bytes
from sparkprep.units import human_bytes, human_duration, time_of_day

SLOW = 2.0
"""Seconds after which a stage is looked at."""
FIRST_ESTIMATE = 5.0
"""Seconds after which a run is estimated, measured or not: with Spark's start it is told within 15."""
WORTH_TELLING = 60.0
"""Seconds from which on a run is long enough for a line about it."""


@dataclass
class Stage:
    """What a stage did; `documents` and `bytes` (of text) may be filled in while it runs."""

    name: str
    documents: int
    bytes: int
    seconds: float = 0.0
    shuffled: int | None = None
    """bytes that its jobs have put into shuffles; None where Spark cannot be asked"""


class Progress:
    """Collects the stages of a run and tells of them on a display, or a stream; None: nowhere."""

    def __init__(self, spark: SparkSession, to: Display | TextIO | None, costs: Costs | None = None) -> None:
        """Begin a run. costs: of its stages, by which it is estimated."""
        self._spark = spark
        self._display = display_on(to)
        self._start = time.monotonic()
        self._costs = costs
        self._forecast: Forecast | None = None
        self._is_estimated = False
        self._share = 0.0
        self.stages: list[Stage] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def summary(self) -> list[dict[str, Any]]:
        """Return what the stages did, as JSON knows it."""
        return [asdict(stage) for stage in self.stages]

    def expect(self, size: int, *, reading: bool = False) -> None:
        """Say how many bytes of documents the run works on. reading: they are to be written as Parquet first."""
        if self._costs is not None:
            costs = {**READ, **self._costs} if reading else self._costs
            self._forecast = Forecast(costs, size, cores(self._spark))

    def warn(self, warnings: list[str]) -> None:
        """Tell of the warnings of a run, where no face does. A log without a format shows nothing but their words."""
        for text in warnings:
            self._display.warn(f"{WARNING}{safe_text(text)}")

    def alert(self, warnings: list[str]) -> None:
        """Tell at once of what is of use while the run goes on, also where a face tells of the others at its end."""
        for text in warnings:
            self._display.alert(f"{WARNING}{safe_text(text)}")

    @contextmanager
    def stage(
        self, name: str, documents: int = 0, size: int = 0, *, things: str = "", sizes: Sequence[int] = ()
    ) -> Iterator[Stage]:
        """Time the block and label its Spark jobs; print its line when it has ended without an error.

        things: what its tasks are, where each is one of the input's. sizes: of these, in bytes, in the order in which
        the tasks begin: so many of the first have about ended.
        """
        stage = Stage(name, documents, size or sum(sizes))
        start = time.monotonic()
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(stage, done, things, sizes), daemon=True)
        if not isinstance(self._display, Nowhere):
            watcher.start()
        try:
            with job_description(self._spark, f"sparkprep: {name}"), shuffled_bytes(self._spark) as shuffled:
                yield stage
                stage.shuffled = shuffled()
        finally:
            done.set()
            if watcher.ident is not None:
                watcher.join()
        stage.seconds = round(time.monotonic() - start, 3)
        self.stages.append(stage)
        if self._forecast is not None:
            self._forecast.end(name, stage.seconds)
        self._say(stage)

    @contextmanager
    def reporting(self) -> Iterator[Callable[[], dict[str, Any]]]:
        """Time the writing of a report, a run's last stage; yield what returns all stages and seconds so far.

        Both are told in the report itself: what follows is the writing of some small files.
        """
        begun = time.monotonic()
        with self.stage("report") as stage:

            def so_far() -> dict[str, Any]:
                this = asdict(replace(stage, seconds=round(time.monotonic() - begun, 3)))
                return {"stages": [*self.summary(), this], "seconds": round(self.seconds, 3)}

            yield so_far

    def skip(self, name: str, words: str) -> None:
        """Tell of a stage, or a part of one, that an earlier run has finished: its line says so."""
        if self._forecast is not None:
            self._forecast.skip(name)
        self._display.line(f"{name:<12}{words}")

    def tell(self, words: str) -> None:
        """Tell of something else on the same display, in a line of its own."""
        self._display.line(words)

    def _say(self, stage: Stage) -> None:
        volume = f"{stage.documents:>12,} documents" if stage.documents else " " * 22
        size = f"{human_bytes(stage.bytes):>10}" if stage.bytes else " " * 10
        self._display.line(f"{stage.name:<12}{volume}{size}{stage.seconds:>9.1f} s")

    def _watch(self, stage: Stage, done: threading.Event, things: str, sizes: Sequence[int]) -> None:
        start = time.monotonic()
        if done.wait(SLOW) or not self._can_count():
            return
        tasks = _Tasks(self._spark, start)
        while not done.wait(self._display.interval):
            pace = tasks.pace()
            by_size = _by_size(pace, sizes)
            look = self._look(stage, time.monotonic() - start, by_size)
            if by_size is not pace:
                look = replace(look, pace=pace, things=things, size=by_size.total, done=by_size.finished)
            self._estimate(look)
            self._display.show(look)
        self._display.clear()

    def _look(self, stage: Stage, elapsed: float, pace: Pace) -> Look:
        if self._forecast is None:
            whole = pace.whole()
            left = None if whole is None else max(0.0, whole - pace.seconds)
            return Look(stage.name, stage.documents, pace, elapsed, left, pace.finished / max(1, pace.total))
        left = self._forecast.left(stage.name, elapsed, pace)
        so_far = self.seconds
        self._share = max(self._share, so_far / max(1e-9, so_far + left))  # a correction takes nothing back
        return Look(stage.name, stage.documents, pace, elapsed, left, self._share)

    def _estimate(self, look: Look) -> None:
        """Tell once how long the run will take, where it is long."""
        forecast = self._forecast
        if self._is_estimated or forecast is None or look.left is None:
            return
        if (forecast.is_measured or self.seconds >= FIRST_ESTIMATE) and self.seconds + look.left >= WORTH_TELLING:
            self._is_estimated = True
            whole = human_duration(self.seconds + look.left)
            size = human_bytes(forecast.size)
            self._display.line(f"about {whole} for {size} (first estimate), until {time_of_day(look.left)}")

    def _can_count(self) -> bool:
        try:
            return self._spark.sparkContext is not None
        except (PySparkException, AttributeError):  # Spark Connect has no task counts
            return False


def _by_size(pace: Pace, sizes: Sequence[int]) -> Pace:
    """Return a pace in bytes where tasks have sizes: the first of them, if they are the largest, take the longest."""
    if len(sizes) != pace.total or not sum(sizes):
        return pace
    so_far = [0, *accumulate(sizes)]
    return replace(pace, finished=so_far[pace.finished], total=so_far[-1], first=so_far[pace.first])


class _Tasks:
    """Watches the tasks of the Spark stages that run, which are others after each of these."""

    def __init__(self, spark: SparkSession, start: float) -> None:
        self._tracker = spark.sparkContext.statusTracker()
        self._ids: frozenset[int] = frozenset()
        self._since = start
        self._pace = Pace()

    def pace(self) -> Pace:
        """Return how far they are."""
        now = time.monotonic()
        ids = frozenset(self._tracker.getActiveStageIds())
        infos = [info for info in map(self._tracker.getStageInfo, ids) if info is not None]
        finished, total = sum(i.numCompletedTasks for i in infos), sum(i.numTasks for i in infos)
        if ids != self._ids:
            if self._ids:
                self._since = now
            self._ids = ids
            self._pace = Pace(0, total)
        if finished != self._pace.finished or total != self._pace.total:
            seconds, before = now - self._since, self._pace
            first = (before.first, before.first_seconds) if before.first else (finished, seconds)
            self._pace = Pace(finished, total, seconds, *first)
        return self._pace
