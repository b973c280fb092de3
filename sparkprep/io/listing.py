"""Which data files an input is: decided here once, for all jobs. Each file is read, or told of as left out, or refused.

Files and folders searched to the bottom, each file once and with its format.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa

from sparkprep.errors import InputChanged, UserError, argument
from sparkprep.io.files import UNFINISHED, cause
from sparkprep.io.formats import CODECS, KNOWN_EXTENSIONS, PARQUET, format_of
from sparkprep.io.left_out import OF_RESULT, WITHOUT_ROWS, LeftOut, nothing_left, tell_left_out
from sparkprep.io.marks import refuse_marked
from sparkprep.io.paths import join_path, normalise
from sparkprep.io.recognise import (
    DATASET_NOTES,
    HEAD_BYTES,
    MAGIC_BYTES,
    PARQUET_MAGIC,
    holds_documents,
    is_archive,
    is_one_object,
    read_head,
    what_is,
)
from sparkprep.io.results import rows_of_results
from sparkprep.io.walking import Entry, Tree, entry_of, walk

_NO_DATA = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|authors|citation)([-.]\w+)?"
    r"|.*\.(md|rst|txt|pdf|bib|cff|crc|md5|sha\d+|log|py|sh|ipynb|yaml|yml|toml|cfg|ini|png|jpg|jpeg|gif|svg)"
    r"|.*_\$folder\$",  # how EMR's older file system marks a folder
    re.IGNORECASE,
)
"""Names of what lies beside data and is none: left out without a warning."""
_HIDDEN = "whose names begin with '_' or '.'"
_OURS = ("_metrics.json", UNFINISHED)
_OUR_REJECTED = "_rejected"
_READERS = 16


@dataclass(frozen=True)
class DataFile:
    """One input file.

    path: absolute local path, or an s3:// URI. size: bytes. format: "parquet", "jsonl", "jsonl.gz" or "jsonl.zst".
    partition: (column, value) pairs of `column=value` folders between the folder asked for and the file, as in Hive.
    mtime_ns: time of its last change, where known. named: whether the user named this very file, not its folder.
    """

    path: str
    size: int
    format: str
    partition: tuple[tuple[str, str], ...] = ()
    mtime_ns: int | None = None
    named: bool = False


@dataclass(frozen=True)
class Listing:
    """The files that an input is, sorted by path, and what in it is not read.

    paths: what the user named; none where the files are what a run of ours has written for itself. empty: those of
    the files left out that have no rows, as long as nothing is written to them.
    """

    files: list[DataFile]
    left_out: tuple[LeftOut, ...] = ()
    paths: tuple[str, ...] = ()
    text_column: str = "text"
    empty: tuple[DataFile, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What is to be told of the files left out: a line for each reason."""
        return tell_left_out(self.left_out)

    def without(self, left_out: Iterable[LeftOut]) -> Listing:
        """Return the listing with some of its files left out. Raises UserError where none is left."""
        left_out = (*self.left_out, *left_out)
        reasons = {each.path: each.reason for each in left_out}
        files = [file for file in self.files if file.path not in reasons]
        if not files:
            raise nothing_left(left_out)
        empty = (file for file in self.files if reasons.get(file.path) == WITHOUT_ROWS)
        return replace(self, files=files, left_out=left_out, empty=(*self.empty, *empty))

    def check_unchanged(self) -> None:
        """Compare each file with what it was when it was listed, and look for files that were not there then.

        Raises UserError naming the first that is another now, or new. A new listing tells of thousands of files in one
        request to S3; only those that it does not show as they were are asked for one by one.
        """
        files = [*self.files, *self.empty]
        if not self.paths:
            check_unchanged(files)
            return
        try:
            now = {file.path: file for file in list_files(self.paths, self.text_column)}
        except UserError as error:
            check_unchanged(files)
            raise _changed(f"the input has changed while the job ran: {error}") from error
        check_unchanged([file for file in files if not _is_as_it_was(file, now.get(file.path))])
        known = {file.path for file in self.files} | {each.path for each in self.left_out}
        added = min(now.keys() - known, default=None)
        if added is not None:
            raise _changed(f"{added}: was added while the job ran")


def stamps(files: Sequence[DataFile]) -> list[list[str | int]]:
    """Name, bytes and time of change (ns) of each file: whether an input is still the one that it was."""
    return [[file.path.rsplit("/", 1)[-1], file.size, file.mtime_ns or 0] for file in files]


def check_unchanged(files: Sequence[DataFile]) -> None:
    """Compare each file with what it was when it was listed. Raises UserError naming the first that is another now."""

    def problem(file: DataFile) -> str | None:
        try:
            now = entry_of(file.path)
        except (UserError, OSError, pa.ArrowException):
            now = None
        if now is None:
            return f"{file.path}: is not there any more; it was when the job began"
        if not _is_as_it_was(file, now):
            return f"{file.path}: has changed while the job ran"
        return None

    with ThreadPoolExecutor(_READERS) as pool:
        changed = next(filter(None, pool.map(problem, files)), None)
    if changed:
        raise _changed(changed)


