"""Who asks S3, and where: credentials, endpoint and region as any AWS client finds them, for boto3 and Arrow alike.

Credentials come from boto3's own chain (environment, ~/.aws with its roles, a container's role, the machine's), never
from arguments, and no message repeats one. What boto3 finds, Arrow is handed, so that both ask as the same, at the same
server. The role of a machine or container alone Arrow asks for itself, to renew it under an open file; what else ends
and is renewed is read by boto3.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import boto3
import pyarrow.fs as pafs
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
)

from sparkprep.errors import UserError
from sparkprep.io.access import Access, access_to
from sparkprep.io.patience import ARROW_ATTEMPTS, FIRST_WAIT, NO_ANSWER, in_task, wait_out, within
from sparkprep.io.s3_errors import ENDPOINTS, NO_CREDENTIALS, no_connection, says_bad_credentials, says_denied, wording

REGION = "us-east-1"
"""where neither the caller, nor AWS's own settings, nor the bucket name a region"""
ATTEMPTS = 5
CONNECT_SECONDS = 5
FIRST_RETRIES = 2
FIRST_SECONDS = 6
"""So long each attempt at the first question to a bucket waits for an answer; `FIRST_WAIT` is for all of them."""
READ_SECONDS = 60
ARROW_SECONDS = 8
"""Without a byte for so long Arrow tries again."""

_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
_IN_URL = re.compile(r"(?<=//)[^/@\s]*@")
_CONNECTIONS = 32
_OF_THE_MACHINE = ("iam-role", "container-role")
_UNSIGNED = "Unsigned"
_MAKING = threading.Lock()
"""A session of boto3 makes one client at a time."""
_AMAZON = re.compile(r"s3(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")
_WITHOUT_TEXT = ("301", "400", "403", "Forbidden", "AccessDenied")


class Keys(Enum):
    """How Arrow comes by credentials."""

    GIVEN = "it is handed them"
    OF_THE_MACHINE = "it asks the machine or the container itself"
    NONE = "it asks without"


def session() -> Any:
    """Return boto3's session of what AWS's settings say now; it keeps what it has read of them and of AWS's models.

    What asks for credentials, such as STS for a role, is as impatient as the first question to a bucket.
    """
    return _session(os.getpid(), _settings())


def client(endpoint_url: str | None, region: str | None, attempts: int = ATTEMPTS) -> Any:
    """Return a client of S3 that tries each request so often, waiting longer each time (botocore's standard mode).

    region: None for what AWS's own settings say, or else us-east-1. Raises UserError as `explained`.
    """
    with explained("S3"):
        return _client(endpoint_url, region, attempts)


def check_bucket(endpoint_url: str | None, region: str | None, bucket: str) -> None:
    """Ask once whether the bucket is there, before anything is begun. Raises UserError as `explained`.

    Who may only write is refused this question; the upload then shows whether that is so.
    """
    with explained(f"bucket {bucket}"):
        _ask(endpoint_url, region, bucket, Access.OWN)


def bucket_client(bucket: str, subject: str) -> Any:
    """Return the client for a bucket that AWS's settings lead to, one for each process: forks share none.

    A bucket is asked for before the first use, so that what is wrong with it is told here. Raises UserError as
    `explained`, which begins with `subject`.
    """
    settings, access = _settings(), access_to(bucket)
    with explained(subject):
        return _bucket_client(os.getpid(), settings, _region(settings, bucket, access), access)


def arrow_filesystem(bucket: str, subject: str) -> pafs.FileSystem:
    """Return Arrow's file system for a bucket, under the same terms as `bucket_client`.

    Credentials that end are renewed under an open file: those of a machine's or container's role by Arrow, which asks
    for them itself; those that boto3 alone can renew, as of a role that a profile assumes, by reading through boto3.
    """
    client, access = bucket_client(bucket, subject), access_to(bucket)
    if access is Access.PAYER:
        return _boto3_filesystem(client)
    keys: tuple[str | None, ...] = (None, None, None)
    how = Keys.NONE
    if access is Access.OWN:
        with explained(subject):
            credentials = session().get_credentials()
            if credentials is None:
                raise NoCredentialsError
            how = Keys.OF_THE_MACHINE if credentials.method in _OF_THE_MACHINE else Keys.GIVEN
            if how is Keys.GIVEN and isinstance(credentials, RefreshableCredentials):
                return _boto3_filesystem(client)
            if how is Keys.GIVEN:
                frozen = credentials.get_frozen_credentials()
                keys = (frozen.access_key, frozen.secret_key, frozen.token)
    # botocore's own session knows the variable AWS_CA_BUNDLE and the profile's setting.
    authorities = session()._session.get_config_variable("ca_bundle")
    return _arrow_filesystem(os.getpid(), client.meta.endpoint_url, client.meta.region_name, authorities, how, *keys)


