"""What lies in an input and is not read: told of, or where it is no data by its name, counted and named in metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkprep.errors import UserError

WITHOUT_ROWS = "without rows"
OF_RESULT = "beside the rows of a result"
"""Of what a run of ours has written beside its rows."""
_SHOWN = 5
_MOST_NAMED = 1_000


@dataclass(frozen=True)
class LeftOut:
    """A file (or, with "/" at its end, a folder) in the input that is not read.

    reason: stands between "1 file" and "left out". is_data: whether it may hold documents, so that a warning names it.
    """

    path: str
    reason: str
    is_data: bool = True


def tell_left_out(left_out: Iterable[LeftOut]) -> list[str]:
    """Return a line for each reason, with the number of files that may hold documents and the first of their paths."""
    by_reason: dict[str, list[str]] = {}
    for each in left_out:
        if each.is_data:
            by_reason.setdefault(each.reason, []).append(each.path)
    lines = []
    for reason, paths in by_reason.items():
        paths = sorted(paths)
        more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
        lines.append(
            f"{len(paths):,} {'file' if len(paths) == 1 else 'files'} {reason} left out: "
            f"{', '.join(paths[:_SHOWN])}{more}"
        )
    return lines


def nothing_left(left_out: Iterable[LeftOut]) -> UserError:
    """Return the error to raise where no file with documents is left."""
    return UserError(f"the input holds no document: {'; '.join(tell_left_out(left_out))}; name one that does")


def name_left_out(left_out: Sequence[LeftOut]) -> dict[str, Any]:
    """Return the number of all that was left out, and the paths of the first 1,000 with their reasons, as JSON has it.

    >>> name_left_out([LeftOut("in/README", "that tells of the data")])
    {'files': 1, 'first': [{'path': 'in/README', 'reason': 'that tells of the data'}]}
    """
    ordered = sorted(left_out, key=lambda each: each.path)[:_MOST_NAMED]
    return {"files": len(left_out), "first": [{"path": each.path, "reason": each.reason} for each in ordered]}


def left_out_row(metrics: Mapping[str, Any], file: str) -> list[tuple[str, str]]:
    """Return the row of a summary that counts them; none where there are none but our own.

    metrics: with `name_left_out` under "left_out", as `file` holds them.
    """
    left_out = metrics.get("left_out", {"files": 0, "first": []})  # a manifest of an earlier version has none
    own = sum(each["reason"] == OF_RESULT for each in left_out["first"])
    files = left_out["files"] - own
    return [("left out", f"{files:,} of the input's files, named in {file}")] if files else []
