"""Whether there are workers, and they have what the driver has: one tiny task, before hours of work."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.io.access import told_access
from sparkprep.spark.executors import first_answer
from sparkprep.spark.session import is_local

_SAME = "install the same sparkprep with its pinned dependencies on every node and "
_BY_CONF = (
    f"{_SAME}start with --conf spark.pyspark.python=/path/to/that/python "
    f"--conf spark.pyspark.driver.python={shlex.quote(sys.executable)}"
)
"""Without the second, the driver would take the first too."""
_BY_VARIABLE = (
    "in a fresh Python, let sparkprep.get_session() make the session, or set PYSPARK_PYTHON before you do: "
    "os.environ['PYSPARK_PYTHON'] = sys.executable"
)
_BY_VARIABLE_ON_NODES = f"{_SAME}set PYSPARK_PYTHON to the path of that Python before the session is made"
_REQUIREMENT = re.compile(r"[\w.-]+")


def packages() -> tuple[str, ...]:
    """Return the distributions that a worker must have: sparkprep, and what its own metadata requires of the base
    install. Where sparkprep is no installed distribution (a zip, a folder on the path), itself alone."""
    try:
        required = metadata.requires("sparkprep") or []
    except metadata.PackageNotFoundError:
        required = []
    base = [line for line in required if "extra ==" not in line]
    return ("sparkprep", *(match.group() for line in base if (match := _REQUIREMENT.match(line))))


def preflight(spark: SparkSession) -> dict[str, str]:
    """Return the versions of Python and of the packages on the workers; UserError in one line where they do not do.

    Costs one task of one row on a cluster, one start of the workers' Python in a local session, and nothing at all
    where that is this very Python. Where no executor comes up, that is told after a while. Tasks are handed what this
    process was told of others' buckets (`io.access`). A worker must have the driver's Python version to the minor, all
    `packages()`, and the driver's sparkprep and numba versions exactly (the kernels decide the result); the others may
    differ. "host" and "free" tell of a worker's disk (`room`).
    """
    here = driver_versions()
    _hand_on(spark)
    if is_local(spark) and spark.sparkContext.pythonExec == sys.executable:
        return here
    there = worker_versions(spark)
    missing = [name for name in packages() if not there[name]]
    for name in ("python", "sparkprep", "numba"):
        if name == "sparkprep" and missing:
            raise UserError(f"the workers' Python ({there['executable']}) lacks {', '.join(missing)}: {_cure(spark)}")
        if _comparable(name, here.get(name, "")) != _comparable(name, there.get(name, "")):
            versions = f"{here[name]} here, {there[name]} at {there['executable']}"
            raise UserError(f"driver and workers differ in {name}: {versions}: {_cure(spark)}")
    return there


def _hand_on(spark: SparkSession) -> None:
    """Let tasks know how buckets of others are asked, also those of a session that was there before."""
    try:
        environment = spark.sparkContext.environment
    except (PySparkException, AttributeError):  # Spark Connect
        return
    for name in ("SPARKPREP_REQUEST_PAYER", "SPARKPREP_NO_SIGN_REQUEST"):
        environment.pop(name, None)
    environment.update(told_access())


def _cure(spark: SparkSession) -> str:
    """Say how a session with other workers is made: one that a program has made knows no command line."""
    if "PYSPARK_GATEWAY_PORT" in os.environ or spark.sparkContext.getConf().contains("spark.pyspark.python"):
        return _BY_CONF
    return _BY_VARIABLE if is_local(spark) else _BY_VARIABLE_ON_NODES


def _comparable(name: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if name == "python" else version


def driver_versions() -> dict[str, str]:
    """Return name -> version for Python and `packages()`, "" for what is not there; executable, host, free bytes."""
    return dict(_look(packages()))


def worker_versions(spark: SparkSession) -> dict[str, str]:
    """Return the same of one worker; raises UserError where no Python worker comes up there.

    On this machine its Python is asked without Spark, which would fill the terminal where that cannot run.
    """
    if is_local(spark):
        return _ask(spark.sparkContext.pythonExec, _cure(spark))
    source, names = _SOURCE, packages()

    def look(_: int) -> list[tuple[str, str]]:
        # By its source: a function of this module would be sent by name, and a worker without sparkprep would die
        # while loading it instead of telling us.
        space: dict[str, Callable[[tuple[str, ...]], list[tuple[str, str]]]] = {}
        exec(source, space)
        return space["_look"](names)

    try:
        found = first_answer(spark, lambda: spark.sparkContext.parallelize([0], 1).flatMap(look).collect())
    except (PySparkException, Py4JError) as error:
        raise UserError(_why_no_worker(str(error), _cure(spark))) from error
    return dict(found)


def _ask(python: str, cure: str) -> dict[str, str]:
    """Let a Python of this machine look around."""
    code = f"{_SOURCE}\nimport json, sys\nprint(json.dumps(_look(sys.argv[1:])))"
    try:
        words = [python, "-c", code, *packages()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"the workers' Python, {python}, cannot be started: {cure}") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2] or f"it ends with code {done.returncode}"
        raise UserError(f"the workers' Python, {python}, cannot look around ({last}): {cure}")
    return dict(json.loads(done.stdout))


def _look(packages: Any) -> Any:
    """Return pairs of name and version where it runs, which may be a Python as old as any."""
    import os
    import platform
    import socket
    import sys

    found = [("python", platform.python_version()), ("executable", sys.executable), ("host", socket.gethostname())]
    folders = [name for name in os.environ.get("SPARK_LOCAL_DIRS", "").split(",") if os.path.isdir(name)]
    disks = {os.stat(name).st_dev: os.statvfs(name) for name in folders}
    found.append(("free", str(sum(disk.f_bavail * disk.f_frsize for disk in disks.values())) if disks else ""))
    if sys.version_info < (3, 8):  # noqa: UP036
        return found + [(package, "") for package in packages]
    from importlib import metadata, util

    for package in packages:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:  # a folder or a zip on the path carries no metadata
            found.append((package, "unversioned" if util.find_spec(package) else ""))
    return found


_SOURCE = inspect.getsource(_look).replace("(packages: Any) -> Any", "(packages)", 1)


def _why_no_worker(message: str, cure: str) -> str:
    """One line out of Spark's many."""
    lines = message.splitlines()
    for pattern, words in (
        (r"No module named '([\w.]+)'", "the workers' Python lacks {}"),
        (r"Cannot run program \"([^\"]+)\"", "the workers' Python, {}, cannot be started"),
        (r"different version[^\d(]*\(?(\d+[., ]+\d+)\)?[^\n]*driver", "the workers run Python {}, the driver another"),
        (r"(\w+ >= [\d.]+ must be installed)", "in the workers' Python, {}"),
    ):
        match = re.search(pattern, message)
        if match:
            return f"{words.format(match.group(1))}: {cure}"
    return f"no Python worker came up ({next((line for line in reversed(lines) if line.strip()), 'no reason given')})"