def answers_boto3(operation: str, bucket: str, key: str) -> bool:
    """Return whether S3 answers boto3, asked once, what it has not answered Arrow."""
    try:
        client = _client(None, None, 1, FIRST_SECONDS, access_to(bucket))
        if operation in ("HeadObject", "GetObject"):
            client.head_object(Bucket=bucket, Key=key)
        else:
            client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    except (BotoCoreError, ClientError, UserError, ValueError):
        return False
    return True


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
        return says_bad_credentials(code_of(error)) or code_of(error) == "NoSuchBucket"
    return isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | SSOError)


def code_of(error: ClientError) -> str:
    """Return S3's short word for the error, or its HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def explain(error: Exception, endpoint: str = ENDPOINTS[0]) -> str:
    """Return one line: the cause, and what to do. endpoint: the variable that names the service's server."""
    if _names_a_header(error):
        return "the AWS credentials hold a character that no request may carry (a line break?); set them anew"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return NO_CREDENTIALS
    if isinstance(error, NO_ANSWER):
        return no_connection(error.kwargs.get("endpoint_url"))
    if isinstance(error, SSLError):
        return f"{_line(error)}; where an authority of your own has signed it, name its certificate in AWS_CA_BUNDLE"
    if isinstance(error, ProfileNotFound):
        return f"{_line(error)}; check AWS_PROFILE and ~/.aws/config"
    if isinstance(error, ParamValidationError):
        return f"{_line(error).partition(': Bucket name must match')[0]}; check the name of the bucket"
    if isinstance(error, InvalidRegionError):
        return f"{_line(error).rstrip('.')}; give one such as us-east-1, here or in AWS_DEFAULT_REGION"
    if isinstance(error, ClientError):
        is_signed = _UNSIGNED not in error.response.get("Error", {})
        return wording(code_of(error), error.operation_name, _line(error), is_signed)
    return f"{_line(error)}; check endpoint and region: what was given, or {endpoint} and AWS_DEFAULT_REGION"


def _client(
    endpoint_url: str | None,
    region: str | None,
    attempts: int,
    read_timeout: float = READ_SECONDS,
    access: Access = Access.OWN,
) -> Any:
    asking = session()
    refuse_secret_endpoint("S3", ENDPOINTS, endpoint_url)
    region = region or asking.region_name or os.environ.get("AWS_REGION") or REGION
    config = Config(
        retries={"mode": "standard", "max_attempts": attempts},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_timeout,
        max_pool_connections=_CONNECTIONS,
        **({"signature_version": UNSIGNED} if access is Access.PUBLIC else {}),
    )
    with _MAKING:
        client = asking.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
        is_told = os.environ.get("AWS_REQUEST_CHECKSUM_CALCULATION")
        if not _is_amazon(client.meta.endpoint_url) and not is_told:
            # Over https boto3 sends sums behind the content, which other servers, such as Ceph's, do not take.
            config = config.merge(Config(request_checksum_calculation="when_required"))
            client = asking.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
    refuse_secret_endpoint("S3", ENDPOINTS, client.meta.endpoint_url)
    if access is Access.PAYER:
        client.meta.events.register("before-call.s3", _add_payer)
    if access is Access.PUBLIC:
        client.meta.events.register("after-call.s3", _note_unsigned)
    return client


def _is_amazon(endpoint: str) -> bool:
    return _AMAZON.fullmatch(urlsplit(endpoint).hostname or "") is not None


def _add_payer(params: dict[str, Any], **_: object) -> None:
    params["headers"]["x-amz-request-payer"] = "requester"


def _note_unsigned(parsed: dict[str, Any], **_: object) -> None:
    """Let an error that S3 answers say that it was asked without credentials."""
    if "Error" in parsed:
        parsed["Error"][_UNSIGNED] = True


