"""The versions of what has made a result."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def versions(spark: str, packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Spark, which is given, of Python, sparkprep and these packages."""
    installed = {"spark": spark, "python": platform.python_version()}
    for package in ("sparkprep", *packages):
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = "not installed"
    return installed
