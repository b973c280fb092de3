"""Whether the workers have what the driver has: one tiny task, before hours of work."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.spark.session import is_local

PACKAGES = ("sparkprep", "numpy", "numba", "pyarrow", "pandas")
_CURE = (
    "install the same sparkprep with its pinned dependencies on every node and start with "
    "--conf spark.pyspark.python=/path/to/that/python "
    f"--conf spark.pyspark.driver.python={shlex.quote(sys.executable)}"
)
"""Without the second, the driver would take the first too."""


def preflight(spark: SparkSession) -> dict[str, str]:
    """Return the versions of Python and of the packages on the workers; UserError in one line where they do not do.

    Costs one task of one row, and nothing at all in a local session whose workers run this very Python.
    A worker must have every package of `PACKAGES`, the driver's Python version to the minor, and the driver's
    sparkprep and numba versions exactly (the kernels decide the result); the others may differ.
    """
    here = driver_versions()
    if is_local(spark) and spark.sparkContext.pythonExec == sys.executable:
        return here
    there = worker_versions(spark)
    missing = [name for name in PACKAGES if not there[name]]
    if missing:
        raise UserError(f"the workers' Python ({there['executable']}) lacks {', '.join(missing)}: {_CURE}")
    for name in ("python", "sparkprep", "numba"):
        if _comparable(name, here[name]) != _comparable(name, there[name]):
            versions = f"{here[name]} here, {there[name]} at {there['executable']}"
            raise UserError(f"driver and workers differ in {name}: {versions}: {_CURE}")
    return there


def _comparable(name: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if name == "python" else version


def driver_versions() -> dict[str, str]:
    """Return name -> version for Python, its executable and `PACKAGES`; "" for a package that is not there."""
    return dict(_inspector(PACKAGES)())


def worker_versions(spark: SparkSession) -> dict[str, str]:
    """Return the same of one worker, by running one task; raises UserError where no Python worker comes up there."""
    inspect = _inspector(PACKAGES)
    try:
        found = spark.sparkContext.parallelize([0], 1).flatMap(lambda _: inspect()).collect()
    except (PySparkException, Py4JError) as error:
        raise UserError(_why_no_worker(str(error))) from error
    return dict(found)


def _inspector(packages: tuple[str, ...]) -> Callable[[], list[tuple[str, str]]]:
    """A function that looks around where it runs. Nested, so that Spark sends it by value: one at the top of this
    module would be sent by name, and a worker without sparkprep would die while loading it instead of telling us."""

    def inspect() -> list[tuple[str, str]]:
        import platform
        import sys
        from importlib import metadata, util

        found = [("python", platform.python_version()), ("executable", sys.executable)]
        for package in packages:
            try:
                found.append((package, metadata.version(package)))
            except metadata.PackageNotFoundError:  # a folder or a zip on the path carries no metadata
                found.append((package, "unversioned" if util.find_spec(package) else ""))
        return found

    return inspect


def _why_no_worker(message: str) -> str:
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
            return f"{words.format(match.group(1))}: {_CURE}"
    return f"no Python worker came up ({next((line for line in reversed(lines) if line.strip()), 'no reason given')})"
