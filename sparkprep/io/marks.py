"""Files and folders whose presence says that those beside them are not to be read as they lie.

A table format's log says which files count, and which rows of them; a run of ours notes that it has not finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from sparkprep.commands import command
from sparkprep.errors import UserError
from sparkprep.io.files import UNFINISHED, exists, file_names
from sparkprep.io.heartbeat import HEARTBEAT
from sparkprep.io.paths import join_path
from sparkprep.io.walking import Tree, folders_above

_ICEBERG_FOLDER, _ICEBERG_SUFFIXES = "metadata", (".metadata.json", ".metadata.json.gz")
_TABLES = {
    "_delta_log": ("a Delta table", 'spark.read.format("delta").load({0!r})'),
    ".hoodie": ("a Hudi table", 'spark.read.format("hudi").load({0!r})'),
    _ICEBERG_FOLDER: ("an Iceberg table", 'spark.table("CATALOG.NAMESPACE.TABLE")'),
    "_spark_metadata": ("written by Spark Structured Streaming", "spark.read.parquet({0!r})"),
}
"""Mark -> what the folder is that holds it, and what reads its current version."""
_ASKED_AT_ONCE = 16


def refuse_marked(path: str, tree: Tree | None) -> None:
    """Raise UserError where a table's log, or the note of an unfinished run, lies at a path, below it or above.

    path: as `paths.normalise` returns it. tree: what lies below; None for a file.
    """
    if tree is not None:
        for name in sorted(tree.hidden):
            folder, _, mark = name.rpartition("/")
            _refuse(join_path(path, folder) if folder else path, mark)
        for file in tree.files:
            *above, parent, name = ["", "", *file.relative.split("/")]
            if parent == _ICEBERG_FOLDER and name.endswith(_ICEBERG_SUFFIXES):
                _refuse(join_path(path, *filter(None, above)), _ICEBERG_FOLDER)
    folders = list(folders_above(path))
    marks = [(folder, mark) for folder in folders for mark in (*_TABLES, UNFINISHED, HEARTBEAT)]
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:  # on S3 each question takes its time
        answers = list(pool.map(_is_there, marks))
    for (folder, mark), there in zip(marks, answers, strict=True):
        if there:
            _refuse(folder, mark)


def _is_there(place: tuple[str, str]) -> bool:
    """Return whether a folder holds that mark; not where it may not be looked into, being above what was asked for."""
    folder, mark = place
    path = join_path(folder, mark)
    try:
        if mark == _ICEBERG_FOLDER:
            return _holds_iceberg(file_names(path))
        return exists(path)
    except UserError:
        return False


def _holds_iceberg(names: Iterable[str]) -> bool:
    return any(name.endswith(_ICEBERG_SUFFIXES) for name in names)


def _refuse(folder: str, mark: str) -> None:
    if mark == UNFINISHED:
        raise UserError(
            f"{folder}: the result of a run that has not finished ({join_path(folder, mark)} says where it lies whole, "
            "if anywhere); wait for its end, or start it again"
        )
    if mark == HEARTBEAT:
        raise UserError(
            f"{folder}: where a run works that has not finished ({mark} is its mark), so that it is not whole; take "
            f"the run's result, or, if it was killed, remove this with `{command('clean', folder)}`"
        )
    if mark in _TABLES:
        what, read = _TABLES[mark]
        raise UserError(
            f"{folder}: {what} ({mark}): its log says which of its files and rows still count, and they hold deleted "
            f"and replaced ones too; write the current version out first ({read.format(folder)}.write.parquet('NEW')) "
            "and take that"
        )
