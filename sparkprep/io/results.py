"""Which files of our own jobs' result folders are rows for the next job, and which only tell of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from sparkprep.errors import UserError
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import join_path
from sparkprep.io.walking import Entry, Tree

_DEDUP_METRICS, _KEPT = "metrics.json", "kept/"
_TOKENS_METRICS, _REJECTED = "_metrics.json", "rejected/"
_OF_DEDUP = {"counts": dict, "settings": dict, "versions": dict}
_OF_TOKENIZE = {"asked": dict, "tokens": int, "vocabulary_sha256": str}
_NO_ROWS = re.compile(r"metrics\.json|report\.html|kept-\w+\.snappy\.parquet|(?:removed|rejected|audit)/.*")
"""What else a result of near-duplicate removal holds, beside kept/."""


class HasOutput(Protocol):
    """What one of our jobs returns to a program: a result in a folder."""

    @property
    def output(self) -> str:
        """The folder that holds it."""


def place_of(given: Any) -> Any:
    """Return the folder of a result that a program hands over; anything else as it is."""
    output = None if isinstance(given, str) else getattr(given, "output", None)
    return output if isinstance(output, str) else given


def rows_of_results(path: str, tree: Tree) -> tuple[list[Entry], list[Entry]]:
    """Return the files of a folder without those of our results that are no rows, and those that no run of ours made.

    Of a result of `dedup`, at any depth, kept/ is taken and nothing beside it; of one of `tokenize`, all but rejected/.
    """
    visible = [entry.relative for entry in tree.files]
    kept = {
        folder for name in (*visible, *tree.hidden) for folder in _above(name) if name.startswith(_KEPT, len(folder))
    }
    dedup = {
        folder
        for folder in kept.intersection(_folders_with(_DEDUP_METRICS, visible))
        if _is_ours(path, folder + _DEDUP_METRICS, _OF_DEDUP)
    }
    tokens = {
        folder
        for folder in _folders_with(_TOKENS_METRICS, tree.hidden)
        if _is_ours(path, folder + _TOKENS_METRICS, _OF_TOKENIZE)
    }
    rows: list[Entry] = []
    strangers: list[Entry] = []
    for entry in tree.files:
        above = _above(entry.relative)
        if any(entry.relative.startswith(_REJECTED, len(folder)) for folder in above if folder in tokens):
            continue
        inside = [entry.relative[len(folder) :] for folder in above if folder in dedup]
        if all(name.startswith(_KEPT) for name in inside):
            rows.append(entry)
        elif not any(_NO_ROWS.fullmatch(name) for name in inside):
            strangers.append(entry)
    return rows, strangers


def _above(relative: str) -> list[str]:
    """Return the folders that a path leads through, from "" on, each with "/" at its end."""
    return ["", *(relative[: slash.end()] for slash in re.finditer("/", relative))]


def _folders_with(name: str, paths: Iterable[str]) -> set[str]:
    """Return the folders, as `_above` writes them, that hold a file of this name."""
    return {path.removesuffix(name) for path in paths if f"/{path}".endswith(f"/{name}")}


def _is_ours(path: str, relative: str, keys: Mapping[str, type]) -> bool:
    """Return whether a file holds the metrics of a run of ours, by the values that it must have."""
    try:
        read_json(join_path(path, *relative.split("/")), "", keys)
    except UserError:
        return False
    return True
