"""Who asks EMR, and what it answers where it refuses, in one line with the way out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    WaiterError,
)
from botocore.parsers import ResponseParserError

from sparkprep.commands import command
from sparkprep.emr.aws.model import EMR
from sparkprep.errors import UserError
from sparkprep.io.aws import CONNECT_SECONDS, REGION, bucket_client, code_of, explain, refuse_secret_endpoint, session
from sparkprep.io.paths import split_s3
from sparkprep.io.s3_errors import says_bad_credentials, server_of
from sparkprep.pasted import did_you_mean

ATTEMPTS = 3
READ_SECONDS = 6
"""With the attempts, an endpoint that does not answer takes under 30 s."""
ONCE_SECONDS = 25
WAITING = "waiting for EMR's answer, half a minute at most: what it was asked for may be done, and billed"
"""What is said where a signal comes while a request must not be broken off."""
_THROTTLED = ("throttling", "throttlingexception", "throttledexception", "requestlimitexceeded",
              "toomanyrequestsexception", "requestthrottled")  # fmt: skip
_FAILING = ("serviceunavailable", "internalservererror", "internalserverexception", "internalfailure")
_BUSY = (*_THROTTLED, *_FAILING)
_UNSENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError)
_DENIED = ("accessdenied", "accessdeniedexception", "unauthorizedoperation")
_REFUSED = ("validationexception", "invalidrequestexception")
_UNKNOWN = ("resourcenotfoundexception",)
_MOST_SHOWN = 400
_ENDPOINTS = ("AWS_ENDPOINT_URL_EMR", "AWS_ENDPOINT_URL_EMR_SERVERLESS", "AWS_ENDPOINT_URL")
_BEFORE_HOST = re.compile(r"\S*@")
"""What stands before the host in an address, also in one that is none: it may be a password."""


def region_of(given: str | None) -> str:
    """Return the region that is meant: what is given, or what AWS's settings say, or us-east-1.

    Raises UserError for one in which EMR is not.
    """
    with explained("AWS's settings"):
        region = given or session().region_name or os.environ.get("AWS_REGION") or REGION
    known = _regions()
    if region not in known:
        raise UserError(f"--region: EMR is not in {region!r}, or no such region{did_you_mean(region, known)}")
    return str(region)


def client(region: str, service: str = EMR, once: bool = False) -> Any:
    """Return a client of EMR, or of EMR Serverless, that tries each request three times. Raises UserError.

    once: it tries once, and waits longer for the answer: what was asked for may be done though nobody said so, and a
    second cluster would be billed too.
    """
    refuse_secret_endpoint("EMR", _ENDPOINTS)
    with explained(f"EMR in {region}"):
        made = session().client(
            service,
            region_name=region,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": 1 if once else ATTEMPTS},
                connect_timeout=CONNECT_SECONDS,
                read_timeout=ONCE_SECONDS if once else READ_SECONDS,
            ),
        )
    refuse_secret_endpoint("EMR", _ENDPOINTS, made.meta.endpoint_url)
    return made


@contextmanager
def explained(subject: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into a UserError that begins with `subject` and names the way out."""
    try:
        yield
    except (BotoCoreError, ClientError, ValueError) as error:
        raise UserError(f"{subject}: {explain_emr(error)}") from None


def explain_emr(error: Exception) -> str:
    """Return one line: what EMR, or the way to it, says, and what to do. It holds no request and no header."""
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError | ReadTimeoutError | ConnectionClosedError):
        return _no_answer(str(error.kwargs.get("endpoint_url") or ""))
    if isinstance(error, WaiterError):
        return f"it did not come to that state in time; `{command('emr', 'status')}` tells where it is"
    if not isinstance(error, ClientError):
        named = next((name for name in _ENDPOINTS if os.environ.get(name)), _ENDPOINTS[0])
        return _BEFORE_HOST.sub("", explain(error, named))
    code, text = code_of(error), _line(error)
    plain = code.replace("_", "").lower()
    if is_busy(error):
        return f"EMR is busy ({code}); run the command again in a minute"
    if plain in _DENIED:
        return f"access denied ({error.operation_name}); ask for leave to do elasticmapreduce:{error.operation_name}"
    if says_bad_credentials(code) or plain in ("unrecognizedclientexception", "invalidsignatureexception"):
        return f"AWS does not accept the credentials ({code}); renew them, and check the clock"
    if plain in _REFUSED:
        return f"EMR refuses it: {text}"
    return f"{code}: {text}"


def may_be_done(error: BaseException | None) -> bool:
    """Return whether a request that failed may have been done all the same.

    It was not where it was never sent, where EMR is too busy to take it (throttling), or refuses it (HTTP status 4xx).
    A server that fails (5xx) may do so after its work.
    """
    if isinstance(error, ClientError):
        code = code_of(error).replace("_", "").lower()
        return code not in _THROTTLED and (code in _FAILING or _status(error) >= 500)
    return isinstance(error, HTTPClientError | ResponseParserError) and not isinstance(error, _UNSENT)


def is_refusal(error: BaseException | None) -> bool:
    """Return whether AWS has answered that it knows no such thing, or takes no such request."""
    return isinstance(error, ClientError) and code_of(error).replace("_", "").lower() in (*_REFUSED, *_UNKNOWN)


def cut_off(error: BaseException | None) -> str:
    """Return in a few words how a request failed that may have been done."""
    if isinstance(error, ClientError):
        return f"{code_of(error)}, a failure of its own"
    return "no answer in time" if isinstance(error, ReadTimeoutError) else "the connection was cut"


def is_busy(error: Exception) -> bool:
    """Return whether the same request may go better a little later."""
    return isinstance(error, ClientError) and code_of(error).replace("_", "").lower() in _BUSY


def check_bucket_region(uri: str, region: str) -> None:
    """Raise UserError where a bucket is not there, or lies in another region than the cluster.

    Between regions every byte is paid for, and EMR takes no scripts from another one.
    """
    bucket, _ = split_s3(uri)
    there = bucket_client(bucket, uri).meta.region_name
    if there != region:
        raise UserError(
            f"{uri}: the bucket lies in {there}, and the cluster would be in {region}; give --region {there}, or take "
            "a bucket there"
        )


@lru_cache(maxsize=1)
def _regions() -> list[str]:
    known = boto3.session.Session()
    return sorted(
        {name for partition in known.get_available_partitions() for name in known.get_available_regions(EMR, partition)}
    )


def _no_answer(url: str) -> str:
    """Return one line for a server that does not answer. url: of the request."""
    server = server_of(url)
    at = f" at {server}" if server else ""
    for variable in _ENDPOINTS:
        if server and server == server_of(os.environ.get(variable, "")):
            return f"no answer{at}; check the network, and {variable}, which names that server"
    return f"no answer{at}; check the network and --region"


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _line(error: ClientError) -> str:
    return " ".join(str(error.response.get("Error", {}).get("Message", "")).split())[:_MOST_SHOWN]
