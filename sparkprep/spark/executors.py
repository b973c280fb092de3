"""Whether a cluster gives us an executor at all: Spark itself waits for one without end, and says so in a log alone."""

from __future__ import annotations

import os
import re
import sys
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from pyspark import SparkConf
from pyspark.sql import SparkSession

from sparkprep.background import Background
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
    limit, tag = wait_limit(), f"sparkprep-{uuid.uuid4().hex}"

    def run() -> T:
        spark.sparkContext.addJobTag(tag)  # of this thread's jobs
        return ask()

    job = Background(run, "first job")
    try:
        _wait(spark, job, limit)
    except BaseException:
        spark.sparkContext.cancelJobsWithTag(tag)
        job.has_ended(_END_SECONDS)
        raise
    return job.result()


def asked_for(conf: SparkConf) -> str:
    """Return what a cluster is asked for, as the settings say it."""
    overhead, cores = conf.get("spark.executor.memoryOverhead"), conf.get("spark.executor.cores")
    memory = f"{conf.get('spark.executor.memory', '1g')}{f' and {overhead} of overhead' if overhead else ''}"
    asked = f"{conf.get('spark.master')} was asked for executors of {memory}"
    asked += f" and {cores} cores" if cores else ""
    queue = conf.get("spark.yarn.queue")
    return f"{asked} in the queue {queue}" if queue else asked


def wait_limit() -> float:
    """Return for how many seconds a cluster is waited for. Raises UserError for a variable that is no number."""
    word = os.environ.get("SPARKPREP_EXECUTOR_WAIT", "")
    if not word:
        return WAIT_SECONDS
    if re.fullmatch(r"\d{1,6}", word) is None:
        raise UserError(f"SPARKPREP_EXECUTOR_WAIT={word} is no number of seconds; unset, it is {WAIT_SECONDS:.0f}")
    return float(word)


def _wait(spark: SparkSession, job: Background[T], limit: float) -> None:
    """Wait for the job. Raises UserError where no executor comes up in time."""
    start, is_told = time.monotonic(), False
    while not job.has_ended(_LOOK_SECONDS):
        waited = time.monotonic() - start
        if waited < min(NOTE_SECONDS, limit) or _executors(spark):
            continue
        asked = asked_for(spark.sparkContext.getConf())
        if waited >= limit:
            raise UserError(
                f"no executor came up within {human_duration(limit)}: {asked}; ask for less (--executor-memory, "
                "--executor-cores), see whether the cluster has workers and its queue has room, or wait longer "
                "(SPARKPREP_EXECUTOR_WAIT=3600)"
            )
        if not is_told:
            say_line(f"note: waiting up to {human_duration(limit)} for an executor: {asked}", sys.stderr)
            is_told = True


def _executors(spark: SparkSession) -> int:
    """Return how many there are; the driver is counted as one."""
    return int(spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size()) - 1
