"""What to do when Spark fails: one answer for all jobs.

A failure that the user can mend becomes a UserError that names the file; any other is told by its cause in one line,
which Spark buries: in the text of a task's traceback, or in the last of a chain of Java exceptions.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark import jvm

SPARK_ERRORS = (PySparkException, Py4JError)
"""What Spark raises; a failed task comes as either, depending on what failed in it."""
JVM_GONE = (ConnectionError, Py4JNetworkError, EOFError)
"""What comes where Spark's JVM answers no more: of a call before it was sent or after, of a result while it is read."""

WORKERS_END_S = 2.5
"""Seconds until the workers of cancelled tasks are gone: in a session that is not ours Spark gives them two
(spark.python.task.killTimeout)."""
_LONGEST = 400
_MOST_CAUSES = 20
_READING = re.compile(r"(?:while|Error) reading (?:the )?file|FAILED_READ_FILE|Could not read footer")
_CHECKSUM = re.compile(r"Checksum error: (?:file:)?(\S.*?) at \d+ exp")
_FROM_WORKER = re.compile(r"sparkprep\.errors\.(?:UserError|InputChanged): (.+)")
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_CAUSE = re.compile(r"^\s*Caused by: ([\w.$]+: .*\S)", re.MULTILINE)
_CRASHED = re.compile(r"Python worker (?:exited unexpectedly \(crashed\)|failed to connect back|process terminated)")
_CUT_OFF = re.compile(r"java\.net\.SocketException: (?:Broken pipe|Connection reset)")
_TO_WORKER = "org.apache.spark.api.python."
"""In the trace of a task that was cut off: its worker was killed between two tasks, or while it was read from."""
_NO_DAEMON = re.compile(
    r"EOFException occurred while reading the port number from \S+ stdout(?: and terminated with code: \d+)?"
    r"|Bad data in \S+ standard output\. Invalid port number"
)
"""What Spark says where the process that it forks its Python workers from has not come up."""
_FATAL = re.compile(r"(Fatal Python error: [^\n]+)")
_LOST = re.compile(r"ExecutorLostFailure \(.*?Reason: ([^\n]+?)\)?(?:\n|$)")
_JAVA_MEMORY = re.compile(r"java\.lang\.OutOfMemoryError(?:: [^\n]+)?")
_LESS_AT_ONCE = (
    "most often the machine's memory was full: close other programs, let fewer tasks run at once (spark-submit "
    "--master 'local[2]'), or give executors more of it (--conf spark.executor.memoryOverhead=4g)"
)
_TASK = re.compile(r"Job aborted due to stage failure: .*?most recent failure: .*?\(TID \d+\) \([^)]*\): ", re.DOTALL)


@contextmanager
def explained(paths: Sequence[str] = ()) -> Iterator[None]:
    """Turn what Spark raises in the block into a UserError, where the user can mend it.

    paths: the files that Spark itself reads, to be named where one cannot be.
    """
    try:
        yield
    except JVM_GONE as error:
        raise _died() from error
    except SPARK_ERRORS as error:
        if _has_ended():
            raise _died() from error
        mistake = (
            raised_by_worker(error) or _stale_checksum(error) or _unreadable(error, paths) or _out_of_memory(error)
        )
        if mistake is None:
            raise
        raise mistake from error


def raised_by_worker(error: BaseException) -> UserError | None:
    """Return the UserError that a task raised, of which the driver sees only the traceback; None for other errors."""
    raised = _FROM_WORKER.findall(str(error))
    return UserError(raised[-1].strip()) if raised else None


def damaged(path: str, cause: str) -> UserError:
    """Return the error for an input file that is not sound Parquet inside."""
    return UserError(f"{path}: damaged Parquet file ({cause}); restore it or leave it out")


