"""Jobs read from buckets of others: by --request-payer where the requester pays, by --no-sign-request in public."""

import argparse
import json
import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3_buckets
import warc_files
from dedup_runs import prose
from pyspark.sql import SparkSession
from role_server import Asked, gate

from sparkprep.cli import main
from sparkprep.io.access import Access, access_to
from sparkprep.io.access_flags import add_access, tell_access
from sparkprep.io.s3_errors import explain_arrow

VARIABLES = ("SPARKPREP_REQUEST_PAYER", "SPARKPREP_NO_SIGN_REQUEST")


def payer_only(asked: Asked) -> str | None:
    """Refuse what is asked of the bucket of others without the word that we pay."""
    of_others = asked.path.startswith("/others")
    return "AccessDenied" if of_others and asked.headers.get("x-amz-request-payer") != "requester" else None


def public_only(asked: Asked) -> str | None:
    """Refuse what is asked of the bucket of others with a signature."""
    return "AccessDenied" if asked.path.startswith("/others") and asked.key else None


@pytest.fixture
def others(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with documents, with token rows, and with an archive."""
    client = s3_buckets.client()
    client.create_bucket(Bucket="others")
    client.put_bucket_acl(Bucket="others", ACL="public-read")
    tokens = pa.array([[1, 2], [3]], pa.list_(pa.uint16()))
    for key, column in (("docs", {"text": [prose(1), prose(2)]}), ("rows", {"tokens": tokens})):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"id": [1, 2], **column}), sink)
        body = sink.getvalue().to_pybytes()
        client.put_object(Bucket="others", Key=f"{key}/a.parquet", Body=body, ACL="public-read")
    archive = warc_files.archive(warc_files.responses(3))
    client.put_object(Bucket="others", Key="pages/a.warc.gz", Body=archive, ACL="public-read")
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back
    yield "s3://others"
    for key in ("docs/a.parquet", "rows/a.parquet", "pages/a.warc.gz"):
        client.delete_object(Bucket="others", Key=key)
    client.delete_bucket(Bucket="others")
    s3_buckets.clear()


@pytest.mark.parametrize(
    ("flag", "refuse", "verb"),
    [
        ("--request-payer", payer_only, "dedup"),
        ("--no-sign-request", public_only, "tokenize"),
        ("--request-payer", payer_only, "shards"),
        ("--no-sign-request", public_only, "extract"),
    ],
)
def test_a_job_reads_it_in_its_tasks_too_and_writes_to_a_bucket_of_our_own(
    spark: SparkSession, others: str, monkeypatch: pytest.MonkeyPatch, flag: str, refuse: object, verb: str
) -> None:
    with gate(os.environ["AWS_ENDPOINT_URL"], refuse) as (url, asked):  # type: ignore[arg-type]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        for name in [name for name in os.environ if name.startswith("AWS_")]:  # of workers of a session that was there
            monkeypatch.setitem(spark.sparkContext.environment, name, os.environ[name])
        source = f"{others}/{ {'shards': 'rows', 'extract': 'pages'}.get(verb, 'docs') }"
        assert main([verb, "--input", source, "--output", "s3://bucket/out", "--quiet", flag]) == 0
    written = {"tokenize": "out/_metrics.json", "shards": "out/manifest.json"}.get(verb, "out/metrics.json")
    assert written in s3_buckets.objects("out/")
    assert any(each.path.startswith("/others") for each in asked)
    assert not any("x-amz-request-payer" in each.headers for each in asked if each.path.startswith("/bucket"))


def test_without_the_flag_the_line_names_the_variable(
    others: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with gate(os.environ["AWS_ENDPOINT_URL"], payer_only) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert main(["dedup", "--input", f"{others}/docs", "--output", "s3://bucket/out"]) == 2
    assert "access denied" in (said := capsys.readouterr().err)
    assert "where the requester pays, set SPARKPREP_REQUEST_PAYER=BUCKET" in said


@pytest.mark.parametrize("flag", ["--request-payer", "--no-sign-request"])
def test_the_flag_of_an_input_that_is_not_on_s3_is_refused(
    others: str, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert main(["dedup", "--input", "here", "--output", "s3://bucket/out", flag]) == 2
    assert f"{flag} is of an input on S3, and none is named; leave it out" in capsys.readouterr().err


def known_only(asked: Asked) -> str | None:
    """Refuse what is asked without a signature."""
    return None if asked.key else "AccessDenied"


@pytest.fixture
def not_public(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The server's URL, where only those may ask who are known."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back
    with gate(os.environ["AWS_ENDPOINT_URL"], known_only) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        yield url
    s3_buckets.clear()


@pytest.mark.parametrize("verb", ["dedup", "tokenize", "grade"])
def test_a_bucket_that_is_not_public_is_named_as_such(
    not_public: str, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    s3_buckets.put("docs/a.parquet")
    words = ["grade", "s3://bucket/docs", "--truth", "s3://bucket/docs/a.parquet"]
    if verb != "grade":
        words = [verb, "--input", "s3://bucket/docs", "--output", "out"]
    assert main([*words, "--no-sign-request"]) == 2
    said = capsys.readouterr().err
    assert "it was asked for without credentials, and the bucket is not public; leave out --no-sign-request" in said
    assert "REQUEST_PAYER" not in said


def test_arrow_and_boto3_say_the_same_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "When reading key 'a/b' in bucket 'others': AWS Error ACCESS_DENIED during HeadObject operation"
    monkeypatch.setenv("SPARKPREP_NO_SIGN_REQUEST", "others")
    assert "without credentials" in str(explain_arrow(text))
    assert "without credentials" not in str(explain_arrow(text.replace("others", "own")))


@pytest.mark.parametrize("written", ["s3://bucket/out", "s3://bucket"])
def test_the_flag_of_public_buckets_is_not_of_one_that_is_written_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: str
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    parser = argparse.ArgumentParser()
    add_access(parser)
    inputs = ["s3://bucket/docs", "s3://others/docs"]
    tell_access(parser.parse_args(["--no-sign-request"]), inputs, [None, "here", written])
    assert [access_to(name) for name in ("bucket", "others")] == [Access.OWN, Access.PUBLIC]
    assert "note: bucket is written to as well, and so asked with credentials" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bucket_that_the_output_lies_in_is_asked_with_credentials(
    spark: SparkSession, not_public: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    s3_buckets.put("docs/a.jsonl", json.dumps({"id": 1, "text": prose(1)}))
    for name in [name for name in os.environ if name.startswith("AWS_")]:  # of workers of a session that was there
        monkeypatch.setitem(spark.sparkContext.environment, name, os.environ[name])
    monkeypatch.setitem(spark.sparkContext.environment, "AWS_ENDPOINT_URL_S3", not_public)
    words = ["--input", "s3://bucket/docs", "--output", "s3://bucket/out", "--quiet", "--no-sign-request"]
    assert main(["tokenize", *words]) == 0
    assert "note: bucket is written to as well, and so asked with credentials" in capsys.readouterr().err
