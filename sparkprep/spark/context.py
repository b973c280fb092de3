"""A SparkContext that a cluster takes in, or one line in time: Spark waits for that without end, within its making."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext

from sparkprep.background import Background
from sparkprep.console import say_line, signals_held_back
from sparkprep.errors import UserError
from sparkprep.spark import jvm
from sparkprep.spark.executors import NOTE_SECONDS, asked_for, wait_limit
from sparkprep.units import human_duration

_LOOK_SECONDS = 0.2
_YARN_SECONDS = 10.0
"""So long YARN is asked what has become of an application."""
_SPARK_SECONDS = 4.0
"""So long Spark takes to see what has become of it; it looks every second."""
_TAGS = "spark.yarn.tags"
_LONGEST = 300
_WAITING = ("org.apache.spark.SparkContext.<init>", "org.apache.hadoop.yarn.client.api")
"""In the stacks of the JVM's threads that wait."""


def make_context(conf: SparkConf) -> None:
    """Make the SparkContext of this process; on a cluster it must be taken in within SPARKPREP_EXECUTOR_WAIT seconds.

    Raises UserError where it is not. Then, and where Ctrl-C ends the wait, the application is withdrawn from YARN, and
    Spark's JVM is ended if this process has started it.
    """
    # Not in the main thread: there PySpark would answer Ctrl-C itself, by a call to the JVM over the very connection
    # that waits for an answer, which breaks it.
    if conf.get("spark.master", "").startswith("local"):
        with signals_held_back():
            making = Background(lambda: SparkContext.getOrCreate(conf), "SparkContext")
            making.has_ended()
    else:
        tag, limit = f"sparkprep-{uuid.uuid4().hex}", wait_limit()
        conf.set(_TAGS, ",".join(filter(None, (conf.get(_TAGS, ""), tag))))
        making = Background(lambda: SparkContext.getOrCreate(conf), "SparkContext")
        _wait(making, conf, tag, limit)
    making.result()


def _wait(making: Background[SparkContext], conf: SparkConf, tag: str, limit: float) -> None:
    """Wait until it is made. Raises UserError where that takes longer, and leaves nothing of it."""
    start, is_told = time.monotonic(), False
    try:
        while not making.has_ended(_LOOK_SECONDS):
            waited = time.monotonic() - start
            if waited >= limit:
                raise UserError(_given_up(conf, tag, limit))
            if waited >= NOTE_SECONDS and not is_told:
                note = f"note: waiting up to {human_duration(limit)} for {conf.get('spark.master')} to take this in"
                say_line(f"{note}: {asked_for(conf)}", sys.stderr)
                is_told = True
    except KeyboardInterrupt:
        with signals_held_back():
            _withdrawn(conf, tag)
            _end(making)
        raise
    except UserError:
        _end(making)
        raise


def _given_up(conf: SparkConf, tag: str, limit: float) -> str:
    """Return why a cluster has not taken an application in, which is withdrawn."""
    master, seen = conf.get("spark.master"), _withdrawn(conf, tag)
    begin = f"{master} has not taken the application in within {human_duration(limit)}"
    longer = "or wait longer (SPARKPREP_EXECUTOR_WAIT=3600)"
    if master != "yarn":
        return f"{begin}: see whether somebody listens there, and its log, {longer}"
    if seen is None:
        return (
            f"{begin}: its ResourceManager does not answer; see yarn.resourcemanager.address in HADOOP_CONF_DIR, and "
            f"`yarn application -list`, {longer}"
        )
    return (
        f"{begin}, and it is withdrawn{seen}: its queue has no room for the application master; end what fills it "
        f"(`yarn application -list`), take another (--conf spark.yarn.queue=NAME), ask for less (--conf "
        f"spark.yarn.am.memory=512m), {longer}"
    )


def _withdrawn(conf: SparkConf, tag: str) -> str | None:
    """Withdraw what bears the tag from YARN, and return what YARN says of it; None where YARN does not answer."""
    if conf.get("spark.master") != "yarn":
        return None
    asking = Background(lambda: _killed_on_yarn(tag), "withdrawal")
    if not asking.has_ended(_YARN_SECONDS):
        return None
    try:
        return asking.result()
    except (Py4JError, OSError):
        return None


def _killed_on_yarn(tag: str) -> str:
    java: Any = SparkContext._jvm
    hadoop = java.org.apache.spark.deploy.SparkHadoopUtil.get().newConfiguration(java.org.apache.spark.SparkConf())
    yarn = java.org.apache.hadoop.yarn.client.api.YarnClient.createYarnClient()
    yarn.init(java.org.apache.hadoop.yarn.conf.YarnConfiguration(hadoop))
    yarn.start()
    try:
        request = java.org.apache.hadoop.yarn.api.protocolrecords.GetApplicationsRequest.newInstance()
        tags = java.java.util.HashSet()
        tags.add(tag)
        request.setApplicationTags(tags)
        told = ""
        for report in yarn.getApplications(request):
            words = " ".join(str(report.getDiagnostics() or "").split())[:_LONGEST]
            told = f" ({report.getApplicationId()}, {report.getYarnApplicationState()}{f': {words}' if words else ''})"
            yarn.killApplication(report.getApplicationId())
        return told
    finally:
        yarn.stop()


def _end(making: Background[SparkContext]) -> None:
    """End what still makes a context, with the JVM; that of `spark-submit`, which is not ours, ends when we do."""
    if making.has_ended(_SPARK_SECONDS):  # Spark has seen that its application was killed, and tidied up
        return
    if not jvm.end():
        Background(_interrupt, "interruption").has_ended(_YARN_SECONDS)
    making.has_ended(_SPARK_SECONDS)


def _interrupt() -> None:
    """Interrupt the JVM's threads that wait for the cluster: while they live, the JVM of `spark-submit` does too."""
    threads: Any = SparkContext._jvm.java.lang.Thread.getAllStackTraces()  # type: ignore[union-attr]
    for entry in threads.entrySet():
        if any(waits in str(frame) for frame in entry.getValue() for waits in _WAITING):
            entry.getKey().interrupt()