def _is_as_it_was(file: DataFile, now: DataFile | Entry | None) -> bool:
    return now is not None and now.size == file.size and file.mtime_ns in (None, now.mtime_ns)


def _changed(what: str) -> InputChanged:
    return InputChanged(f"{what}; run again when nothing writes to the input")


def list_input(paths: Sequence[str | os.PathLike[str]], text_column: str = "text") -> Listing:
    """Return the data files at `paths` (files, or folders searched to the bottom), and what in them is left out.

    In folders, names that start with '.' or '_' are passed over, as Spark does. Of a result of ours the rows are taken
    (`rows_of_results`). Files of other kinds are left out, unless they begin as Parquet does; JSON that holds no
    documents (objects with `text_column`) is, where it lies beside Parquet or beside the folders that name columns.
    Raises UserError for a missing path, a path without any data file, another kind of file named outright, Parquet and
    JSON Lines in one input, a table of Delta, Iceberg or Hudi, and a result that is not finished.
    """
    if not paths:
        raise UserError(f"no input was given; name a file or folder as {argument('input')}")
    found: dict[str, DataFile] = {}
    left_out: dict[str, LeftOut] = {}
    for path in paths:
        at_path, others = _data_files(normalise(path), text_column)
        for real, file in sorted(at_path, key=lambda each: each[1].path):
            first = found.setdefault(real, file)
            found[real] = replace(first, named=first.named or file.named)
        left_out |= {each.path: each for each in others}
    files = sorted(found.values(), key=lambda file: file.path)
    sidecars = _sidecars(files, text_column)
    reason = f"of JSON without documents (no object with a column '{text_column}')"
    read = {file.path for file in files}  # what one path leaves out, another may name
    unread = tuple(each for each in left_out.values() if each.path not in read)
    listing = Listing(files, unread, tuple(normalise(path) for path in paths), text_column)
    return listing.without(LeftOut(file.path, reason) for file in sidecars)


def list_files(paths: Sequence[str | os.PathLike[str]], text_column: str = "text") -> list[DataFile]:
    """Return the files of `list_input` alone, for where what is left out is told elsewhere."""
    return list_input(paths, text_column).files


def list_written(folder: str) -> list[DataFile]:
    """Return the data files that this very run has written to a folder, sorted by path; none where there are none."""
    try:
        entries = walk(normalise(folder)).files
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{folder}: cannot be listed: {cause(error)}") from error
    files = [_data_file(entry, kind) for entry in entries if (kind := format_of(entry.relative))]
    return sorted(files, key=lambda file: file.path)


def _data_files(path: str, text_column: str) -> tuple[list[tuple[str, DataFile]], list[LeftOut]]:
    """Return the data files at one path, each with what it is under any name, and what is left out."""
    try:
        entry = entry_of(path)
        tree = walk(path) if entry is None else None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be listed: {cause(error)}") from error
    refuse_marked(path, tree)
    if entry is not None:
        return [(entry.real, replace(_data_file(entry, _format_of_named(entry)), named=True))], []
    assert tree is not None
    rows, strangers = rows_of_results(path, tree)
    kinds = {row: format_of(row.relative) for row in rows}
    unknown = [row for row, kind in kinds.items() if kind is None]
    data = [row for row in unknown if row.size and not _NO_DATA.fullmatch(_name(row))]
    with ThreadPoolExecutor(_READERS) as pool:
        heads = dict(zip(data, pool.map(lambda row: read_head(row.path, len(PARQUET_MAGIC)), data), strict=True))
    kinds |= {row: PARQUET for row, head in heads.items() if head == PARQUET_MAGIC}
    files = [(row.real, _data_file(row, kind)) for row, kind in kinds.items() if kind is not None]
    read = {real for real, _ in files}
    unread = [row for row in unknown if kinds[row] is None and row.real not in read]
    others = [row for row in unread if row in heads]
    if not files or (others and _tell_of_others(files, text_column)):
        raise UserError(_nothing_in(path, unknown, others))
    told = [LeftOut(row.path, "of other kinds") for row in others]
    told += [LeftOut(hidden, _HIDDEN) for hidden in tree.hidden_files if _is_hidden_data(hidden)]
    told += [LeftOut(each.path, "beside the documents of a result") for each in strangers]
    return files, [*told, *_without_data(path, tree, {row.path for row in (*rows, *strangers)}, unread, told)]


def _tell_of_others(files: Iterable[tuple[str, DataFile]], text_column: str) -> bool:
    """Return whether files are all JSON of one object that is no document, as what tells of files of other kinds is."""
    for _, file in files:
        if file.format == PARQUET:
            return False
        head = _head(file)
        if holds_documents(*head, text_column) or not is_one_object(*head):
            return False
    return True