def refuse_secret_endpoint(service: str, variables: Sequence[str], *urls: str | None) -> None:
    """Refuse an endpoint with credentials in it, which logs and messages of others would repeat; ours does not.

    service: for the message. variables: those of the environment that name its server. Raises UserError.
    """
    if any("@" in url for url in [*urls, *(os.environ.get(name) for name in variables)] if url):
        raise UserError(
            f"the endpoint of {service} has a user or a key in it (https://KEY:SECRET@HOST): leave them out of the URL "
            f"({', '.join(variables)}, endpoint_url of a profile), and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def _ask(endpoint_url: str | None, region: str | None, bucket: str, access: Access) -> str:
    """Return the bucket's region. Raises what botocore raises where it is not there or nobody answers."""
    is_patient = in_task()

    def ask() -> str:
        asking = _client(endpoint_url, region, FIRST_RETRIES, FIRST_SECONDS, access)
        if is_patient:
            wait_out(asking)
        return _region_told(asking, bucket)

    return ask() if is_patient else within(FIRST_WAIT, ask)


def _region_told(asking: Any, bucket: str) -> str:
    try:
        answer = asking.head_bucket(Bucket=bucket)
    except ClientError as error:
        if code_of(error) not in _WITHOUT_TEXT:
            raise
        answer = error.response
        _check_credentials(asking, bucket)
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return str(headers.get("x-amz-bucket-region") or asking.meta.region_name)


def _check_credentials(asking: Any, bucket: str) -> None:
    """Raise ClientError where S3 does not know who asks: its answer to a listing says so, that to HEAD has no text."""
    try:
        asking.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        if not says_denied(code_of(error)):
            raise


def _settings() -> tuple[str, ...]:
    """Return what says who asks and where: what is kept for one process holds while that stays the same.

    That is all of AWS's variables, and when its files were last written: another program may renew a token there.
    """
    variables = (f"{name}={value}" for name, value in os.environ.items() if name.startswith("AWS_"))
    files = (os.path.expanduser(os.environ.get(name, place)) for name, place in _FILES.items())
    return (*sorted(variables), *map(_written, files))


def _written(file: str) -> str:
    try:
        return str(os.stat(file).st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=4)
def _session(process: int, settings: tuple[str, ...]) -> Any:
    made = boto3.session.Session()
    made._session.set_default_client_config(
        Config(
            retries={"mode": "standard", "max_attempts": FIRST_RETRIES},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=FIRST_SECONDS,
        )
    )
    return made


@lru_cache(maxsize=64)
def _region(settings: tuple[str, ...], bucket: str, access: Access) -> str:
    return _ask(None, None, bucket, access)


@lru_cache(maxsize=8)
def _bucket_client(process: int, settings: tuple[str, ...], region: str, access: Access) -> Any:
    client = _client(None, region, ATTEMPTS, access=access)
    wait_out(client)
    return client


@lru_cache(maxsize=8)
def _boto3_filesystem(client: Any) -> pafs.FileSystem:
    from sparkprep.io.boto3_files import Boto3FileSystem

    return pafs.PyFileSystem(Boto3FileSystem(client, explain))


@lru_cache(maxsize=8)
def _arrow_filesystem(
    process: int,
    endpoint: str,
    region: str,
    authorities: str | None,
    how: Keys,
    access_key: str | None = None,
    secret_key: str | None = None,
    session_token: str | None = None,
) -> pafs.S3FileSystem:
    options: dict[str, Any] = {"anonymous": True} if how is Keys.NONE else {}
    if not _is_amazon(endpoint):
        options["endpoint_override"] = endpoint
    if authorities is not None:
        options["tls_ca_file_path"] = authorities
    return pafs.S3FileSystem(
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        region=region,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=ARROW_SECONDS,
        # The standard one gives up when all threads together have repeated a hundred requests.
        retry_strategy=pafs.AwsDefaultS3RetryStrategy(max_attempts=ARROW_ATTEMPTS),
        **options,
    )


def _names_a_header(error: BaseException | None) -> bool:
    """Python's HTTP client repeats a header that it refuses, and a token may stand in it."""
    return error is not None and (
        "Invalid header" in str(error) or _names_a_header(error.__cause__ or error.__context__)
    )


def _without_headers(error: Exception) -> Exception | None:
    return None if _names_a_header(error) or _IN_URL.search(str(error)) else error


def _line(error: Exception) -> str:
    return _IN_URL.sub("", " ".join(str(error).split()))[:300]
