"""S3 by hand: names that are safe on either side, and single files up and down."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from sparkprep.console import safe_text
from sparkprep.errors import UserError
from sparkprep.io.aws import explain, explained, is_fatal
from sparkprep.io.files import cause, make_folder, open_whole, sha256_of

PART_BYTES = 8 << 20
"""A larger file goes up in parts of this size, several at a time."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def bucket_name(text: str) -> str:
    """Return the bucket in `NAME` or `s3://NAME`. Raises UserError for what names none, or a path within one."""
    name = text.removeprefix("s3://").rstrip("/")
    if _BUCKET.fullmatch(name) is None:
        raise UserError(
            f"{text!r} is no bucket: give its name alone, as in my-bucket: 3 to 63 small letters, digits, dots, hyphens"
        )
    return name


def check_name(text: str, what: str) -> str:
    """Return the text, if it can be one part of a key and one folder's name; `what` it is, for the message.

    Raises UserError otherwise.
    """
    if not is_safe_name(text):
        raise UserError(f"{text!r} cannot be {what}: give one name without '/', '\\' and control characters, not '..'")
    return text


def is_safe_name(name: str) -> bool:
    """Return whether it names a file or folder inside another, and nothing above or beside."""
    return bool(name.strip()) and name not in (".", "..") and not set("/\\") & set(name) and safe_text(name) == name


def download(
    client: Any, bucket: str, key: str, path: str, check: Callable[[str], object] = lambda aside: None
) -> None:
    """Put an object into a local file, which appears whole or not at all. Raises UserError as `explained`.

    check: is given the file's path before it appears, and raises where it must not.
    """
    make_folder(os.path.dirname(path))
    with explained(f"s3://{bucket}/{key!r}"), open_whole(path) as file:
        client.download_fileobj(bucket, key, file)
        file.flush()
        check(file.name)


def upload(
    client: Any,
    bucket: str,
    key: str,
    path: str,
    on_bytes: Callable[[int], object],
    metadata: Mapping[str, str] | None = None,
) -> str | None:
    """Upload one file; return None, or a sentence that names it and why it failed.

    on_bytes: is called with the number of bytes sent. metadata: what the object is to bear beside its bytes. Raises
    UserError where no file can be uploaded any more: wrong credentials, no bucket.
    """
    try:
        with open(path, "rb") as file:
            before = _state(os.fstat(file.fileno()))
            # What is small is read first, so that a log which is emptied meanwhile cannot leave a request unfinished;
            # of a larger file the parts are.
            body = io.BytesIO(file.read()) if before[0] <= PART_BYTES else file
            extra = {"Metadata": dict(metadata or {})}
            client.upload_fileobj(body, bucket, key, ExtraArgs=extra, Callback=on_bytes, Config=_transfer())
        if _state(os.stat(path)) != before:
            return f"{path}: changed while it was uploaded; upload it again when nothing writes to it"
    except OSError as error:
        return f"{path}: cannot be read: {cause(error)}"
    except (BotoCoreError, ClientError, Boto3Error, ValueError) as error:
        if is_fatal(error):
            raise UserError(f"bucket {bucket}: {explain(error)}") from error
        return f"{path}: {explain(error)}"
    return None


def upload_and_compare(client: Any, bucket: str, key: str, path: str) -> str | None:
    """Upload one file, read the object back, and return None where it has the file's size and SHA-256, else a sentence.

    Raises UserError as `upload`, and where the file cannot be read.
    """
    failure = upload(client, bucket, key, path, lambda sent: None)
    if failure is not None:
        return failure
    try:
        there = _size_and_sha256(client.get_object(Bucket=bucket, Key=key)["Body"])
    except (BotoCoreError, ClientError, HTTPError, ValueError) as error:
        return f"{path}: s3://{bucket}/{key} cannot be read back: {explain(error)}"
    here = sha256_of(path)
    if there != here:
        return (
            f"{path}: s3://{bucket}/{key} is another: {there[0]:,} bytes with SHA-256 {there[1]}, and the file has "
            f"{here[0]:,} with {here[1]}"
        )
    return None


def _size_and_sha256(body: Any) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for block in body.iter_chunks(PART_BYTES):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _transfer() -> TransferConfig:
    return TransferConfig(multipart_threshold=PART_BYTES + 1, multipart_chunksize=PART_BYTES, max_concurrency=8)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    """Return what changes when a file does."""
    return status.st_size, status.st_mtime_ns, status.st_ino