def cause_of_failure(error: BaseException) -> str:
    """Return in one line why Spark failed.

    That is the last line of the Python traceback in it, with its file; else the innermost Java exception that says
    something; else the first line that does.
    """
    if isinstance(error, JVM_GONE):
        return "its Java process has ended (killed, or out of memory)"
    text = _whole_text(error).split("\nDriver stacktrace:")[0]
    raised = _raised(text)
    if raised:
        return raised[:_LONGEST]
    causes = _CAUSE.findall(text)
    if causes:
        return str(causes[-1].strip()[:_LONGEST])
    text = _TASK.sub("", text)
    lines = [line.strip().removeprefix(": ") for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("An error occurred while calling", "at "))]
    saying = [line for line in lines if not line.endswith(":")] or lines or [type(error).__name__]
    return saying[0][:_LONGEST]


@contextmanager
def tasks_ended(spark: SparkSession) -> Iterator[None]:
    """Leave the block by an error only when none of its tasks runs any more; by Ctrl-C, or another end, with its jobs
    cancelled.

    Spark tells of a failed job at once and cancels its other tasks meanwhile: one that still writes would leave files
    behind where the partial output has just been deleted. The jobs of others in the same session go on: those of the
    block bear a tag.
    """
    with _tagged(spark) as tag:
        try:
            yield
        except BaseException as error:
            is_cancelled = not isinstance(error, Exception)
            _let_tasks_end(spark, tag, cancel=is_cancelled)
            if is_cancelled:
                time.sleep(WORKERS_END_S)
            raise


@contextmanager
def _tagged(spark: SparkSession) -> Iterator[str]:
    """Give the Spark jobs that this thread starts in the block a tag of their own."""
    tag = f"sparkprep-{uuid.uuid4().hex}"
    try:
        context = spark.sparkContext
    except (PySparkException, AttributeError):  # Spark Connect
        yield tag
        return
    context.addJobTag(tag)
    try:
        yield tag
    finally:
        with contextlib.suppress(*SPARK_ERRORS, OSError):  # Spark may be what has failed
            context.removeJobTag(tag)


