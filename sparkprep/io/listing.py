"""Which data files an input is: files, and folders searched to the bottom, each file once and with its format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.fs as pafs

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.paths import filesystem, is_local, join_path, normalise

PARQUET = "parquet"
JSONL_FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
KNOWN_EXTENSIONS = ".parquet, .jsonl, .ndjson, .json (the last three also with .gz or .zst)"


@dataclass(frozen=True)
class DataFile:
    """One input file.

    path: absolute local path, or an s3:// URI. size: bytes. format: "parquet", "jsonl", "jsonl.gz" or "jsonl.zst".
    partition: (column, value) pairs of `column=value` folders between the folder asked for and the file, as in Hive.
    """

    path: str
    size: int
    format: str
    partition: tuple[tuple[str, str], ...] = ()


def check_unchanged(files: Sequence[DataFile]) -> None:
    """Refuse an input of which a file has another size than when it was listed."""
    for file in files:
        system, inner = filesystem(file.path)
        if system.get_file_info(inner).size != file.size:
            raise UserError(f"{file.path}: has changed while the job ran; run again when nothing writes to it")


def stamps(files: Sequence[DataFile]) -> list[list[str | int]]:
    """Name, bytes and time of change (ns) of each file: whether an input is still the one that it was."""
    found: list[list[str | int]] = []
    for file in files:
        system, inner = filesystem(file.path)
        found.append([file.path.rsplit("/", 1)[-1], file.size, int(system.get_file_info(inner).mtime_ns or 0)])
    return found


def list_files(paths: Sequence[str | os.PathLike[str]]) -> list[DataFile]:
    """Return the data files at `paths` (files, or folders searched to the bottom), sorted by path, each once.

    In folders, names that start with '.' or '_' are passed over, as Spark does, and so are unknown extensions. Raises
    UserError for a missing path, a path without any data file, an unknown extension of a file named outright, and for
    Parquet and JSON Lines in one input.
    """
    if not paths:
        raise UserError("no input was given; name a file or folder with --input")
    found: dict[str, DataFile] = {}
    for path in paths:
        for file in _data_files(normalise(path)):
            found.setdefault(file.path, file)
    files = sorted(found.values(), key=lambda file: file.path)
    parquet = next((file for file in files if file.format == PARQUET), None)
    other = next((file for file in files if file.format != PARQUET), None)
    if parquet and other:
        raise UserError(
            f"the input mixes Parquet ({parquet.path}) and JSON Lines ({other.path}); give one kind at a time"
        )
    return files


def format_of(name: str) -> str | None:
    """Return the format that a file name's extension tells, or None if it is not one of KNOWN_EXTENSIONS."""
    name = name.lower()
    if name.endswith(".parquet"):
        return PARQUET
    for compression in ("", ".gz", ".zst"):
        if name.endswith(tuple(suffix + compression for suffix in _JSON_SUFFIXES)):
            return "jsonl" + compression
    return None


def _data_files(path: str) -> list[DataFile]:
    """The data files at one path, which is a file or a folder."""
    system, inner = filesystem(path)
    try:
        info = system.get_file_info(inner)
        if info.type == pafs.FileType.NotFound:
            raise UserError(f"{path}: no such file or folder; check --input")
        if info.type == pafs.FileType.File:
            kind = format_of(path)
            if kind is None:
                raise UserError(f"{path}: unknown kind of file; known extensions are {KNOWN_EXTENSIONS}")
            return [DataFile(path, info.size, kind)]
        entries = list(_walk_local(path) if is_local(path) else _walk_s3(system, path, inner))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be listed: {cause(error)}") from error
    files: list[DataFile] = []
    seen: dict[str, None] = {}
    for relative, size in entries:
        parts = relative.split("/")
        kind = format_of(parts[-1])
        if kind is None:
            seen[os.path.splitext(parts[-1])[1] or parts[-1]] = None
        else:
            files.append(DataFile(join_path(path, relative), size, kind, _partition(parts[:-1])))
    if not files:
        names = ", ".join(list(seen)[:10])
        what = f"only files of other kinds ({names})" if seen else "nothing"
        raise UserError(f"{path}: no data file in this folder, {what}; known extensions are {KNOWN_EXTENSIONS}")
    return files


def _is_hidden(name: str) -> bool:
    """Whether Spark would pass the name over in a folder: `_SUCCESS`, `.crc`, but not a partition folder `_x=1`."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _walk_local(folder: str) -> Iterable[tuple[str, int]]:
    """(path inside the folder, bytes) of each visible file; links are followed, but no folder lies inside itself."""

    def fail(error: OSError) -> None:
        raise error

    for current, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        above = {os.path.realpath(current)}
        step = current
        while step != folder:
            step = os.path.dirname(step)
            above.add(os.path.realpath(step))
        folders[:] = [
            name
            for name in folders
            if not _is_hidden(name) and os.path.realpath(os.path.join(current, name)) not in above
        ]
        for name in names:
            if not _is_hidden(name):
                full = os.path.join(current, name)
                yield os.path.relpath(full, folder), os.stat(full).st_size


def _walk_s3(system: pafs.FileSystem, path: str, inner: str) -> Iterable[tuple[str, int]]:
    for info in system.get_file_info(pafs.FileSelector(inner, recursive=True)):
        relative = info.path[len(inner) :].lstrip("/")
        if info.type == pafs.FileType.File and not any(_is_hidden(part) for part in relative.split("/")):
            yield relative, info.size


def _partition(folders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return tuple((column, value) for column, value in pairs if column)
