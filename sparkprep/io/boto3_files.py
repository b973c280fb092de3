"""A file system for Arrow that reads by boto3 what Arrow's own cannot.

That is buckets for which the requester pays, as it cannot say that we do; and what is read under credentials that
boto3 alone can renew, such as those of a role that a profile assumes: an open file is then read beyond their end.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa
import pyarrow.fs as pafs
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_NOT_THERE = ("404", "NoSuchKey", "NotFound")
_BUFFER = 1 << 20
_ATTEMPTS = 3


class Boto3FileSystem(pafs.FileSystemHandler):  # type: ignore[misc]  # PyArrow tells no types
    """The objects of all buckets that a client of boto3 may read; nothing is written.

    Paths are `bucket/key`, as for `pyarrow.fs.S3FileSystem`; errors are OSError with the way out.
    """

    def __init__(self, client: Any, explain: Callable[[Exception], str]) -> None:
        """Take a client of boto3's, and what tells of its errors in one line."""
        self._client, self._explain = client, explain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boto3FileSystem) and other._client is self._client

    def __hash__(self) -> int:
        return hash(id(self._client))

    def get_type_name(self) -> str:
        """Return what this is called."""
        return "s3-by-boto3"

    def normalize_path(self, path: str) -> str:
        """Return a path as it is."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[pafs.FileInfo]:
        """Return what is known of each path."""
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        """Return the objects below a folder; where it is not asked for all of them, folders directly in it too."""
        bucket, _, key = selector.base_dir.rstrip("/").partition("/")
        prefix = f"{key}/" if key else ""
        found = []
        with _told(self._explain):
            delimiter = {} if selector.recursive else {"Delimiter": "/"}
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **delimiter)
            for page in pages:
                for entry in page.get("Contents", []):
                    if not entry["Key"].endswith("/"):  # an object that stands for a folder
                        path = f"{bucket}/{entry['Key']}"
                        found.append(_file(path, entry["Size"], entry["LastModified"]))
                for entry in page.get("CommonPrefixes", []):
                    found.append(pafs.FileInfo(f"{bucket}/{entry['Prefix'].rstrip('/')}", pafs.FileType.Directory))
        if not found and not selector.allow_not_found:
            raise FileNotFoundError(f"{selector.base_dir}: no such folder")
        return found

    def open_input_file(self, path: str) -> pa.NativeFile:
        """Open an object to be read from any place."""
        info = self._info(path)
        if info.type != pafs.FileType.File:
            raise FileNotFoundError(f"{path}: no such object")
        bucket, _, key = path.partition("/")
        return pa.PythonFile(
            io.BufferedReader(_Object(self._client, bucket, key, info.size, self._explain), _BUFFER), mode="r"
        )

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """Open an object to be read from its beginning."""
        return self.open_input_file(path)

    def _info(self, path: str) -> pafs.FileInfo:
        bucket, _, key = path.partition("/")
        if not key:
            return pafs.FileInfo(path, pafs.FileType.Directory)
        with _told(self._explain):
            try:
                head = self._client.head_object(Bucket=bucket, Key=key)
                return _file(path, head["ContentLength"], head["LastModified"])
            except ClientError as error:
                if error.response["Error"]["Code"] not in _NOT_THERE:
                    raise
            below = self._client.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)
        kind = pafs.FileType.Directory if below.get("KeyCount") else pafs.FileType.NotFound
        return pafs.FileInfo(path, kind)

    def _refuse(self, *_: object) -> NoReturn:
        raise OSError("S3 is only read here, not written")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _refuse
    move = copy_file = open_output_stream = open_append_stream = _refuse


class _Object(io.RawIOBase):
    """An object as a stream that can be read from any place, each time by a request."""

    def __init__(self, client: Any, bucket: str, key: str, size: int, explain: Callable[[Exception], str]) -> None:
        self._client, self._place, self._size = client, {"Bucket": bucket, "Key": key}, size
        self._explain = explain
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size)
        if end <= self._position:
            return 0
        data = self._range(self._position, end)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _range(self, start: int, end: int) -> bytes:
        with _told(self._explain):
            for attempt in range(1, _ATTEMPTS + 1):
                answer = self._client.get_object(**self._place, Range=f"bytes={start}-{end - 1}")
                try:
                    return bytes(answer["Body"].read())
                except (BotoCoreError, HTTPError):  # the connection broke after the answer had begun
                    if attempt == _ATTEMPTS:
                        raise
        raise AssertionError  # not reached


@contextmanager
def _told(explain: Callable[[Exception], str]) -> Iterator[None]:
    """Turn what boto3 raises into an OSError of one line, as from Arrow."""
    try:
        yield
    except (BotoCoreError, ClientError, HTTPError) as error:
        raise OSError(explain(error)) from error


def _file(path: str, size: int, written: Any) -> pafs.FileInfo:
    return pafs.FileInfo(path, pafs.FileType.File, mtime_ns=int(written.timestamp()) * 10**9, size=size)