def _without_data(
    path: str, tree: Tree, looked_at: Collection[str], unread: Iterable[Entry], told: Iterable[LeftOut]
) -> Iterator[LeftOut]:
    """Yield what is left out in a folder besides what is told, being no data by its name, size or place."""
    known = {each.path for each in told}
    for entry in tree.files:
        if entry.path not in looked_at:
            yield LeftOut(entry.path, OF_RESULT, is_data=False)
    for entry in unread:
        if entry.path not in known:
            yield LeftOut(entry.path, "that only tells of the data" if entry.size else "of 0 bytes", is_data=False)
    hidden_files = set(tree.hidden_files)
    for relative in tree.hidden:
        hidden = join_path(path, relative)
        if hidden not in known:
            reason = OF_RESULT if relative.rpartition("/")[2] in (*_OURS, _OUR_REJECTED) else _HIDDEN
            yield LeftOut(hidden if hidden in hidden_files else f"{hidden}/", reason, is_data=False)


def _is_hidden_data(path: str) -> bool:
    name = path.rpartition("/")[2]
    return format_of(name) is not None and name not in _OURS and ".partial-" not in name


def _format_of_named(entry: Entry) -> str:
    """Return the format of a file that the user named. Raises UserError where it is another kind."""
    kind = format_of(entry.relative)
    if kind is not None:
        return kind
    head = read_head(entry.path, MAGIC_BYTES)
    if head.startswith(PARQUET_MAGIC):
        return PARQUET
    raise UserError(
        f"{entry.path}: unknown kind of file{_looks_like(entry.path, head)}; known extensions are {KNOWN_EXTENSIONS}"
    )


def _nothing_in(path: str, unknown: Sequence[Entry], others: Sequence[Entry]) -> str:
    """Return the message for a folder without data files: what there is instead, and what the first of it is."""
    names = dict.fromkeys(os.path.splitext(_name(row))[1] or _name(row) for row in unknown)
    what = f"only files of other kinds ({', '.join(list(names)[:10])})" if names else "nothing"
    first = min(others, key=lambda row: (not is_archive(row.path), row.path), default=None)
    looks = _looks_like(first.path, read_head(first.path, MAGIC_BYTES), path) if first else ""
    looks = f"; {first.path}{looks}" if first and looks else ""
    return f"{path}: no data file in this folder, {what}{looks}; known extensions are {KNOWN_EXTENSIONS}"


def _looks_like(path: str, head: bytes, folder: str = "") -> str:
    recognised = what_is(head, path)
    return f" ({recognised.told(path, folder=folder)})" if recognised else ""


def _sidecars(files: Sequence[DataFile], text_column: str) -> set[DataFile]:
    """Return the JSON files that only tell of the data: beside Parquet, or beside folders that name columns; and what
    Hugging Face's libraries write of a data set, beside any other file.

    Raises UserError where documents are of both kinds.
    """
    notes = {file for file in files if _is_named_as_note(file) and is_one_object(*_head(file))}
    notes = notes if len(notes) < len(files) else set()
    parquet = next((file for file in files if file.format == PARQUET), None)
    json = [file for file in files if file.format != PARQUET and file not in notes]
    if parquet is None:
        deepest = max((_columns(file) for file in json), key=len, default=())
        json = [file for file in json if _columns(file) != deepest and not file.named]

    def holds(file: DataFile) -> bool:
        return holds_documents(*_head(file), text_column)

    with ThreadPoolExecutor(_READERS) as pool:
        documents = [f for f, held in zip(json, pool.map(holds, json), strict=True) if held or f.named]
    if parquet and documents:
        raise UserError(
            f"the input mixes Parquet ({parquet.path}) and JSON Lines ({documents[0].path}); give one kind at a time"
        )
    return notes | (set(json) - set(documents))


def _is_named_as_note(file: DataFile) -> bool:
    return file.path.rpartition("/")[2] in DATASET_NOTES and not file.named


def _head(file: DataFile) -> tuple[bytes, bool]:
    """Return the first HEAD_BYTES of a JSON file, unpacked, and whether that is all of it."""
    head = read_head(file.path, HEAD_BYTES, CODECS.get(file.format))
    return head, len(head) < HEAD_BYTES


def _columns(file: DataFile) -> tuple[str, ...]:
    return tuple(column for column, _ in file.partition)


def _name(entry: Entry) -> str:
    return entry.relative.rsplit("/", 1)[-1]


def _data_file(entry: Entry, kind: str) -> DataFile:
    return DataFile(entry.path, entry.size, kind, _partition(entry.relative.split("/")[:-1]), entry.mtime_ns)


def _partition(folders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return tuple((column, value) for column, value in pairs if column)