def _let_tasks_end(spark: SparkSession, tag: str, *, cancel: bool, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    try:
        if cancel:
            spark.sparkContext.cancelJobsWithTag(tag)
        while time.monotonic() < end and _running_tasks(spark, tag):
            time.sleep(0.05)
    except (*SPARK_ERRORS, AttributeError, OSError):
        return  # Spark Connect does not say, and Spark may be what has failed


def _running_tasks(spark: SparkSession, tag: str) -> int:
    """Return how many tasks run of the jobs with a tag, those of failed and cancelled jobs among them."""
    tracker = spark.sparkContext._jsc.sc().statusTracker()
    running = 0
    for job in tracker.getJobIdsForTag(tag):
        info = tracker.getJobInfo(job)
        for stage in info.get().stageIds() if info.isDefined() else ():
            of_stage = tracker.getStageInfo(stage)
            running += of_stage.get().numActiveTasks() if of_stage.isDefined() else 0
    return running


def _raised(text: str) -> str:
    """The last line of the last Python traceback in a text, which may be indented, with the last file that it names."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.endswith(_TRACEBACK)]
    if not starts:
        return ""
    indent = _indent(lines[starts[-1]])
    place = ""
    for line in lines[starts[-1] + 1 :]:
        frame = _FRAME.search(line)
        if frame:
            place = f" ({frame[1]}, line {frame[2]})"
        elif line.strip() and _indent(line) <= indent:
            return line.strip() + place
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _whole_text(error: BaseException) -> str:
    """The error's own text, and that of the Java exceptions behind it, which PySpark leaves out of some."""
    parts = [str(error)]
    behind = getattr(error, "_origin", None) or getattr(error, "java_exception", None)
    try:
        for _ in range(_MOST_CAUSES):
            behind = behind.getCause() if behind is not None else None
            if behind is None:
                break
            parts.append(f"Caused by: {behind.toString()}")
    except (Py4JError, OSError, AttributeError, TypeError):  # the JVM may be what has failed
        pass
    return "\n".join(parts)


def _stale_checksum(error: BaseException) -> UserError | None:
    found = _CHECKSUM.search(_whole_text(error))
    if found is None:
        return None
    folder, _, name = unquote(found[1]).rpartition("/")
    return UserError(
        f"{folder}/{name}: does not match its checksum file .{name}.crc, which the program that changed it left "
        "behind: delete that file"
    )


def _unreadable(error: BaseException, paths: Sequence[str]) -> UserError | None:
    """The input file at which a job failed: a sound footer does not prove that the pages before it are sound."""
    text = unquote(str(error))
    named = [path for path in paths if path in text] if _READING.search(text) else []
    return damaged(max(named, key=len), "Spark could not read its pages") if named else None


def _has_ended() -> bool:
    """Whether the JVM that this process has started is no more; where spark-submit has started it, nothing says so."""
    process = getattr(SparkContext._gateway, "proc", None)
    return process is not None and process.poll() is not None


def _died() -> UserError:
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return UserError(
            "spark-submit, in which Spark's driver runs, has ended before its job: by a signal, or because the machine "
            "ran out of memory (close other programs, or give the driver less or more: --driver-memory 4g)"
        )
    words = jvm.last_words()
    said = f" (its last line: {words})" if words else ""
    return UserError(
        f"Spark's driver died in mid-run{said}, most often because the machine ran out of memory: close other "
        "programs, or give the driver less or more of it (spark-submit --driver-memory 4g, SPARK_DRIVER_MEMORY=4g)"
    )


def _out_of_memory(error: BaseException) -> UserError | None:
    """Return what to do where a worker or an executor has died, or had no memory left, with its own last words."""
    text = _whole_text(error)
    if (daemon := _NO_DAEMON.search(text)) is not None:
        return UserError(
            f"the process that Spark's Python workers come from was killed, or could not start ({daemon[0]}): "
            f"{_LESS_AT_ONCE}; if that happens each time, Python or one of its packages cannot start on that node: "
            "importing pandas, pyspark.worker and sparkprep.dedup.verify there says why"
        )
    if (crashed := _CRASHED.search(text)) is not None:
        if (fatal := _of_crash(text)) is not None:
            return UserError(
                f"a worker of Spark crashed in compiled code ({fatal}): install the package of that file anew, for "
                "this machine's processor"
            )
        return UserError(f"a worker of Spark was killed ({crashed[0]}): {_LESS_AT_ONCE}")
    if (cut_off := _CUT_OFF.search(text)) is not None and _TO_WORKER in text:
        return UserError(f"a worker of Spark was killed ({cut_off[0]}): {_LESS_AT_ONCE}")
    raised = _raised(text.split("\nDriver stacktrace:")[0])
    if raised.startswith(("MemoryError", "pyarrow.lib.ArrowMemoryError", "numpy._core._exceptions._ArrayMemoryError")):
        return UserError(f"a worker of Spark had no memory left ({raised[:_LONGEST]}): {_LESS_AT_ONCE}")
    if (lost := _LOST.search(text)) is not None:
        return UserError(f"Spark lost an executor ({lost[1][:_LONGEST].strip()}): {_LESS_AT_ONCE}")
    if (of_java := _JAVA_MEMORY.search(text)) is not None:
        return UserError(
            f"Spark's Java has no memory left ({of_java[0]}): give it more (SPARK_DRIVER_MEMORY=8g, spark-submit "
            "--driver-memory 8g; on a cluster --executor-memory too)"
        )
    return None


def _of_crash(text: str) -> str | None:
    """Return what Python's fault handler has said in a worker, and where that was; None where it has said nothing."""
    fatal = _FATAL.search(text)
    if fatal is None:
        return None
    frame = _FRAME.search(text, fatal.end())
    return fatal[1].strip() + (f" in {frame[1]}, line {frame[2]}" if frame else "")
