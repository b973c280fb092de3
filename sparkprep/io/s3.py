"""S3 through boto3: the client, names that are safe on either side, listing, copying, and errors that say the way out.

Credentials come from boto3's own chain (environment, ~/.aws, the machine's role), never from arguments, and no message
repeats one.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
)

from sparkprep.console import safe_text
from sparkprep.errors import UserError
from sparkprep.io.files import cause, make_folder, open_whole

REGION = "us-east-1"
"""where neither the caller nor AWS's own settings name a region"""
ATTEMPTS = 5
PART_BYTES = 8 << 20
"""A larger file goes up in parts of this size, several at a time."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MISSING_BUCKET = ("NoSuchBucket", "404", "NotFound")
_BAD_CREDENTIALS = (
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException"),
    *("InvalidToken", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed"),
)


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


def client(endpoint_url: str | None, region: str | None, attempts: int = ATTEMPTS) -> Any:
    """Return a client of S3 that tries each request so often, waiting longer each time (botocore's standard mode).

    region: None for what AWS's own settings say, or else us-east-1. Raises UserError as `explained`.
    """
    with explained("S3"):
        session = boto3.session.Session()
        return session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region or session.region_name or REGION,
            config=Config(retries={"mode": "standard", "max_attempts": attempts}, connect_timeout=10, read_timeout=60),
        )


def check_bucket(endpoint_url: str | None, region: str | None, bucket: str) -> None:
    """Ask once whether the bucket is there, before anything is begun. Raises UserError as `explained`.

    Who may only write is refused this question; the upload then shows whether that is so.
    """
    with explained(f"bucket {bucket}"):
        try:
            client(endpoint_url, region, attempts=2).head_bucket(Bucket=bucket)
        except ClientError as error:
            if code_of(error) not in ("403", "Forbidden", "AccessDenied"):
                raise


def objects(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Yield the keys that begin with a prefix. Raises UserError as `explained`."""
    for page in _pages(client, bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"]


def folders(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Yield the names between a prefix, which ends with "/", and the next "/". Raises UserError as `explained`."""
    for page in _pages(client, bucket, Prefix=prefix, Delimiter="/"):
        for entry in page.get("CommonPrefixes", []):
            yield entry["Prefix"][len(prefix) : -1]


def download(client: Any, bucket: str, key: str, path: str) -> None:
    """Put an object into a local file, which appears whole or not at all. Raises UserError as `explained`."""
    make_folder(os.path.dirname(path))
    with explained(f"s3://{bucket}/{key!r}"), open_whole(path) as file:
        client.download_fileobj(bucket, key, file)


def upload(client: Any, bucket: str, key: str, path: str, on_bytes: Callable[[int], object]) -> str | None:
    """Upload one file; return None, or a sentence that names it and why it failed.

    on_bytes: is called with the number of bytes sent. Raises UserError where no file can be uploaded any more: wrong
    credentials, no bucket.
    """
    try:
        with open(path, "rb") as file:
            before = _state(os.fstat(file.fileno()))
            # What is small is read first, so that a log which is emptied meanwhile cannot leave a request unfinished;
            # of a larger file the parts are.
            body = io.BytesIO(file.read()) if before[0] <= PART_BYTES else file
            client.upload_fileobj(body, bucket, key, Callback=on_bytes, Config=_transfer())
        if _state(os.stat(path)) != before:
            return f"{path}: changed while it was uploaded; upload it again when nothing writes to it"
    except OSError as error:
        return f"{path}: cannot be read: {cause(error)}"
    except (BotoCoreError, ClientError, Boto3Error, ValueError) as error:
        if is_fatal(error):
            raise UserError(f"bucket {bucket}: {explain(error)}") from error
        return f"{path}: {explain(error)}"
    return None


@contextmanager
def explained(subject: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into a UserError that begins with `subject` and names the way out."""
    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise UserError(f"{subject}: {explain(error)}") from _without_headers(error)


def is_fatal(error: Exception) -> bool:
    """Return whether no other request can go better."""
    if isinstance(error, ClientError):
        return code_of(error) in (*_BAD_CREDENTIALS, "NoSuchBucket")
    return isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | SSOError)


def code_of(error: ClientError) -> str:
    """Return S3's short word for the error, or its HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain(error: Exception) -> str:
    """Return one line: the cause, and what to do."""
    if _names_a_header(error):
        return "the AWS credentials hold a character that no request may carry (a line break?); set them anew"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "no complete AWS credentials found; run `aws configure`, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
            "and, for temporary ones, AWS_SESSION_TOKEN"
        )
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ReadTimeoutError | ConnectionClosedError):
        return "no connection to S3; check the network, and --endpoint-url or AWS_ENDPOINT_URL if one is set"
    if isinstance(error, ProfileNotFound):
        return f"{_line(error)}; check AWS_PROFILE and ~/.aws/config"
    if isinstance(error, ClientError):
        code = code_of(error)
        if error.operation_name in ("HeadObject", "GetObject") and code in ("404", "NoSuchKey"):
            return "no such object any more; run the command again"
        if code in _MISSING_BUCKET:
            return "no such bucket; check its name, or make it with `aws s3 mb s3://NAME`"
        if code in _BAD_CREDENTIALS:
            return f"S3 does not accept the AWS credentials ({code}); renew them, and check the clock"
        if code in ("403", "Forbidden", "AccessDenied"):
            return "access denied; ask the bucket's owner for leave to read, list and write there"
        if code == "400":  # what it answers where an answer has no text
            return "S3 refuses the request (400), as for AWS credentials that have expired; renew them"
        return f"S3 answered: {_line(error)}"
    return f"{_line(error)}; check --endpoint-url, --region and AWS's settings"


def _pages(client: Any, bucket: str, **query: str) -> Iterator[dict[str, Any]]:
    """Yield all pages of a listing, of up to 1,000 keys each."""
    with explained(f"bucket {bucket}"):
        yield from client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **query)


def _transfer() -> TransferConfig:
    return TransferConfig(multipart_threshold=PART_BYTES + 1, multipart_chunksize=PART_BYTES, max_concurrency=8)


def _state(status: os.stat_result) -> tuple[int, int, int]:
    """Return what changes when a file does."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def _names_a_header(error: BaseException | None) -> bool:
    """Python's HTTP client repeats a header that it refuses, and a token may stand in it."""
    return error is not None and (
        "Invalid header" in str(error) or _names_a_header(error.__cause__ or error.__context__)
    )


def _without_headers(error: Exception) -> Exception | None:
    return None if _names_a_header(error) else error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
