"""S3 is asked as any AWS client asks it, and what it answers is told in one line."""

import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
import s3_buckets
from botocore.exceptions import ClientError

from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.io import aws
from sparkprep.io.files import (
    cause,
    delete_file,
    delete_folder,
    exists,
    file_names,
    make_folder,
    open_input,
    sha256_of,
    write_text,
)
from sparkprep.io.json_files import read_json
from sparkprep.io.listing import list_files
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import filesystem
from sparkprep.io.s3_errors import explain_arrow, no_connection

WAYS: list[Callable[[str], object]] = [
    exists,
    open_input,
    file_names,
    sha256_of,
    delete_file,
    delete_folder,
    lambda path: write_text(path, "x"),
    lambda path: list_files([path]),
    lambda path: read_json(path, "mend it"),
]


def told(ask: Callable[[str], object], path: str) -> str:
    with pytest.raises(UserError) as caught:
        ask(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def clean(bucket: str) -> str:
    s3_buckets.clear()
    return bucket


@pytest.mark.parametrize("ask", WAYS)
def test_a_bucket_that_is_not_there_is_told_with_the_path(bucket: str, ask: Callable[[str], object]) -> None:
    message = told(ask, "s3://no-such/key.jsonl")
    assert message.startswith("s3://no-such/key.jsonl: ")
    assert "no such bucket; check its name" in message


@pytest.mark.parametrize("ask", WAYS)
def test_an_endpoint_without_a_server_is_named(
    bucket: str, ask: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    message = told(ask, "s3://bucket/key.jsonl")
    assert message.startswith("s3://bucket/key.jsonl: ")
    assert "no connection to S3 at http://127.0.0.1:1; check the network, and AWS_ENDPOINT_URL_S3, which" in message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://me:secret@server:9000/x", "no connection to S3 at http://server:9000; check the network, and the end"),
        ("https://b.s3.eu-west-1.amazonaws.com/", "eu-west-1.amazonaws.com; check the network; AWS_ENDPOINT_URL_S3 "),
        (None, "no connection to S3; check the network; AWS_ENDPOINT_URL_S3 names another server than Amazon's"),
    ],
)
def test_the_endpoint_to_check_is_the_one_in_force(url: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert said in no_connection(url)


@pytest.mark.parametrize("verb", ["dedup", "tokenize", "shards", "grade"])
def test_advice_names_no_flag_that_the_command_lacks_and_the_variable_named_works(
    bucket: str, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    flags = re.findall(r"--[a-z-]+", capsys.readouterr().out)
    server = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    there, result = "s3://bucket/none.parquet", "s3://bucket/out"
    words = [verb, result, "--truth", there] if verb == "grade" else [verb, "--input", there, "--output", result]
    assert main(words) == 2
    message = capsys.readouterr().err
    assert "check the network, and AWS_ENDPOINT_URL, which" in message
    assert set(re.findall(r"--[a-z-]+", message)) <= set(flags)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server)
    assert main(words) == 2
    assert re.search("no such file|does not exist", capsys.readouterr().err)


@pytest.mark.slow
def test_a_server_that_takes_the_connection_and_is_silent_is_given_up_within_half_a_minute(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        start = time.monotonic()
        message = told(exists, "s3://bucket/key")
        assert f"no connection to S3 at {url}; check the network, and AWS_ENDPOINT_URL_S3, which" in message
        assert time.monotonic() - start < 30
        # Arrow, which may have been at work already when the server fell silent, and is patient then.
        monkeypatch.setattr(aws, "ARROW_ATTEMPTS", 2)
        system = aws._arrow_filesystem(os.getpid(), url, "us-east-1", None, aws.Keys.GIVEN, "a", "b", None)
        start = time.monotonic()
        with pytest.raises(OSError, match="NETWORK_CONNECTION") as caught:
            system.get_file_info("bucket/key")
        assert time.monotonic() - start < 30
        assert cause(caught.value).startswith(f"no connection to S3 at {url}; check the network")


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "S3 does not accept the AWS credentials (InvalidAccessKeyId); renew"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "S3 does not accept the AWS credentials (SignatureDoesNotMatch); renew"),
        ({"AWS_SESSION_TOKEN": "stale"}, "S3 does not accept the AWS credentials (InvalidToken); renew"),
        ({}, "access denied ("),
    ],
)
def test_who_is_not_let_in_is_told_why(
    bucket: str,
    ask: Callable[[str], object],
    changed: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3_buckets.put("in/a.jsonl")
    with s3_buckets.only_known_users(os.environ["AWS_ENDPOINT_URL"]) as user:
        for name, value in (user | changed).items():
            monkeypatch.setenv(name, value)
        said = told(ask, "s3://bucket/in/a.jsonl")
        monkeypatch.undo()
    assert said.startswith("s3://bucket/in/a.jsonl: ")
    assert message in said


def test_without_credentials_the_way_to_get_some_is_told(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert "s3://bucket/x: no complete AWS credentials found; run `aws configure`" in told(exists, "s3://bucket/x")


def test_credentials_and_endpoint_may_stand_in_a_profile(
    clean: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = os.environ["AWS_ENDPOINT_URL"]
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    config = tmp_path / "config"
    config.write_text(
        "[profile mine]\naws_access_key_id = a\naws_secret_access_key = b\n"
        f"endpoint_url = {server}\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    write_text(f"{clean}/x", "by profile")
    assert open_input(f"{clean}/x").read() == b"by profile"


def test_the_region_is_the_buckets_own(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="eu-west-1")
    elsewhere.create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    system, inner = filesystem("s3://far/x")
    assert (system.region, inner) == ("eu-west-1", "far/x")
    assert aws.bucket_client("far", "x").meta.region_name == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # a region set for others does no harm
    assert filesystem("s3://far/x")[0].region == "eu-west-1"


def test_a_process_keeps_one_file_system_and_its_fork_makes_its_own(clean: str) -> None:
    write_text(f"{clean}/x", "before the fork")
    system, _ = filesystem(f"{clean}/x")
    assert filesystem(f"{clean}/other")[0] is system
    child = os.fork()
    if child == 0:  # as PySpark's daemon makes its workers
        try:
            fine = filesystem(f"{clean}/x")[0] is not system and open_input(f"{clean}/x").read() == b"before the fork"
            write_text(f"{clean}/y", "of the fork")
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert s3_buckets.objects() == {"x": "before the fork", "y": "of the fork"}


def test_a_folder_on_s3_is_nothing_but_the_names_in_it(clean: str) -> None:
    make_folder(f"{clean}/a/b")
    assert s3_buckets.objects() == {}
    for number in range(60):  # more than a page
        s3_buckets.put(f"a/b/{number}")
    s3_buckets.put("a/bc")
    delete_folder(f"{clean}/a/b")
    delete_folder(f"{clean}/a/b")
    assert s3_buckets.objects() == {"a/bc": "x"}
    delete_file(f"{clean}/a/bc")
    assert s3_buckets.objects() == {}


def test_a_result_that_is_only_half_in_place_is_no_input(clean: str) -> None:
    for key in ("out/_unfinished.json", "out/kept/part-0.parquet", "fine/kept/part-0.parquet"):
        s3_buckets.put(key)
    assert len(list_files([f"{clean}/fine/kept", f"{clean}/fine"])) == 1
    for path in ("out", "out/kept/", "out/kept/part-0.parquet", ""):
        with pytest.raises(UserError, match=r"has not finished \(s3://bucket/out/_unfinished\.json says where"):
            list_files([f"s3a://bucket/{path}"])


# As Arrow 26 has worded them, for answers that the tests' server does not give.
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "When listing objects under key 'a/' in bucket 'b': AWS Error UNKNOWN (HTTP status 400) during "
            "ListObjectsV2 operation: Unable to parse ExceptionName: ExpiredToken Message: The provided token has "
            "expired. (Request ID: r)",
            "S3 does not accept the AWS credentials (ExpiredToken); renew them, and check the clock",
        ),
        (
            "When getting information for key 'k' in bucket 'b': AWS Error UNKNOWN (HTTP status 301) during HeadObject "
            "operation: No response body. Looks like the configured region is 'us-east-1' while the bucket is "
            "located in 'eu-west-1'.",
            "the bucket lies in another region than the one set, eu-west-1; set AWS_DEFAULT_REGION to the bucket's",
        ),
        (
            "When getting information for key 'k' in bucket 'b': AWS Error ACCESS_DENIED during HeadObject operation: "
            "No response body.",
            "access denied (HeadObject); ask the bucket's owner for leave to read, list and write there; where the "
            "requester pays, set SPARKPREP_REQUEST_PAYER=BUCKET",
        ),
        (
            "When listing objects under key '' in bucket 'b': AWS Error SLOW_DOWN during ListObjectsV2 operation: "
            "Please reduce your request rate. (Request ID: r)",
            "S3 is overloaded or out of order (SLOW_DOWN); run the command again later",
        ),
        (
            "When listing objects under key '' in bucket 'b': AWS Error [code 136] during ListObjectsV2 operation: The "
            "object is archived (Request ID: r)",
            "S3 answered: The object is archived",
        ),
        (
            "When getting information for key 'k' in bucket 'b': AWS Error UNKNOWN (HTTP status 400) during HeadObject "
            "operation: No response body.",
            "S3 refuses the request (400), as for AWS credentials that have expired; renew them",
        ),
    ],
)
def test_an_error_of_arrow_becomes_one_line_with_the_way_out(text: str, message: str) -> None:
    assert explain_arrow(text) == message


@pytest.mark.parametrize("code", ["ExpiredToken", "PermanentRedirect", "AccessDenied", "SlowDown", "NoSuchBucket"])
def test_arrow_and_boto3_are_told_in_the_same_words(code: str) -> None:
    by_boto3 = aws.explain(ClientError({"Error": {"Code": code, "Message": "m"}}, "ListObjectsV2"))
    by_arrow = explain_arrow(
        "When listing objects under key 'a/' in bucket 'b': AWS Error UNKNOWN (HTTP status 400) during "
        f"ListObjectsV2 operation: Unable to parse ExceptionName: {code} Message: m (Request ID: r)"
    )
    assert by_arrow == by_boto3


def test_who_may_read_one_folder_alone_may_take_it_as_input(clean: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_buckets.put("a/in/x.jsonl", '{"text": "x"}')
    may = {"s3:ListBucket": "arn:aws:s3:::bucket", "s3:GetObject": "arn:aws:s3:::bucket/a/in/*"}
    with s3_buckets.only_known_users(os.environ["AWS_ENDPOINT_URL"], may) as user:
        for name, value in user.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError, match="access denied"):
            exists(f"{clean}/a/_delta_log")
        files = list_files([f"{clean}/a/in"])
        monkeypatch.undo()
    assert [file.path for file in files] == [f"{clean}/a/in/x.jsonl"]


def test_the_output_is_tried_before_the_work(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_buckets.only_known_users(os.environ["AWS_ENDPOINT_URL"]) as user:
        for name, value in user.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError, match=r"output='s3://bucket/out': access denied \(ListObjectsV2\)"):
            OutputFolder(f"{bucket}/out", overwrite=False)
        monkeypatch.undo()
