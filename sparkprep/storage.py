"""The one place that knows local paths from s3:// URIs: what lies there, reading it, and what to hand to Spark."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pafs

from sparkprep.errors import UserError

PARQUET = "parquet"
JSONL_FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
KNOWN_EXTENSIONS = ".parquet, .jsonl, .ndjson, .json (the last three also with .gz or .zst)"

_SCHEME = re.compile(r"^(file(?=:/)|[A-Za-z][A-Za-z0-9+.-]*(?=://))")
_S3_SCHEMES = ("s3", "s3a", "s3n")
_GLOB_CHARACTERS = re.compile(r"([\[\]{}*?\\])")


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


def scheme_of(path: str) -> str:
    """The URI scheme in lower case; "" for a plain local path."""
    match = _SCHEME.match(path)
    return match.group(1).lower() if match else ""


def is_local(path: str) -> bool:
    """True for a local path or a file: URI, False for s3://. Raises UserError for any other scheme."""
    scheme = scheme_of(path)
    if scheme in ("", "file"):
        return True
    if scheme in _S3_SCHEMES:
        return False
    raise UserError(f"{path}: '{scheme}://' is not supported; use a local path or an s3:// URI")


def normalise(path: str | os.PathLike[str]) -> str:
    """An absolute local path (symbolic links kept, `~/` expanded), or the s3:// URI without a trailing slash."""
    text = os.fspath(path)
    if not text:
        raise UserError("an empty path was given where a file or folder is needed")
    if not is_local(text):
        return text.rstrip("/")
    if scheme_of(text) == "file":
        text = "/" + text.split(":", 1)[1].lstrip("/")
    return os.path.abspath(os.path.expanduser(text))


def join(path: str, *names: str) -> str:
    """The path of something inside a folder, local or on S3."""
    return os.path.join(path, *names) if is_local(path) else "/".join([path.rstrip("/"), *names])


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The pyarrow file system that holds `path`, and the path as that file system writes it.

    For S3, credentials and region come from the environment as for any AWS client; AWS_ENDPOINT_URL_S3 (or
    AWS_ENDPOINT_URL) names another endpoint.
    """
    path = normalise(path)
    if is_local(path):
        return pafs.LocalFileSystem(), path
    options: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        options["endpoint_override"] = endpoint
    return pafs.S3FileSystem(**options), path.split("://", 1)[1]


def exists(path: str) -> bool:
    """True if a file or folder lies at `path` (a dangling symbolic link does not count)."""
    system, inner = filesystem(path)
    return bool(system.get_file_info(inner).type != pafs.FileType.NotFound)


def open_input(path: str) -> BinaryIO:
    """A seekable binary stream over a file. Raises UserError naming the file if it cannot be opened."""
    system, inner = filesystem(path)
    try:
        return cast(BinaryIO, system.open_input_file(inner))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error


def spark_uri(path: str) -> str:
    """What to hand to `spark.read` so that exactly this file or folder is read.

    Spark takes []{}*? in a path for a pattern, so they are escaped; a local path gets the scheme `file:`, because on a
    cluster a bare path would mean HDFS. Blanks, '%' and '#' stay: Hadoop takes the text after the scheme as it is.
    """
    return _GLOB_CHARACTERS.sub(r"\\\1", spark_target(path))


def spark_target(path: str) -> str:
    """What to hand to `DataFrame.write`: as `spark_uri`, but unescaped, since Spark writes to the name as it stands."""
    path = normalise(path)
    return f"file:{path}" if is_local(path) else path


def write_text_atomic(path: str, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a part. Raises UserError naming it."""
    with open_whole(path) as stream:
        stream.write(text.encode("utf-8"))


@contextlib.contextmanager
def open_whole(path: str) -> Iterator[BinaryIO]:
    """A stream to a new file that appears under its name when the block ends without an error, and not before.

    It is written under a name beside it that begins with a dot, synced and renamed; on S3 uploaded, then copied to its
    key. Raises UserError naming the file where the disk is full or may not be written.
    """
    system, inner = filesystem(path)
    folder, _, name = inner.rpartition("/")
    aside = f"{folder}/.{name}.partial-{uuid.uuid4().hex[:8]}"
    try:
        if is_local(path):
            with open(aside, "wb", buffering=1 << 20) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, inner)
        else:
            with system.open_output_stream(aside) as stream:
                yield cast(BinaryIO, stream)
            system.move(aside, inner)
    except BaseException as error:
        with contextlib.suppress(OSError, pa.ArrowException):
            system.delete_file(aside)
        if isinstance(error, OSError | pa.ArrowException):
            raise UserError(f"{path}: cannot be written: {reason(error)}") from error
        raise


def make_folder(path: str) -> None:
    """Make a folder and those above it, if they are not there; UserError naming it where that cannot be."""
    system, inner = filesystem(path)
    try:
        system.create_dir(inner, recursive=True)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be made: {reason(error)}; choose another folder") from error


def names(path: str) -> list[str]:
    """The names of the files in a folder, sorted; none where there is no folder."""
    system, inner = filesystem(path)
    infos = system.get_file_info(pafs.FileSelector(inner, allow_not_found=True))
    return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)


def delete_folder(path: str) -> None:
    """Delete a folder and all in it, if it is there."""
    system, inner = filesystem(path)
    if exists(path):
        system.delete_dir(inner)


def delete_file(path: str) -> None:
    """Delete a file, if it is there."""
    system, inner = filesystem(path)
    if exists(path):
        system.delete_file(inner)


def stamps(files: Sequence[DataFile]) -> list[list[str | int]]:
    """Name, bytes and time of change (ns) of each file: whether an input is still the one that it was."""
    found: list[list[str | int]] = []
    for file in files:
        system, inner = filesystem(file.path)
        found.append([file.path.rsplit("/", 1)[-1], file.size, int(system.get_file_info(inner).mtime_ns or 0)])
    return found


def list_files(paths: Sequence[str | os.PathLike[str]]) -> list[DataFile]:
    """The data files at `paths` (files, or folders searched to the bottom), sorted by path, each once.

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
    """The format that a file name's extension tells, or None if it is not one of KNOWN_EXTENSIONS."""
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
        raise UserError(f"{path}: cannot be listed: {reason(error)}") from error
    files: list[DataFile] = []
    seen: dict[str, None] = {}
    for relative, size in entries:
        parts = relative.split("/")
        kind = format_of(parts[-1])
        if kind is None:
            seen[os.path.splitext(parts[-1])[1] or parts[-1]] = None
        else:
            files.append(DataFile(join(path, relative), size, kind, _partition(parts[:-1])))
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


def reason(error: BaseException) -> str:
    """The short cause inside an OSError or Arrow error, without its code and repeated path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0]
