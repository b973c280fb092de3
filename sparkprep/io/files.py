"""Files and folders, local or on S3: whether they are there, reading them, writing them whole, deleting them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pafs

from sparkprep.errors import UserError
from sparkprep.io.paths import filesystem, is_local, join_path, normalise, split_s3
from sparkprep.io.s3_errors import asked_of_arrow, explain_arrow

UNFINISHED = "_unfinished.json"
"""An object in a result folder on S3 while what lies there is not whole."""

_HASHED = 1 << 24  # bytes at a time
_SYSTEM_CAUSE = re.compile(r"\. Detail: \[errno \d+\] ([^\n]+)")  # how Arrow says what the system has said
PARTIAL = re.compile(r"\..*\.partial-[0-9a-f]{8}")
"""What `open_whole` names a file that is not whole yet."""


def exists(path: str) -> bool:
    """Return whether a file or folder lies at `path` (a dangling symbolic link does not count)."""
    with _told(path, "cannot be looked for"):
        return bool(info_of(path).type != pafs.FileType.NotFound)


def is_file(path: str) -> bool:
    """Return whether a file, and no folder, lies at `path`."""
    with _told(path, "cannot be looked for"):
        return bool(info_of(path).type == pafs.FileType.File)


def info_of(path: str) -> pafs.FileInfo:
    """Return what Arrow knows of a path. Raises OSError where that cannot be seen.

    S3 does not say whether there is an object that one may not read, and who may read FOLDER/* may not read FOLDER: it
    is a folder where something is listed in it.
    """
    system, inner = filesystem(path)
    try:
        return system.get_file_info(inner)
    except OSError:
        if is_local(path) or not system.get_file_info(pafs.FileSelector(inner, allow_not_found=True)):
            raise
        return pafs.FileInfo(inner, pafs.FileType.Directory)


def open_input(path: str) -> BinaryIO:
    """Open a file as a seekable binary stream. Raises UserError naming the file if it cannot be opened."""
    system, inner = filesystem(path)
    with _told(path, "cannot be read"):
        return cast(BinaryIO, system.open_input_file(inner))


def write_text(path: str, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a part. Raises UserError naming it."""
    with open_whole(path) as stream:
        stream.write(text.encode("utf-8"))


@contextlib.contextmanager
def open_whole(path: str) -> Iterator[BinaryIO]:
    """Open a stream to a new file that appears under its name when the block ends without an error, and not before.

    Locally it is written under a name beside it that begins with a dot, synced and renamed; on S3 an upload is ended or
    given up. Raises UserError naming the file where the disk is full or may not be written.
    """
    with (_whole_file if is_local(path) else _whole_object)(path) as stream:
        yield stream


@contextlib.contextmanager
def _whole_file(path: str) -> Iterator[BinaryIO]:
    path = normalise(path)
    folder, name = os.path.split(path)
    aside = os.path.join(folder, f".{name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        with open(aside, "wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.remove(aside)
        if isinstance(error, OSError | pa.ArrowException):
            raise UserError(f"{path}: cannot be written: {cause(error)}{_way_out(error, folder)}") from error
        raise


@contextlib.contextmanager
def _whole_object(path: str) -> Iterator[BinaryIO]:
    from sparkprep.io.object_writer import ObjectWriter  # with boto3, which local work need not wait for

    stream = ObjectWriter(normalise(path))
    try:
        yield cast(BinaryIO, stream)
        stream.finish()
    except BaseException:
        stream.abort()
        raise


def _way_out(error: BaseException, folder: str) -> str:
    """Return what to do where a folder cannot be written; it may be one of another machine, on which a task runs."""
    number = error.errno if isinstance(error, OSError) else None
    place = f"{folder} on {socket.gethostname()}"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"; free some space for {place}, or choose another folder"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"; let this user write to {place}, or choose another folder"
    if number == errno.ENOENT:
        return f"; there must be a folder {place}: driver and workers share one, or use s3://"
    return ""


def make_folder(path: str) -> None:
    """Make a folder and those above it, if they are not there; UserError naming it where that cannot be.

    On S3, where a folder is no more than the names that begin with it, there is nothing to make.
    """
    if not is_local(path):
        return
    try:
        os.makedirs(normalise(path), exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {cause(error)}; choose another folder") from error


def file_names(path: str) -> list[str]:
    """Return the names of the files in a folder, sorted; none where there is no folder. Raises UserError naming it."""
    system, inner = filesystem(path)
    with _told(path, "cannot be listed"):
        infos = system.get_file_info(pafs.FileSelector(inner, allow_not_found=True))
    return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)


def delete_folder(path: str, last: str | None = None) -> None:
    """Delete a folder and all in it, if it is there; `last` is what goes last, on S3. Raises UserError naming it."""
    if not is_local(path):
        from sparkprep.io.aws import bucket_client
        from sparkprep.io.objects import delete_prefix  # Arrow would leave an empty object in the place of the folder

        bucket, key = split_s3(path)
        delete_prefix(bucket_client(bucket, path), bucket, f"{key}/", path, last)
    elif exists(path):
        with _told(path, "cannot be deleted"):
            shutil.rmtree(normalise(path))


def delete_file(path: str) -> None:
    """Delete a file, if it is there. Raises UserError naming it."""
    if not is_local(path):
        from sparkprep.io.aws import bucket_client
        from sparkprep.io.objects import delete

        bucket, key = split_s3(path)
        delete(bucket_client(bucket, path), bucket, [key], path)
    elif exists(path):
        with _told(path, "cannot be deleted"):
            os.remove(normalise(path))


def delete_partials(folder: str) -> None:
    """Delete what killed runs left of files that they were writing into a folder. Only while no run writes there."""
    for name in file_names(folder):
        if PARTIAL.fullmatch(name):
            delete_file(join_path(folder, name))


def cause(error: BaseException) -> str:
    """Return the short cause inside an OSError or Arrow error, without its code and repeated path.

    For what S3 has answered that is one line with the way out.
    """
    text = str(error).strip()
    if (of_s3 := explain_arrow(text)) is not None:
        return f"{_if_one_sided(text)}{of_s3}"
    if (behind := _SYSTEM_CAUSE.search(text)) is not None:
        return behind[1]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text.split("\n")[0]


def _if_one_sided(text: str) -> str:
    """Say that boto3 is answered where Arrow was refused: then it is not the credentials that are to be mended."""
    asked = asked_of_arrow(text)
    if asked is None:
        return ""
    from sparkprep.io.aws import answers_boto3

    return "boto3 is answered by S3, PyArrow is not: " if answers_boto3(*asked) else ""


@contextlib.contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    """Turn what the block raises of files into a UserError that names the path."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: {what}: {cause(error)}") from error


def sha256_of(path: str, look: Callable[[bytes], None] | None = None) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256, in hexadecimal, of a file. Raises UserError where it cannot be read.

    look: called with each block of the file in turn, for what else is to be learnt on the way.
    """
    digest, size = hashlib.sha256(), 0
    with open_input(path) as stream, _told(path, "cannot be read"):
        while block := stream.read(_HASHED):
            digest.update(block)
            size += len(block)
            if look:
                look(block)
    return size, digest.hexdigest()
