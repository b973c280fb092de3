"""A file that is replaced only if it is still the one that was read, local or on S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import cause, write_text
from sparkprep.io.paths import is_local, split_s3


@dataclass(frozen=True)
class Version:
    """What a file held when it was read. text: None where there was none. tag: S3's name for that content."""

    text: str | None
    tag: str = ""


def read_version(path: str) -> Version:
    """Return what a file of UTF-8 text holds. Raises UserError where that cannot be seen."""
    if not is_local(path):
        return _read_object(path)
    try:
        with open(path, encoding="utf-8") as file:
            return Version(file.read())
    except FileNotFoundError:
        return Version(None)
    except (OSError, UnicodeDecodeError) as error:
        why = cause(error) if isinstance(error, OSError) else str(error)
        raise UserError(f"{path}: cannot be read: {why}") from error


def replace_version(path: str, text: str, read: Version) -> Version:
    """Write UTF-8 text in the place of what was read, at once, and return it as read.

    On S3, which compares, two writers cannot both succeed; on a disk the caller holds a lock, and this looks once more.
    Raises UserError, and writes nothing, where another has written since.
    """
    if not is_local(path):
        return _replace_object(path, text, read)
    if read_version(path) != read:
        raise _changed(path)
    write_text(path, text)
    return Version(text)


def _changed(path: str) -> UserError:
    return UserError(f"{path}: another run has replaced it since it was read: nothing was put in place; run again")


def _read_object(path: str) -> Version:
    from botocore.exceptions import ClientError

    from sparkprep.io.aws import bucket_client, code_of, explained

    bucket, key = split_s3(path)
    client: Any = bucket_client(bucket, path)
    with explained(f"{path}: cannot be read"):
        try:
            answer = client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) not in ("NoSuchKey", "404", "NotFound"):
                raise
            return Version(None)
        return Version(answer["Body"].read().decode("utf-8", "replace"), answer["ETag"])


def _replace_object(path: str, text: str, read: Version) -> Version:
    from botocore.exceptions import ClientError

    from sparkprep.io.aws import bucket_client, code_of, explained
    from sparkprep.io.objects import TAKEN

    bucket, key = split_s3(path)
    client: Any = bucket_client(bucket, path)
    condition = {"IfNoneMatch": "*"} if read.text is None else {"IfMatch": read.tag}
    with explained(f"{path}: cannot be written"):
        try:
            answer = client.put_object(Bucket=bucket, Key=key, Body=text.encode(), **condition)
        except ClientError as error:
            if code_of(error) not in TAKEN:
                raise
            now = _read_object(path)
            if now.text == text:  # ours: of a request that was answered only anew
                return now
            raise _changed(path) from None
    return Version(text, answer["ETag"])
