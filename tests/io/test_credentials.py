"""Both ways to a bucket, boto3's and Arrow's, ask as the same and at the same server, wherever that is written."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_buckets
from role_server import Asked, Roles, gate, role_server

from sparkprep.errors import UserError
from sparkprep.io import aws
from sparkprep.io.files import exists, open_input, write_text
from sparkprep.io.paths import filesystem

MINE = "[default]\naws_access_key_id = MYKEY\naws_secret_access_key = s\n"


@pytest.fixture
def alone(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Asked]]:
    """What a server before S3 was asked. Of AWS the environment tells its place and nothing else; ~/.aws is empty."""
    s3_buckets.put("in/x", "content")
    s3 = os.environ["AWS_ENDPOINT_URL"]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with gate(s3) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        yield asked


def both_ways(asked: list[Asked]) -> set[tuple[str, str]]:
    """Ask by both ways and return each with the key that it was signed by."""
    asked.clear()
    assert open_input("s3://bucket/in/x").read() == b"content"
    write_text("s3://bucket/made", "x")
    return {(each.agent, each.key) for each in asked}


def aws_file(home: Path, name: str, content: str) -> None:
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / name).write_text(content)


def test_the_environment_is_asked_first(alone: list[Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws_file(tmp_path, "credentials", MINE)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OFENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert both_ways(alone) == {("boto3", "OFENV"), ("arrow", "OFENV")}


def test_the_shared_file_counts_and_is_read_again_when_it_changes(alone: list[Asked], tmp_path: Path) -> None:
    aws_file(tmp_path, "credentials", MINE)
    assert both_ways(alone) == {("boto3", "MYKEY"), ("arrow", "MYKEY")}
    # As where a student's session of four hours is over, and the new one is pasted in.
    aws_file(tmp_path, "credentials", MINE.replace("MYKEY", "NEWKEY"))
    assert both_ways(alone) == {("boto3", "NEWKEY"), ("arrow", "NEWKEY")}


def test_a_profile_names_key_endpoint_and_region(
    alone: list[Asked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = os.environ["AWS_ENDPOINT_URL_S3"]
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    aws_file(tmp_path, "credentials", MINE.replace("default", "lab"))
    services = f"[services here]\ns3 =\n  endpoint_url = {url}\n"
    aws_file(tmp_path, "config", f"[profile lab]\nregion = eu-west-3\nservices = here\n{services}")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert both_ways(alone) == {("boto3", "MYKEY"), ("arrow", "MYKEY")}
    assert "/eu-west-3/s3/" in alone[0].headers["authorization"]  # then the bucket has told its own


def test_a_role_is_assumed_that_a_profile_names(
    alone: list[Asked], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_server: str
) -> None:
    aws_file(tmp_path, "credentials", MINE)
    role = "[profile r]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = default\n"
    aws_file(tmp_path, "config", f"{role}region = us-east-1\n")
    monkeypatch.setenv("AWS_PROFILE", "r")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_server)
    ((agent, key),) = both_ways(alone)
    assert agent == "boto3"  # which renews them
    assert key.startswith("ASIA")  # how AWS marks temporary keys


@pytest.mark.parametrize("of", ["machine", "container"])
def test_the_role_of_a_machine_or_container_counts(
    alone: list[Asked], monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    with role_server() as roles:
        as_from(roles, of, monkeypatch)
        asked = both_ways(alone)
    assert {agent for agent, _ in asked} == {"boto3", "arrow"}
    assert all(key.startswith("ROLEKEY") for _, key in asked)
    assert all(each.headers["x-amz-security-token"] == "role-token" for each in alone)


def as_from(roles: Roles, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if of == "machine":
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", roles.url)
    else:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{roles.url}/container")


def test_a_process_that_lives_for_hours_asks_by_a_role_that_still_holds(
    alone: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    with role_server(seconds=3) as roles:  # in its last minutes, when boto3 asks for the next one
        as_from(roles, "container", monkeypatch)
        first = both_ways(alone)
        later = both_ways(alone)
    assert {agent for agent, _ in later} == {"boto3", "arrow"}
    assert not {key for _, key in first} & {key for _, key in later}


def test_a_file_that_is_open_when_its_role_ends_is_read_on(
    alone: list[Asked], monkeypatch: pytest.MonkeyPatch, s3_server: str
) -> None:
    s3_buckets._client(s3_server).put_object(Bucket="bucket", Key="long", Body=b"ab" * 2_000_000)
    with role_server(seconds=3) as roles:

        def refuse(asked: Asked) -> str | None:
            return "ExpiredToken" if asked.agent == "arrow" and asked.key in roles.given[:-1] else None

        with gate(s3_server, refuse) as (url, _):
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
            as_from(roles, "container", monkeypatch)
            with open_input("s3://bucket/long") as stream:
                begin = stream.read(1_000_001)
                exists("s3://bucket/other")  # somebody else renews it
                assert begin + stream.read() == b"ab" * 2_000_000


def test_a_file_that_is_open_when_what_a_profile_gave_ends_is_read_on(
    alone: list[Asked], monkeypatch: pytest.MonkeyPatch, s3_server: str, tmp_path: Path
) -> None:
    s3_buckets._client(s3_server).put_object(Bucket="bucket", Key="long", Body=b"ab" * 2_000_000)
    given = tmp_path / "given"
    given.write_text("")
    hand_out = tmp_path / "hand_out.py"
    hand_out.write_text(
        "import datetime, json\n"
        f"number = open({str(given)!r}, 'a+').write('x') and len(open({str(given)!r}).read())\n"
        "until = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=3)).isoformat()\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'GIVEN{number}', 'SecretAccessKey': 's', 'SessionToken': 't',"
        " 'Expiration': until}))\n"
    )
    aws_file(tmp_path, "config", f"[profile r]\ncredential_process = {sys.executable} {hand_out}\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_PROFILE", "r")
    ended: set[str] = set()
    with gate(s3_server, lambda asked: "ExpiredToken" if asked.key in ended else None) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with open_input("s3://bucket/long") as stream:
            begin = stream.read(1_000_001)
            ended.update(each.key for each in asked)
            assert begin + stream.read() == b"ab" * 2_000_000
    assert asked[-1].key not in ended


def test_nobody_to_ask_as_is_told_in_one_line(alone: list[Asked]) -> None:
    with pytest.raises(UserError, match=r"s3://bucket/in/x: no complete AWS credentials found; run `aws configure`"):
        open_input("s3://bucket/in/x")


def test_where_arrow_alone_is_refused_the_line_says_so(
    alone: list[Asked], monkeypatch: pytest.MonkeyPatch, s3_server: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "K")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with gate(s3_server, lambda asked: "SignatureDoesNotMatch" if asked.agent == "arrow" else None) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(UserError, match=r"in/x: cannot be read: boto3 is answered by S3, PyArrow is not: "):
            open_input("s3://bucket/in/x")


def test_a_public_bucket_is_asked_without_credentials(
    alone: list[Asked], monkeypatch: pytest.MonkeyPatch, s3_server: str
) -> None:
    monkeypatch.setenv("SPARKPREP_NO_SIGN_REQUEST", "bucket")
    s3_buckets._client(s3_server).put_object_acl(Bucket="bucket", Key="in/x", ACL="public-read")
    s3_buckets._client(s3_server).put_bucket_acl(Bucket="bucket", ACL="public-read")
    assert open_input("s3://bucket/in/x").read() == b"content"
    assert exists("s3://bucket/in")
    assert {(each.agent, each.key) for each in alone} == {("boto3", ""), ("arrow", "")}
    monkeypatch.setenv("SPARKPREP_NO_SIGN_REQUEST", "another")
    with pytest.raises(UserError, match=r"no complete AWS credentials.*SPARKPREP_NO_SIGN_REQUEST"):
        open_input("s3://bucket/in/x")


def payer_only(asked: Asked) -> str | None:
    return None if asked.headers.get("x-amz-request-payer") == "requester" else "AccessDenied"


def test_a_bucket_where_the_requester_pays_is_read_and_listed(
    alone: list[Asked], monkeypatch: pytest.MonkeyPatch, s3_server: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "K")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with gate(s3_server, payer_only) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(UserError, match=r"access denied \(HeadObject\).*SPARKPREP_REQUEST_PAYER=BUCKET"):
            open_input("s3://bucket/in/x")
        monkeypatch.setenv("SPARKPREP_REQUEST_PAYER", "other, bucket")
        asked.clear()
        assert both_ways(asked) == {("boto3", "K")}
        assert exists("s3://bucket/in")
        assert not exists("s3://bucket/nothing")
        system, inner = filesystem("s3://bucket/in/x")
        with pytest.raises(OSError, match="only read here"):
            system.open_output_stream(inner)
    monkeypatch.setenv("SPARKPREP_NO_SIGN_REQUEST", "bucket")
    with pytest.raises(UserError, match="who pays must say who asks"):
        aws.bucket_client("bucket", "x")
