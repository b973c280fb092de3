"""What lies in a bucket of the tests' server, and who may ask it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import boto3


@contextmanager
def server(*options: str) -> Iterator[str]:
    """Run a server of S3's protocol, moto's, and yield its URL. Its listings come in pages of 50 keys, not 1,000."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port), *options],
        env=os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": "50"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http{'s' if options else ''}://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(timeout=30)


def client() -> Any:
    return _client(os.environ["AWS_ENDPOINT_URL"])


@lru_cache
def _client(endpoint: str) -> Any:
    return boto3.client("s3", endpoint_url=endpoint)


def objects(prefix: str = "") -> dict[str, str]:
    """Key -> content of every object of "bucket", as text."""
    found = {}
    for page in client().get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix):
        for entry in page.get("Contents", []):
            found[entry["Key"]] = (
                client().get_object(Bucket="bucket", Key=entry["Key"])["Body"].read().decode("latin-1")
            )
    return found


def uploads() -> list[str]:
    """The keys of uploads in parts that were begun and never ended."""
    return [each["Key"] for each in client().list_multipart_uploads(Bucket="bucket").get("Uploads", [])]


def put(key: str, content: str = "x") -> None:
    client().put_object(Bucket="bucket", Key=key, Body=content.encode())


def clear() -> None:
    while keys := [{"Key": each["Key"]} for each in client().list_objects_v2(Bucket="bucket").get("Contents", [])]:
        client().delete_objects(Bucket="bucket", Delete={"Objects": keys})


@contextmanager
def only_known_users(server: str, may: Sequence[str] | Mapping[str, str] = ()) -> Iterator[dict[str, str]]:
    """Let the server check who asks, and yield the variables that name a user who may do these things and no other.

    may: what may be done, everywhere or to the resource that stands with it.
    """
    iam = boto3.client("iam", endpoint_url=server)
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    on = may if isinstance(may, Mapping) else dict.fromkeys(may, "*")
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in on.items()]
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName="nobody", PolicyName="may", PolicyDocument=policy)
    _unchecked(server, 0)
    try:
        yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    finally:
        _unchecked(server, 10**9)
        if statements:
            iam.delete_user_policy(UserName="nobody", PolicyName="may")
        iam.delete_access_key(UserName="nobody", AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName="nobody")


def _unchecked(server: str, requests: int) -> None:
    body = str(requests).encode()
    request = urllib.request.Request(
        f"{server}/moto-api/reset-auth", data=body, method="POST", headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request, timeout=30).close()
