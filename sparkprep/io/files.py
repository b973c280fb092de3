"""Files and folders, local or on S3: whether they are there, reading them, writing them whole, deleting them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pafs

from sparkprep.errors import UserError
from sparkprep.io.paths import filesystem, is_local

_HASHED = 1 << 24  # bytes at a time


def exists(path: str) -> bool:
    """Return whether a file or folder lies at `path` (a dangling symbolic link does not count)."""
    system, inner = filesystem(path)
    return bool(system.get_file_info(inner).type != pafs.FileType.NotFound)


def open_input(path: str) -> BinaryIO:
    """Open a file as a seekable binary stream. Raises UserError naming the file if it cannot be opened."""
    system, inner = filesystem(path)
    try:
        return cast(BinaryIO, system.open_input_file(inner))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}") from error


def write_text(path: str, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a part. Raises UserError naming it."""
    with open_whole(path) as stream:
        stream.write(text.encode("utf-8"))


@contextlib.contextmanager
def open_whole(path: str) -> Iterator[BinaryIO]:
    """Open a stream to a new file that appears under its name when the block ends without an error, and not before.

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
            raise UserError(f"{path}: cannot be written: {cause(error)}") from error
        raise


def make_folder(path: str) -> None:
    """Make a folder and those above it, if they are not there; UserError naming it where that cannot be."""
    system, inner = filesystem(path)
    try:
        system.create_dir(inner, recursive=True)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be made: {cause(error)}; choose another folder") from error


def file_names(path: str) -> list[str]:
    """Return the names of the files in a folder, sorted; none where there is no folder."""
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


def cause(error: BaseException) -> str:
    """Return the short cause inside an OSError or Arrow error, without its code and repeated path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0]


def check_inputs(paths: Sequence[str]) -> None:
    """Refuse at once, rather than when Spark has started, a local path that is not there. Raises UserError."""
    for path in paths:
        if is_local(path) and not exists(path):
            raise UserError(f"{path}: no such file or folder; check --input")


def sha256_of(path: str, look: Callable[[bytes], None] | None = None) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256, in hexadecimal, of a file. Raises UserError where it cannot be read.

    look: called with each block of the file in turn, for what else is to be learnt on the way.
    """
    digest, size = hashlib.sha256(), 0
    with open_input(path) as stream:
        while block := stream.read(_HASHED):
            digest.update(block)
            size += len(block)
            if look:
                look(block)
    return size, digest.hexdigest()
