"""Spark's JVM as a process of ours: started, heard, and told of by its own words where it does not start or dies."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections import deque
from typing import IO

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway

from sparkprep.errors import UserError
from sparkprep.safe import safe_text

_REMEMBERED = 400
"""Lines."""
_LONGEST = 300
_EMPTY = re.compile(
    r"\s*$|\s+at |\s+\.\.\. \d+ more|Error: Could not create the Java Virtual Machine|Error: A fatal exception has occ"
    r"|Error occurred during initialization of VM|WARNING: Using incubator modules|Picked up \w+:|\S+/spark-class: line"
)
"""Lines that say nothing of why, or only that there is more."""
_CAUSE = re.compile(r"Caused by: (.+)")
_ERROR = re.compile(r'(?:Exception in thread "[^"]*" )?((?:\S*Error|\S*Exception|Unrecognized|Invalid)\b.+)')


class Heard:
    """What a process writes to stdout or stderr: from when it is released handed on to ours, its last lines remembered.

    pipe: what it writes into; descriptor: ours, 1 or 2.
    """

    def __init__(self, pipe: IO[bytes], descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._held: list[bytes] | None = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._listen, args=(pipe,), daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Hand on what was held back so far, and from now on each line as it comes."""
        with self._lock:
            for line in self._held or []:
                self._hand_on(line)
            self._held = None

    def ended(self, seconds: float) -> None:
        """Wait until the process, and all that have its end of the pipe, have closed it; so long at most."""
        self._thread.join(seconds)

    def text(self) -> str:
        """Return the lines that are remembered."""
        with self._lock:
            return b"".join(self._lines).decode("utf-8", "replace")

    def last_words(self) -> str:
        """Return the line that says why a process has ended, or nothing.

        That is the innermost cause of an exception, else the last line that calls itself an error, else the last.
        """
        lines = [line for line in self.text().splitlines() if not _EMPTY.match(line)]
        causes = [match[1] for line in lines if (match := _CAUSE.match(line))]
        errors = [match[1] for line in lines if (match := _ERROR.match(line))]
        return (causes or errors or lines or [""])[-1].strip()[:_LONGEST]

    def _listen(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            with self._lock:
                self._lines.append(line)
                if self._held is None:
                    self._hand_on(line)
                else:
                    self._held.append(line)

    def _hand_on(self, line: bytes) -> None:
        """Write to where the process itself would have written; what Java says there is no result.

        Names of files and columns are in it, and a bar of Spark's own may be, which begins its line anew.
        """
        with contextlib.suppress(OSError):
            os.write(self._descriptor, safe_text(line.decode("utf-8", "replace"), keep="\r\n\t").encode())


def start(conf: SparkConf) -> None:
    """Start the JVM and connect PySpark to it, or do nothing where that has been done. conf: what it is started with.

    Raises UserError, with the JVM's own words, where it does not come up.
    """
    if SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ:
        SparkContext._ensure_initialized(conf=conf)
        return
    pipes = [os.pipe(), os.pipe()]
    heard = [Heard(os.fdopen(ours, "rb"), number) for number, (ours, _) in enumerate(pipes, start=1)]
    stdout, stderr = heard
    failure: BaseException | None = None
    try:
        gateway = launch_gateway(conf, {"stdout": pipes[0][1], "stderr": pipes[1][1]})  # type: ignore[no-untyped-call]
    except (PySparkException, OSError) as error:
        failure = error
    finally:
        for _, its_end in pipes:
            os.close(its_end)
    if failure is not None:
        for each in heard:
            each.ended(seconds=2)
        # The virtual machine itself, before there is any Java, tells of its failure on stdout.
        words = stderr.last_words() or stdout.last_words() or str(failure)
        raise UserError(_why_not(words)) from RuntimeError(stdout.text() + stderr.text() or str(failure))
    for each in heard:
        each.release()
    gateway.heard = stderr
    SparkContext._ensure_initialized(conf=conf, gateway=gateway)


def end(seconds: float = 10.0) -> bool:
    """End the JVM, and forget it, where this process has started it; return whether it has, and did.

    A later `start` begins anew. seconds: until it is killed.
    """
    gateway = SparkContext._gateway
    process = getattr(gateway, "proc", None)
    if process is None:
        return False
    with contextlib.suppress(OSError):
        process.stdin.close()  # upon which it ends by itself
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    SparkContext._gateway = SparkContext._jvm = None
    return True


def hand_on_signals() -> None:
    """Let the JVM hand on to this process the signals that this process answers itself, instead of ending by them.

    Ctrl-C, and whatever is sent to a process group, strikes both; what is sent to `spark-submit` strikes the JVM alone.
    It would end under the tasks that are being cancelled, and with it the pipe through which the last line goes. So it
    stays until this process has ended, and ends with the same exit code. A program that answers no SIGTERM (a notebook,
    a script) is left alone, and so is Java without its package java.beans.
    """
    answered = [
        number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if callable(signal.getsignal(number))
    ]
    java = SparkContext._jvm
    if signal.SIGTERM not in answered or java is None:
        return
    with contextlib.suppress(Py4JError, TypeError):  # a TypeError: a package in a class's place
        interface = java.java.lang.Class.forName("sun.misc.SignalHandler")
        for number in answered:
            name = number.name.removeprefix("SIG")
            kill = java.java.lang.ProcessBuilder(["/bin/sh", "-c", f"kill -{name} {os.getpid()}"])
            handler = java.java.beans.EventHandler.create(interface, kill, "start")
            java.sun.misc.Signal.handle(java.sun.misc.Signal(name), handler)


def last_words() -> str:
    """Return the last line that the JVM of this process has written to stderr, "" where it is not known."""
    heard = getattr(SparkContext._gateway, "heard", None)
    return heard.last_words() if isinstance(heard, Heard) else ""


def _why_not(words: str) -> str:
    memory = os.environ.get("SPARK_DRIVER_MEMORY", "")
    if re.search(r"heap|memory|allocate|-Xm[xs]", words, re.IGNORECASE):
        way_out = (
            f"it was to have {memory} of memory: give it less than there is (ulimit -v too), such as "
            "SPARK_DRIVER_MEMORY=2g"
        )
    elif "PYSPARK_SUBMIT_ARGS" in os.environ:
        way_out = (
            f"mend that in PYSPARK_SUBMIT_ARGS (now {os.environ['PYSPARK_SUBMIT_ARGS']}) or in spark-defaults.conf"
        )
    else:
        way_out = f"mend that, or set JAVA_HOME (now {os.environ.get('JAVA_HOME', 'unset')}) to another Java 17"
    return f"Spark's Java did not start: {words}; {way_out}"
