"""Which files of our own jobs' result folders are rows for the next job, and which only tell of the run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from sparkprep.errors import UserError
from sparkprep.io.files import exists
from sparkprep.io.json_files import read_json
from sparkprep.io.paths import join_path
from sparkprep.io.walking import Entry, Tree

_METRICS, _REPORT, _KEPT, _DOCUMENTS = "metrics.json", "report.html", "kept/", "documents/"
_TOKENS_METRICS, _REJECTED = "_metrics.json", "rejected/"
_OF_DEDUP = {"counts": dict, "settings": dict, "versions": dict}
_OF_SEVERAL = {"thresholds": list, "steps": list, "settings": dict}
_OF_EXTRACT = {"records": int, "documents": int, "without_document": dict}
_OF_TOKENIZE = {"asked": dict, "tokens": int, "vocabulary_sha256": str}
_NO_ROWS = re.compile(r"metrics\.json|report\.html|kept-\w+\.snappy\.parquet|(?:removed|rejected|skipped|audit)/.*")
"""What else a result of `dedup` or `extract` holds, beside kept/ or documents/."""
_MANIFEST = "manifest.json"
_JOBS: Mapping[str, Mapping[str, type]] = {
    "extract": _OF_EXTRACT,
    "filter": {"rules": list, "counts": dict, "settings": dict},
    "dedup": {"candidates": dict, "counts": dict, "settings": dict},
    "decontaminate": {"benchmarks": list, "counts": dict, "settings": dict},
}
"""What metrics.json of a job holds, and that of no other."""
_PART_OF_REMOVED = re.compile(r"((?:.*/)?)removed/part-\d{5,}\.snappy\.parquet")


class HasOutput(Protocol):
    """What one of our jobs returns to a program: a result in a folder."""

    @property
    def output(self) -> str:
        """The folder that holds it."""


def results_in(folder: str) -> list[str]:
    """Return the folders of the results that a run of `dedup` with several thresholds has put into one, in their order.

    None where it is another folder.
    """
    metrics = _ours(folder, [""], _METRICS, _OF_SEVERAL).get("", {})
    names = [each.get("folder") for each in metrics.get("thresholds", ()) if isinstance(each, dict)]
    return [join_path(folder, name) for name in names if isinstance(name, str)]


def refuse_several(folder: str) -> None:
    """Raise UserError where a folder holds the results of several thresholds, one of which must be named."""
    folders = results_in(folder)
    if folders:
        raise UserError(
            f"{folder}: holds the results of {len(folders)} thresholds: name one of them, {' or '.join(folders)}"
        )


def place_of(given: Any) -> Any:
    """Return the folder of a result that a program hands over; anything else as it is."""
    output = None if isinstance(given, str) else getattr(given, "output", None)
    return output if isinstance(output, str) else given


def job_of(folder: str, advice: str) -> str:
    """Return which job has made the result in a folder: extract, filter, dedup or decontaminate.

    Raises UserError, with the advice, where there is no such folder, or no finished result of these.
    """
    if not exists(folder):
        raise UserError(f"{folder}: no such folder; {advice}")
    path = join_path(folder, _METRICS)
    if not exists(path):
        for name, verb in ((_TOKENS_METRICS, "tokenize"), (_MANIFEST, "shards")):
            if exists(join_path(folder, name)):
                raise UserError(f"{folder}: a result of `{verb}`, which decides nothing about documents; {advice}")
        raise UserError(f"{folder}: it holds no {_METRICS}, so it is no finished result; {advice}")
    refuse_several(folder)
    job = job_of_metrics(read_json(path, advice))
    if job is None:
        raise UserError(f"{path}: not of a finished result that could be asked; {advice}")
    return job


def job_of_metrics(metrics: Mapping[str, Any]) -> str | None:
    """Return which job has written these metrics, extract, filter, dedup or decontaminate; None for any others."""
    for job, keys in _JOBS.items():
        if all(isinstance(metrics.get(key), kind) for key, kind in keys.items()):
            return job
    return None


def refuse_other(folder: str, job: str, advice: str) -> None:
    """Raise UserError, with the advice, where a folder holds the result of another job than `job`."""
    try:
        other = job_of(folder, advice)
    except UserError:
        return
    if other != job:
        report = join_path(folder, _REPORT)
        shown = f" (of this one, {report} tells)" if exists(report) else ""
        raise UserError(f"{folder}: a result of `{other}`, not of `{job}`; {advice}{shown}")


def rows_of_results(path: str, tree: Tree) -> tuple[list[Entry], list[Entry]]:
    """Return the files of a folder without those of our results that are no rows, and those that no run of ours made.

    Of a result of `dedup`, at any depth, kept/ is taken and nothing beside it; of one of `extract`, documents/; of one
    of `tokenize`, all but rejected/.
    Raises UserError where such a result is not whole: its metrics are not there, which are written last, or a part that
    they list; and for the folder of several thresholds' results, which hold the same documents.
    """
    visible = [entry.relative for entry in tree.files]
    with_metrics = _folders_with(_METRICS, visible)
    holding_results = with_metrics & {re.sub(r"[^/]+/\Z", "", folder) for folder in with_metrics if folder}
    for folder in sorted(_ours(path, holding_results, _METRICS, _OF_SEVERAL)):
        refuse_several(_place(path, folder))
    rows_in: dict[str, str] = {}
    there = set(visible)
    for place, keys in ((_KEPT, _OF_DEDUP), (_DOCUMENTS, _OF_EXTRACT)):
        holding = _folders_holding(place, (*visible, *tree.hidden))
        for folder, metrics in _ours(path, holding & with_metrics, _METRICS, keys).items():
            rows_in[folder] = place
            parts = metrics.get("parts")  # a result of an earlier version has none
            of_rows = parts.get(place.removesuffix("/")) if isinstance(parts, dict) else parts
            _refuse_without_parts(path, there, folder, _METRICS, place, of_rows)
    _refuse_without_metrics(path, visible, _folders_holding(_KEPT, (*visible, *tree.hidden)) - rows_in.keys())
    tokens = _ours(path, _folders_with(_TOKENS_METRICS, tree.hidden), _TOKENS_METRICS, _OF_TOKENIZE)
    for folder, metrics in tokens.items():
        _refuse_without_parts(path, there, folder, _TOKENS_METRICS, "", metrics.get("parts"))
    rows: list[Entry] = []
    strangers: list[Entry] = []
    for entry in tree.files:
        above = _above(entry.relative)
        if any(entry.relative.startswith(_REJECTED, len(folder)) for folder in above if folder in tokens):
            continue
        inside = {folder: entry.relative[len(folder) :] for folder in above if folder in rows_in}
        if all(name.startswith(rows_in[folder]) for folder, name in inside.items()):
            rows.append(entry)
        elif not any(_NO_ROWS.fullmatch(name) for name in inside.values()):
            strangers.append(entry)
    return rows, strangers


def _above(relative: str) -> list[str]:
    """Return the folders that a path leads through, from "" on, each with "/" at its end."""
    return ["", *(relative[: slash.end()] for slash in re.finditer("/", relative))]


def _folders_holding(name: str, paths: Iterable[str]) -> set[str]:
    """Return the folders, as `_above` writes them, in which something lies in a folder of this name."""
    return {folder for path in paths for folder in _above(path) if path.startswith(name, len(folder))}


def _folders_with(name: str, paths: Iterable[str]) -> set[str]:
    """Return the folders, as `_above` writes them, that hold a file of this name."""
    return {path.removesuffix(name) for path in paths if f"/{path}".endswith(f"/{name}")}


def _ours(path: str, folders: Iterable[str], name: str, keys: Mapping[str, type]) -> dict[str, dict[str, Any]]:
    """Return the metrics of each folder in which a file of this name holds those of a run of ours, by their keys."""
    found = {}
    for folder in folders:
        with contextlib.suppress(UserError):
            found[folder] = read_json(join_path(path, *f"{folder}{name}".split("/")), "", keys)
    return found


def _refuse_without_metrics(path: str, visible: Iterable[str], folders: Iterable[str]) -> None:
    """Refuse a folder with kept and removed rows as a run of ours writes them: all would be read as documents."""
    half = sorted(_folders_of(_PART_OF_REMOVED, visible).intersection(folders))
    if half:
        folder = _place(path, half[0])
        raise UserError(
            f"{folder}: holds kept/ and removed/ as a result of `dedup` does, and no {_METRICS} of one, which is "
            f"written last, so that it is not whole: copy or make it again, or name {join_path(folder, 'kept')} to "
            "take what is there"
        )


def _folders_of(pattern: re.Pattern[str], paths: Iterable[str]) -> set[str]:
    """Return the folders, as `_above` writes them, from which a path goes on as the pattern says."""
    return {match[1] for path in paths if (match := pattern.fullmatch(path))}


def _refuse_without_parts(path: str, there: set[str], folder: str, metrics: str, rows: str, parts: Any) -> None:
    """Refuse a result that lacks a file that its metrics list as `parts`, if they do."""
    names = [part["name"] for part in parts or () if isinstance(part, dict) and isinstance(part.get("name"), str)]
    missing = sorted(name for name in names if f"{folder}{rows}{name}" not in there)
    if missing:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise UserError(
            f"{_place(path, folder)}: not whole: {_place(path, folder + rows + missing[0])}{more}, which "
            f"{metrics} lists, is not there; restore it, or make the result again"
        )


def _place(path: str, relative: str) -> str:
    return join_path(path, *filter(None, relative.split("/")))
