"""Objects of a bucket: listed, copied within S3, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError

from sparkprep.errors import UserError
from sparkprep.io.aws import code_of, explained
from sparkprep.io.s3_errors import wording


@dataclass(frozen=True)
class Object:
    """An object of a bucket: its key, its bytes, when it was written."""

    key: str
    size: int
    written: datetime


@dataclass(frozen=True)
class Upload:
    """An upload in parts that has not ended. written: when it was begun, or its last part came; size: bytes so far."""

    key: str
    id: str
    written: datetime
    size: int = 0


TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
"""What S3 answers where an object is to be written on a condition, and another was first."""
_MOST_DELETED = 1000  # that one request may name
_COPIES = 16  # requests at a time
_COPIED_PART = 256 << 20
"""A larger object is copied in parts of this size: one request copies 5 GB at most."""


def objects(client: Any, bucket: str, prefix: str, subject: str | None = None) -> Iterator[str]:
    """Yield the keys that begin with a prefix.

    Raises UserError as `explained`, which begins with the subject (None: the bucket's name).
    """
    for page in _pages(client, bucket, subject, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"]


def folders(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Yield what stands between a prefix and the next "/", if any. Raises UserError as `explained`."""
    for page in _pages(client, bucket, None, Prefix=prefix, Delimiter="/"):
        for entry in page.get("CommonPrefixes", []):
            yield entry["Prefix"][len(prefix) : -1]


def copy(client: Any, bucket: str, source: str, target: str, names: Sequence[str]) -> None:
    """Copy within a bucket, without a byte through this machine: key `source` + name to `target` + name, of each name.

    Raises UserError as `explained`, when all copies that were begun have ended.
    """
    settings = TransferConfig(
        multipart_threshold=_COPIED_PART, multipart_chunksize=_COPIED_PART, max_concurrency=_COPIES
    )
    with explained(f"s3://{bucket}/{target}"), create_transfer_manager(client, settings) as manager:
        copies = [manager.copy({"Bucket": bucket, "Key": source + name}, bucket, target + name) for name in names]
        for each in copies:
            each.result()


def delete(client: Any, bucket: str, keys: Sequence[str], subject: str) -> None:
    """Delete objects; those that are not there do not matter. Raises UserError as `explained`."""
    with explained(subject):
        for start in range(0, len(keys), _MOST_DELETED):
            named = [{"Key": key} for key in keys[start : start + _MOST_DELETED]]
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": named, "Quiet": True})
            for error in answer.get("Errors", []):
                why = wording(error.get("Code", ""), "DeleteObjects", error.get("Message", ""))
                raise UserError(f"{subject}: {error.get('Key')} cannot be deleted: {why}")


def delete_prefix(client: Any, bucket: str, prefix: str, subject: str, last: str | None = None) -> None:
    """Delete all objects that begin with a prefix, and the uploads to there that were never ended.

    last: what follows the prefix in the key of the object that goes last. Raises UserError as `explained`.
    """
    keys = sorted(objects(client, bucket, prefix, subject), key=lambda key: key == f"{prefix}{last}")
    delete(client, bucket, keys, subject)
    for upload in uploads(client, bucket, prefix, subject):
        abort(client, bucket, upload, subject)


def entries(client: Any, bucket: str, prefix: str, subject: str) -> Iterator[Object]:
    """Yield the objects whose keys begin with a prefix. Raises UserError as `explained`."""
    for page in _pages(client, bucket, subject, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield Object(entry["Key"], entry["Size"], entry["LastModified"])


def uploads(client: Any, bucket: str, prefix: str, subject: str) -> Iterator[Upload]:
    """Yield the uploads in parts to keys with a prefix that were begun and have not ended. Raises UserError."""
    with explained(subject):
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Uploads", []):
                yield Upload(each["Key"], each["UploadId"], each["Initiated"])


def measured(client: Any, bucket: str, upload: Upload, subject: str) -> Upload:
    """Return an upload with the bytes that it has so far, and when the last of them came. Raises UserError."""
    with explained(subject):
        pages = client.get_paginator("list_parts").paginate(Bucket=bucket, Key=upload.key, UploadId=upload.id)
        try:
            parts = [part for page in pages for part in page.get("Parts", [])]
        except ClientError as error:  # it has just ended by itself
            if code_of(error) != "NoSuchUpload":
                raise
            parts = []
    written = max((part["LastModified"] for part in parts), default=upload.written)
    return Upload(upload.key, upload.id, max(written, upload.written), sum(part["Size"] for part in parts))


def abort(client: Any, bucket: str, upload: Upload, subject: str) -> None:
    """Give an upload up, with the parts that it has. Raises UserError."""
    with explained(subject):
        try:
            client.abort_multipart_upload(Bucket=bucket, Key=upload.key, UploadId=upload.id)
        except ClientError as error:  # it has just ended by itself
            if code_of(error) != "NoSuchUpload":
                raise


def _pages(client: Any, bucket: str, subject: str | None, **query: str) -> Iterator[dict[str, Any]]:
    """Yield all pages of a listing, of up to 1,000 keys each."""
    with explained(subject or f"bucket {bucket}"):
        yield from client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **query)
