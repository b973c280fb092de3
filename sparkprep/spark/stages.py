"""The stages of a run, each done once: what one has finished is noted, and a later run of the same goes on from there.

A stage that has ended leaves a record: what it told, and which parts its tables have. A task that took a while leaves a
note beside its part. Both are JSON (`io/resuming.py` says where), written when that of which they tell lies there
whole.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from sparkprep.errors import InputChanged, UserError, argument
from sparkprep.io.files import (
    delete_file,
    delete_folder,
    file_names,
    info_of,
    make_folder,
    open_input,
    write_text,
)
from sparkprep.io.listing import DataFile, list_written
from sparkprep.io.output import OutputFolder
from sparkprep.io.parquet import WrittenFile
from sparkprep.io.paths import join_path
from sparkprep.io.resuming import (
    FORMAT,
    NOTES,
    Asked,
    check_same,
    fingerprint,
    finished,
    parts_folder,
    stage_file,
    write_manifest,
)
from sparkprep.io.typed_json import Unknown, decode, encode
from sparkprep.spark.progress import Progress, Stage
from sparkprep.spark.tables import PartFile, Table, Written
from sparkprep.units import counted

_PART = re.compile(r"part-\d{5,}\..*parquet")
NOTED_AFTER_S = 1.0
"""Seconds from which on a task's work is worth a note: on S3 that is one PUT, 0.0005 cents, and 50 ms."""

T = TypeVar("T")


class Files(Protocol):
    """An input's files."""

    @property
    def files(self) -> Sequence[DataFile]:
        """All of them, sorted by path."""

    def check_unchanged(self) -> None:
        """Raise InputChanged where one is not what it was when it was listed."""


@dataclass(frozen=True)
class PartNotes:
    """Where the tasks of a stage note their parts, and which of them an earlier run has noted; goes to the tasks.

    folder: "" where nothing is noted. tables: into which a task writes, as far as it tells (`Written`), one part each.
    kinds: the classes of what it tells.
    """

    folder: str = ""
    tables: tuple[Table, ...] = ()
    kinds: tuple[type, ...] = ()
    done: frozenset[int] = frozenset()
    least_seconds: float = NOTED_AFTER_S

    def once(self, number: int, work: Callable[[], T]) -> T:
        """Return what a task tells of its part: of one that an earlier run has finished, by its note, without work."""
        path = join_path(self.folder, f"{number}.json")
        if number in self.done and (known := self._known(path)):
            return known[0]  # type: ignore[no-any-return]
        begun = time.monotonic()
        told = work()
        if self.folder and time.monotonic() - begun >= self.least_seconds:
            try:
                content = encode(told)
            except Unknown:  # a value of the input's own, of a type that JSON does not have: the part is done again
                return told
            make_folder(self.folder)
            write_text(path, json.dumps({"version": FORMAT, "told": content}) + "\n")
        return told

    def _known(self, path: str) -> list[Any]:
        """Return what a note tells; nothing where it cannot be read, or the part is not as it tells."""
        try:
            with open_input(path) as stream:
                content = json.loads(stream.read())
            told = decode(content["told"], (*self.kinds, Written, WrittenFile))
        except (UserError, OSError, ValueError, KeyError, TypeError):
            return []
        for table, part in zip(self.tables, _parts(told), strict=True):
            if part.file.rows and info_of(table.file(part.number)).size != part.file.bytes:
                return []
        return [told]


def _parts(told: Any) -> Sequence[Written]:
    """Return the parts that a task tells of."""
    if isinstance(told, Written):
        return [told]
    return told if isinstance(told, list) else told.written


