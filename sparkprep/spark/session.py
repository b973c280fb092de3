"""The one place that makes a SparkSession, and the small tools that act on one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark import SparkConf
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparkprep.console import say_line, signals_held_back
from sparkprep.errors import UserError
from sparkprep.spark import jvm
from sparkprep.spark.clusters import WORKER_DAEMON, Size
from sparkprep.spark.context import make_context
from sparkprep.spark.failures import explained
from sparkprep.spark.java import NO_JAVA, passed_over, spark_environment

# For every session of ours, wherever it runs.
_ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    # Spark starts the process of its workers by `python -m`, which puts the working folder first on their path: there
    # a random.py or tokenize.py of the user's would stand in for Python's own.
    "spark.executorEnv.PYTHONSAFEPATH": "1",
    # What Spark does not write of its settings into its event log and web page: its own words, and AWS's key ids.
    "spark.redaction.regex": "(?i)secret|password|token|credential|access[._]?key",
    # The worker of a cancelled task goes at once, instead of after two seconds in which it may still write.
    "spark.python.task.killTimeout": "500ms",
    # A worker that crashes says where it was.
    "spark.python.worker.faulthandler.enabled": "true",
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
}
# For a session on this machine only. 127.0.0.1: a laptop that changes its network in mid-job keeps its session.
_LOCAL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.shuffle.compress": "false",  # what is shuffled comes from this machine's memory and goes back there
    "spark.ui.showConsoleProgress": "false",
    "spark.python.daemon.module": WORKER_DAEMON,
}
# To PySpark every plain Python is a shell, for which Spark turns its own progress bar on unless told at the start.
_PLAIN_PYTHON = {"spark.ui.showConsoleProgress": "false"}


def get_session(
    app_name: str, settings: Size | Mapping[str, str] | None = None, master: str | None = None
) -> SparkSession:
    """Return the running session where there is one, untouched; else a new one.

    - Under spark-submit (also on YARN) the master, the memory and every `--conf` are what the command says.
    - In plain Python (`python jobs/dedup.py`, a notebook, a test) it is `local[*]` with 4 GB for the driver, unless
      `master`, `settings`, SPARK_DRIVER_MEMORY, PYSPARK_SUBMIT_ARGS or a spark-defaults.conf says otherwise.

    `settings` is a size of `SIZES` or Spark's own keys and values. What the user told Spark (`--conf`, a
    spark-defaults.conf) wins over a size and over the defaults here. A local session has no web page
    (`--conf spark.ui.enabled=true` brings it back). Raises UserError where there is no Java, and where a cluster does
    not take the application in within SPARKPREP_EXECUTOR_WAIT seconds.
    """
    running = _running_session()
    if running is not None:
        return running
    wanted = {**_ALWAYS, **(settings.runtime if isinstance(settings, Size) else settings or {})}
    given = _start_jvm(settings)
    master = master or given.get("spark.master") or "local[*]"
    if master.startswith("local"):
        wanted = {**_LOCAL, **wanted}
    given.setAppName(app_name).setMaster(master)
    for key, value in wanted.items():
        given.setIfMissing(key, value)
    with explained():
        make_context(given)
        with signals_held_back():
            return SparkSession.builder.getOrCreate()


def _start_jvm(settings: Size | Mapping[str, str] | None) -> SparkConf:
    """Start Spark's JVM where spark-submit has not done so; the settings it came up with, the user's among them."""
    at_start = SparkConf(loadDefaults=False)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # what the launcher does for spark-submit
        if isinstance(settings, Size):
            os.environ.setdefault("SPARK_DRIVER_MEMORY", settings.driver_memory)
        found = spark_environment()
        if "JAVA_HOME" not in found:
            raise UserError(NO_JAVA)
        if warning := passed_over(found["JAVA_HOME"]):
            say_line(warning, sys.stderr)
        os.environ.update(found)  # so that it is said once
        explicit = {} if isinstance(settings, Size) else settings or {}
        at_start.setAll(list({**_PLAIN_PYTHON, **explicit}.items()))
    # The builder would start it too, but then it is too late to see what the user has set.
    with signals_held_back(), explained():
        jvm.start(at_start)
        given = SparkConf()
    if given.get("spark.submit.deployMode") != "cluster":  # there YARN's own answer to a signal must run
        jvm.hand_on_signals()
    workers = given.get("spark.pyspark.python")
    if workers:  # only spark-submit itself looks at this key
        os.environ["PYSPARK_PYTHON"] = workers
    return given


def _running_session() -> SparkSession | None:
    try:
        return SparkSession.active()
    except PySparkException:  # NO_ACTIVE_OR_DEFAULT_SESSION
        return None


def is_local(spark: SparkSession) -> bool:
    """Return True where driver and workers are on this machine. False for Spark Connect, which does not say."""
    try:
        return str(spark.sparkContext.master).startswith("local")
    except (PySparkException, AttributeError):
        return False


def cores(spark: SparkSession) -> int:
    """Return how many tasks run at once."""
    return int(spark.sparkContext.defaultParallelism)


@contextmanager
def spark_conf(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Set SQL settings for the block, and put back what was there before (or nothing, where nothing was)."""
    before = {key: spark.conf.get(key, None) for key in settings}
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


@contextmanager
def job_description(spark: SparkSession, text: str) -> Iterator[None]:
    """Label the jobs of the block in the Spark UI. Does nothing over Spark Connect, which has no SparkContext."""
    try:
        context = spark.sparkContext
    except (PySparkException, AttributeError):
        yield
        return
    before = context.getLocalProperty("spark.job.description")
    context.setJobDescription(text)
    try:
        yield
    finally:
        context.setLocalProperty("spark.job.description", before)  # type: ignore[arg-type]  # None removes it
