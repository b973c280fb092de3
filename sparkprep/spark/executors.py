"""Whether a cluster gives us an executor at all: Spark itself waits for one without end, and says so in a log alone."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from pyspark.sql import SparkSession

from sparkprep.console import say_line
from sparkprep.errors import UserError
from sparkprep.units import human_duration

T = TypeVar("T")

WAIT_SECONDS = 600.0
"""A cluster that grows on demand has its first machine by then."""
NOTE_SECONDS = 20.0
_LOOK_SECONDS = 0.2
_END_SECONDS = 5.0


def first_answer(spark: SparkSession, ask: Callable[[], T]) -> T:
    """Return what the first job of a session on a cluster gives.

    As long as no executor has come up it is waited for, with a note on stderr, SPARKPREP_EXECUTOR_WAIT seconds at most.
    Raises UserError where none has come by then, and what `ask` raises.
    """
    limit, tag = _limit(), f"sparkprep-{uuid.uuid4().hex}"
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        spark.sparkContext.addJobTag(tag)  # of this thread's jobs
        try:
            answers.append(ask())
        except BaseException as error:  # it is raised where the answer is waited for
            errors.append(error)

    thread = threading.Thread(target=run, name="first job", daemon=True)
    thread.start()
    try:
        _wait(spark, thread, limit)
    except BaseException:
        spark.sparkContext.cancelJobsWithTag(tag)
        thread.join(_END_SECONDS)
        raise
    if errors:
        raise errors[0]
    return answers[0]


def _wait(spark: SparkSession, thread: threading.Thread, limit: float) -> None:
    """Wait for the thread. Raises UserError where no executor comes up in time."""
    start, is_told = time.monotonic(), False
    while True:
        thread.join(_LOOK_SECONDS)
        waited = time.monotonic() - start
        if not thread.is_alive():
            return
        if waited < min(NOTE_SECONDS, limit) or _executors(spark):
            continue
        if waited >= limit:
            raise UserError(
                f"no executor came up within {human_duration(limit)}: {_asked_for(spark)}; ask for less "
                "(--executor-memory, --executor-cores), see whether the cluster has workers and its queue has room, or "
                "wait longer (SPARKPREP_EXECUTOR_WAIT=3600)"
            )
        if not is_told:
            say_line(f"note: waiting up to {human_duration(limit)} for an executor: {_asked_for(spark)}", sys.stderr)
            is_told = True


def _executors(spark: SparkSession) -> int:
    """Return how many there are; the driver is counted as one."""
    return int(spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size()) - 1


def _asked_for(spark: SparkSession) -> str:
    """Return what the cluster was asked for, as the settings say it."""
    conf = spark.sparkContext.getConf()
    overhead, cores = conf.get("spark.executor.memoryOverhead"), conf.get("spark.executor.cores")
    memory = f"{conf.get('spark.executor.memory', '1g')}{f' and {overhead} of overhead' if overhead else ''}"
    asked = f"{spark.sparkContext.master} was asked for executors of {memory}"
    asked += f" and {cores} cores" if cores else ""
    queue = conf.get("spark.yarn.queue")
    return f"{asked} in the queue {queue}" if queue else asked


def _limit() -> float:
    word = os.environ.get("SPARKPREP_EXECUTOR_WAIT", "")
    if not word:
        return WAIT_SECONDS
    if re.fullmatch(r"\d{1,6}", word) is None:
        raise UserError(f"SPARKPREP_EXECUTOR_WAIT={word} is no number of seconds; unset, it is {WAIT_SECONDS:.0f}")
    return float(word)