class Stages:
    """The stages of a run, in a folder where an earlier run may have finished some.

    job, options: what is asked for, as far as the answer depends on it; free: the options on which it does not. source:
    the input's files; None for a table of the program's own, which nobody can know again, so that nothing is noted.
    tasks: that run at once. Raises UserError where the folder is that of a run that was asked for something else.
    """

    def __init__(
        self,
        folder: OutputFolder,
        progress: Progress,
        job: str,
        options: Mapping[str, Any],
        source: Files | None,
        tasks: int,
        free: Sequence[str] = (),
    ) -> None:
        self._folder, self._progress, self._source = folder, progress, source
        self._path = folder.work
        self._from_before: list[dict[str, Any]] = []
        self._parts_from_before: dict[str, int] = {}
        self._order = 0
        self.tasks = tasks
        """that cut the input into pieces, whatever runs at once now"""
        self.fingerprint: str | None = None
        """of what is asked for, by which the finished result is known again; for its metrics"""
        if source is None:
            if folder.resume:
                raise UserError(
                    f"{argument('resume', True)}: documents that are no files cannot be known again; write them to "
                    "files, or leave that out"
                )
            return
        self._begin(job, options, source.files, free)
        folder.notes = self

    def _begin(self, job: str, options: Mapping[str, Any], files: Sequence[DataFile], free: Sequence[str]) -> None:
        folder, earlier = self._folder, self._folder.earlier
        self.tasks = earlier.tasks if earlier else self.tasks
        stamps = [(file.path, file.size, file.mtime_ns or 0) for file in files]
        asked = Asked(job, options, stamps, folder.scratch, self.tasks)
        self.fingerprint = fingerprint(asked, free)
        folder.check_finished(self.fingerprint)
        if earlier is not None:
            check_same(earlier, asked, free)
            folder.accept()
            self._progress.tell(f"going on from {earlier.path}, which an earlier run has left")
        elif folder.resume:
            self._progress.tell("no earlier run to go on from: starting from the beginning")
        self._runs = earlier.runs + 1 if earlier else 1
        write_manifest(self._path, asked, self._runs)

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier run has worked in the folder."""
        return self._folder.earlier is not None

    def finished(self) -> list[str]:
        """Return what has been finished, in words, by this run or an earlier one."""
        return finished(self._path)

    def can_be_resumed(self) -> bool:
        """Return whether the input still is what it was."""
        try:
            if self._source is not None:
                self._source.check_unchanged()
        except InputChanged:
            return False
        except UserError:  # it cannot be seen just now
            return True
        return True

    def once(
        self,
        name: str,
        work: Callable[[], T],
        kinds: Sequence[type] = (),
        tables: Sequence[Table] = (),
        folders: Sequence[str] = (),
        told: bool = True,
    ) -> T:
        """Do the work of a stage, or return what it told in an earlier run, whose tables and folders lie there still.

        kinds: the classes of what it tells. tables: those that it writes, and later ones read. folders: others that it
        writes, with nothing else in them, which are emptied before it is done again. told: whether users know it.
        """
        if self._source is None:
            return work()
        self._order += 1
        record = self._record(name) if self.is_resumed else None
        if record is not None and self._lies_there(record, tables, folders):
            value = decode(record["value"], kinds)
            self._restore(record, tables)
            self._tell(record)
            return value  # type: ignore[no-any-return]
        if self.is_resumed:
            for folder in folders:
                delete_folder(folder)
        before = len(self._progress.stages)
        value = work()
        self._save(name, value, tables, folders, self._progress.stages[before:], told)
        return value

    def notes(self, name: str, tables: Sequence[Table], kinds: Sequence[type] = (), thing: str = "part") -> PartNotes:
        """Return where the tasks of a stage, numbered alike in each run of the same, note their parts.

        tables: into which a task writes a part each, in the order in which it tells of them.
        """
        if self._source is None:
            return PartNotes()
        folder = parts_folder(self._path, name)
        done = frozenset(int(each.removesuffix(".json")) for each in file_names(folder)) if self.is_resumed else set()
        if done:
            self._parts_from_before[name] = len(done)
            self._progress.tell(f"{name:<12}{counted(len(done), thing)} finished by the earlier run")
        places = tuple(Table(table.path, table.schema, table.form) for table in tables)
        return PartNotes(folder, places, tuple(kinds), frozenset(done), NOTED_AFTER_S)

    def sweep(self, tables: Sequence[Table]) -> None:
        """Delete what lies in tables of a result and is none of their parts: an earlier run may have cut them finer."""
        if self.is_resumed:
            for table in tables:
                parts = {part.name for part in table.files}
                for name in file_names(table.path):
                    if _PART.fullmatch(name) and name not in parts:
                        delete_file(join_path(table.path, name))

    def figures(self) -> dict[str, Any] | None:
        """Return what of the run's work was done before it, for its metrics; None where nothing was."""
        if not self.is_resumed:
            return None
        return {"runs": self._runs, "stages": self._from_before, "parts": self._parts_from_before}

    def _record(self, name: str) -> dict[str, Any] | None:
        """Return the record of a stage; None where there is none that this version can read."""
        path = stage_file(self._path, name)
        try:
            with open_input(path) as stream:
                record = json.loads(stream.read())
        except (UserError, OSError, ValueError):
            return None
        return record if isinstance(record, dict) and record.get("version") == FORMAT else None

    def _lies_there(self, record: Mapping[str, Any], tables: Sequence[Table], folders: Sequence[str]) -> bool:
        """Return whether the parts of a stage's tables, and the files in its folders, are those of its record."""
        for table, files in zip(tables, record["tables"], strict=True):
            sizes = _sizes(table.path)
            if any(sizes.get(file["name"]) != file["bytes"] for file in files):
                return False
        return all(_sizes(folder) == sizes for folder, sizes in zip(folders, record["folders"], strict=True))

    @staticmethod
    def _restore(record: Mapping[str, Any], tables: Sequence[Table]) -> None:
        for table, numbers, files in zip(tables, record["numbers"], record["tables"], strict=True):
            table.parts = None if numbers is None else dict(numbers)
            table.files = [
                PartFile(file["name"], WrittenFile(file["rows"], file["bytes"], file["sha256"])) for file in files
            ]

    def _save(
        self,
        name: str,
        value: object,
        tables: Sequence[Table],
        folders: Sequence[str],
        stages: Sequence[Stage],
        told: bool,
    ) -> None:
        record = {
            "version": FORMAT,
            "order": self._order,
            "is_told": told,
            "value": encode(value),
            "tables": [table.manifest() for table in tables],
            "numbers": [None if table.parts is None else list(table.parts.items()) for table in tables],
            "folders": [_sizes(folder) for folder in folders],
            "stages": [asdict(stage) for stage in stages],
        }
        make_folder(join_path(self._path, NOTES, "stages"))
        write_text(stage_file(self._path, name), json.dumps(record) + "\n")

    def _tell(self, record: Mapping[str, Any]) -> None:
        """Say what is not done again."""
        self._from_before += record["stages"]
        for stage in record["stages"]:
            documents = f", {stage['documents']:,} documents" if stage["documents"] else ""
            self._progress.skip(stage["name"], f"finished by the earlier run{documents}")


def _sizes(folder: str) -> dict[str, int]:
    """Return the data files in a folder, by name, with their bytes; none where there is no folder."""
    try:
        return {file.path.rpartition("/")[2]: file.size for file in list_written(folder)}
    except UserError:
        return {}
