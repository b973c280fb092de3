"""What the library's functions take beside settings, by name: one meaning and one check for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from sparkprep.errors import UserError, argument


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _is_yes_or_no(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_stream(value: Any) -> bool:
    return hasattr(value, "write") or hasattr(value, "line")  # a file, or a display of ours


def _is_session(value: Any) -> bool:
    return not isinstance(value, type) and hasattr(value, "createDataFrame")


_PATH = (_is_path, "a path")
_YES_OR_NO = (_is_yes_or_no, "True or False")
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "result": (_is_path, "what `deduplicate` returns, or a path"),
    "truth": (_is_path, "the path of a Parquet file or folder"),
    "input": (_is_path, "the path of the documents as Parquet"),
    "output": _PATH,
    "work": _PATH,
    "json": _PATH,
    "shards": _PATH,
    "index": _PATH,
    "crawl": (lambda value: isinstance(value, str), "a name"),
    "overwrite": _YES_OR_NO,
    "reuse": _YES_OR_NO,
    "keep_work": _YES_OR_NO,
    "resume": _YES_OR_NO,
    "progress": (_is_yes_or_no, "True, False or None"),
    "stream": (_is_stream, "an open text file, such as sys.stderr"),
    "spark": (_is_session, "a SparkSession"),
}


def check_arguments(required: Collection[str] = (), /, **given: Any) -> None:
    """Refuse arguments that are not of their kind, and empty paths and names. None stands for "not given".

    required: those that must be given. Raises UserError that names the argument and what it takes.
    """
    for name, value in given.items():
        is_right, takes = _KINDS[name]
        if value is None and name not in required:
            continue
        if not is_right(value):
            raise UserError(f"{argument(name)} takes {takes}, not {_shown(value)}")
        if isinstance(value, str) and not value:
            raise UserError(f"{argument(name)}: an empty value was given, as from a variable that is not set")


def _shown(value: Any) -> str:
    """Return a small value as Python writes it, of anything else the type."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    return f"a {type(value).__name__}"
