"""A folder on S3 that one run at a time may write into: its heartbeat is written on a condition, which S3 keeps."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from sparkprep.errors import UserError, argument
from sparkprep.io.aws import bucket_client, code_of, explained
from sparkprep.io.liveness import IDLE_SECONDS, is_dead
from sparkprep.io.objects import TAKEN
from sparkprep.io.paths import split_s3
from sparkprep.units import human_duration


def claim(path: str, heartbeat: str, setting: str = "output") -> None:
    """Write a heartbeat where none stands, or that of a dead run; of two runs that do so at once, S3 lets one.

    heartbeat: JSON, with an id. setting: what names the place, for messages. Raises UserError where another run lives,
    and where S3 does not answer.
    """
    bucket, key = split_s3(path)
    client = bucket_client(bucket, path)
    with explained(f"{path}: cannot be written"):
        content, etag, written = _there(client, bucket, key)
        if etag and not is_dead(content, written):
            raise _taken(path, content, written, setting)
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            client.put_object(Bucket=bucket, Key=key, Body=heartbeat.encode(), **condition)
        except ClientError as error:
            if code_of(error) not in TAKEN:
                raise
            content, _, written = _there(client, bucket, key)
            if content.get("id") != json.loads(heartbeat)["id"]:  # ours: of a request that was answered only anew
                raise _taken(path, content, written, setting) from None


def _taken(path: str, content: Mapping[str, Any], written: datetime, setting: str) -> UserError:
    who = f"process {content.get('process')} on {content.get('host')}" if content else "just begun"
    ago = human_duration(max(0.0, (datetime.now(UTC) - written).total_seconds()))
    return UserError(
        f"{path.rpartition('/')[0]}: another run ({who}, last heard of {ago} ago) writes there; wait for it, or choose "
        f"another {argument(setting)}; it is taken for dead {human_duration(IDLE_SECONDS)} after its last sign, and "
        f"where you know that it is, at once by: aws s3 rm {shlex.quote(path)}"
    )


def _there(client: Any, bucket: str, key: str) -> tuple[dict[str, Any], str, datetime]:
    """Return what a heartbeat says, its ETag ("" where there is none), and when it was written."""
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
        text = answer["Body"].read()
    except ClientError as error:
        if code_of(error) not in ("NoSuchKey", "404", "NotFound"):
            raise
        return {}, "", datetime.now(UTC)
    try:
        content = json.loads(text)
    except ValueError:
        content = {}
    return content if isinstance(content, dict) else {}, answer["ETag"], answer["LastModified"]
