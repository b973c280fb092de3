"""What lies below a folder, local or on S3, and the folders above it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow.fs as pafs

from sparkprep.errors import UserError, argument
from sparkprep.io.files import cause, info_of
from sparkprep.io.paths import check_utf8, filesystem, is_local, join_path, normalise

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Entry:
    """A file. relative: its path from the folder. real: one and the same for a file reached by several ways.

    size: bytes. mtime_ns: time of its last change, in ns; on S3 in whole seconds, as not every answer has parts.
    """

    relative: str
    path: str
    real: str
    size: int
    mtime_ns: int


@dataclass
class Tree:
    """All visible files below a folder, and the hidden names, files or folders, that were passed over.

    Hidden is what Spark passes over: `_SUCCESS`, `.crc`, but not a partition folder `_x=1`. Paths are from the folder.
    """

    files: list[Entry] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    hidden_files: list[str] = field(default_factory=list)
    """the paths of those of them that are files, below no hidden folder"""


def is_hidden(name: str) -> bool:
    """Return whether Spark would pass over a file or folder of this name in a folder."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def entry_of(path: str) -> Entry | None:
    """Return the file at `path`, None where there is a folder.

    Raises UserError where there is neither, OSError or ArrowException where that cannot be seen.
    """
    if is_local(path):
        if not os.path.lexists(path):
            raise _not_there(path)
        return None if os.path.isdir(path) else _local_entry(os.path.basename(path), path, os.path.realpath(path))
    info = info_of(path)
    if info.type == pafs.FileType.NotFound:
        raise _not_there(path)
    return _s3_entry(path.rsplit("/", 1)[-1], path, info) if info.type == pafs.FileType.File else None


def _not_there(path: str) -> UserError:
    """Return the error for a path at which nothing is; one that may be meant as a pattern is told how these work."""
    if not set(path) & set("*?["):
        way_out = f"check {argument('input')}"
    elif is_local(path):
        way_out = (
            "a pattern is expanded by the shell, where something matches it and no quotation marks stand around it "
            "(in Python: glob.glob)"
        )
    else:
        way_out = "patterns are not expanded on S3: name the folder, or each object"
    return UserError(f"{path}: no such file or folder; {way_out}")


def walk(folder: str) -> Tree:
    """Return what lies below a folder; links are followed, but no folder lies inside itself.

    Raises UserError, OSError or ArrowException where it cannot be listed.
    """
    return _walk_local(folder) if is_local(folder) else _walk_s3(folder)


def folders_above(path: str) -> Iterator[str]:
    """Yield the folders above a path, the nearest first, up to a hidden one: it is no part of those above it."""
    scheme, separator, rest = normalise(path).rpartition("://")
    while not is_hidden(rest.rpartition("/")[2]):
        rest = rest.rpartition("/")[0]
        if not rest:
            return
        yield scheme + separator + rest


def _walk_local(folder: str) -> Tree:
    tree = Tree()
    pending: list[tuple[str, frozenset[str]]] = [("", frozenset())]
    while pending:
        inside, above = pending.pop()
        here = os.path.join(folder, inside)
        real_folder = os.path.realpath(here)
        if real_folder in above:
            continue
        above |= {real_folder}
        with os.scandir(here) as entries:
            for entry in entries:
                relative = os.path.join(inside, entry.name)
                if is_hidden(entry.name):
                    tree.hidden.add(relative)
                    if not entry.is_dir():
                        tree.hidden_files.append(os.path.join(folder, relative))
                elif entry.is_dir():
                    pending.append((relative, above))
                else:
                    real = os.path.join(real_folder, entry.name)
                    real = os.path.realpath(real) if entry.is_symlink() else real
                    tree.files.append(_local_entry(relative, os.path.join(folder, relative), real))
    return tree


def _local_entry(relative: str, path: str, real: str) -> Entry:
    check_utf8(path)
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}; mend that, or leave it out") from error
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: a pipe or device, not a file; write what it gives to a file first")
    if status.st_nlink > 1:  # the same file bears another name too
        real = f"{status.st_dev}:{status.st_ino}"
    return Entry(relative, path, real, status.st_size, status.st_mtime_ns)


def _walk_s3(folder: str) -> Tree:
    tree = Tree()
    system, inner = filesystem(folder)
    for info in system.get_file_info(pafs.FileSelector(inner, recursive=True)):
        relative = info.path[len(inner) :].lstrip("/")
        parts = relative.split("/")
        hidden = next((depth for depth, part in enumerate(parts, 1) if is_hidden(part)), None)
        if hidden is not None:
            tree.hidden.add("/".join(parts[:hidden]))
            if hidden == len(parts) and info.type == pafs.FileType.File:
                tree.hidden_files.append(join_path(folder, relative))
        elif info.type == pafs.FileType.File:
            tree.files.append(_s3_entry(relative, join_path(folder, relative), info))
    return tree


def _s3_entry(relative: str, path: str, info: pafs.FileInfo) -> Entry:
    real = path.split("://", 1)[1]  # one key, whether s3:// or s3a:// was written before it
    return Entry(relative, path, f"s3://{real}", info.size, int(info.mtime_ns or 0) // _SECOND * _SECOND)
