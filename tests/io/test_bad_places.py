"""A place on S3 that cannot work is told in one line, by every face and on each side, before anything is begun."""

import os
import re
import socket
import time
from pathlib import Path

import pytest
import s3_buckets
from role_server import gate
from trees import put

from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.io.files import exists

SIDES = ["input", "output", "work"]
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def documents(bucket: str, tmp_path: Path) -> Path:
    s3_buckets.clear()
    put(tmp_path / "in" / "a.jsonl", '{"id": 1, "text": "a b c"}')
    return tmp_path / "in"


def words_of(verb: str, documents: Path, side: str, path: str) -> list[str]:
    """A command line of which that side is the path, and all else is fine."""
    places = {"input": str(documents), "output": str(documents.parent / "out"), side: path}
    return [verb, *(word for name, place in places.items() for word in (f"--{name}", place))]


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(words) == 2
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("verb", ["dedup", "tokenize"])
@pytest.mark.parametrize("path", ["s3://", "s3a:///x"])
def test_a_uri_without_a_bucket_is_told(
    documents: Path, capsys: pytest.CaptureFixture[str], verb: str, side: str, path: str
) -> None:
    assert "names no bucket; write s3://BUCKET/FOLDER" in said(words_of(verb, documents, side, path), capsys)


@pytest.mark.parametrize("words", [["shards", "--input"], ["grade", "s3:///x", "--truth"], ["clean"]])
def test_the_other_faces_tell_it_too(
    documents: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    more = ["--output", str(tmp_path / "out")] if words[0] == "shards" else []
    assert "names no bucket; write s3://BUCKET/FOLDER" in said([*words, "s3:///x", *more], capsys)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("verb", ["dedup", "tokenize"])
def test_a_server_that_is_not_there_is_told(
    documents: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, side: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    start = time.monotonic()
    line = said(words_of(verb, documents, side, "s3://bucket/place"), capsys)
    assert "no connection to S3 at http://127.0.0.1:1; check the network, and AWS_ENDPOINT_URL_S3" in line
    assert time.monotonic() - start < 30


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_a_server_that_is_silent_is_given_up_within_half_a_minute(
    documents: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert "no connection to S3 at" in said(words_of("dedup", documents, side, "s3://bucket/place"), capsys)
        assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (
            "US East (Ohio)",
            "'US East (Ohio)' doesn't match a supported format; give one such as",
        ),
        ("us-esat-1", "names another server than Amazon's, AWS_DEFAULT_REGION another region than us-esat-1"),
    ],
)
def test_a_region_that_is_none_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch, region: str, message: str) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    with pytest.raises(UserError) as caught:
        exists("s3://my-bucket/x")
    assert message in str(caught.value)


def test_a_region_that_is_not_the_buckets_does_no_harm(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-southeast-2")
    s3_buckets.put("x")
    assert exists("s3://bucket/x")


def test_a_name_that_no_bucket_has_is_told_in_a_line(bucket: str) -> None:
    with pytest.raises(UserError, match=r'Invalid bucket name "My Bucket"; check the name of the bucket$'):
        exists("s3://My Bucket/x")


@pytest.mark.parametrize(
    ("source", "output", "work", "message"),
    [
        ("in", "in", None, "(lies inside|is) the input s3://bucket/in|--output s3://bucket/in is the input"),
        ("in", "in/out", None, "lies inside the input s3://bucket/in"),
        ("in/deep", "in", None, "(lies inside --output s3://bucket/in,|has inside it the input s3://bucket/in/deep)"),
        ("", "out", None, "lies inside the input s3://bucket"),
        ("in", "out", "in/tmp", "--work s3://bucket/in/tmp lies inside the input"),
        ("in", "out", "out/tmp", "--work s3://bucket/out/tmp lies inside --output"),
    ],
)
@pytest.mark.parametrize("verb", ["dedup", "tokenize"])
def test_output_and_work_may_not_lie_in_the_input_nor_in_each_other(
    documents: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    source: str,
    output: str,
    work: str | None,
    message: str,
) -> None:
    s3_buckets.put("in/deep/a.jsonl", '{"text": "x"}')
    places = {"input": f"s3://bucket/{source}", "output": f"s3://bucket/{output}"}
    places |= {"work": f"s3a://bucket/{work}/"} if work else {}
    line = said([verb, *(word for name, place in places.items() for word in (f"--{name}", place))], capsys)
    assert re.search(message, line)
    assert set(s3_buckets.objects()) == {"in/deep/a.jsonl"}


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://AKIAEXAMPLE:{SECRET}@bucket/in",
        f"s3a://AKIAEXAMPLE:{SECRET}@bucket",
        f"s3://AKIAEXAMPLE:{SECRET}/in",
        f"S3://{SECRET.replace('/', '')}@bucket/in",
        f"https://AKIAEXAMPLE:{SECRET}@host/bucket/in",
    ],
)
@pytest.mark.parametrize("side", SIDES)
def test_a_key_in_a_uri_is_refused_and_never_repeated(
    documents: Path, capfd: pytest.CaptureFixture[str], uri: str, side: str
) -> None:
    for words in (
        [*words_of("dedup", documents, side, uri), "--debug"],
        ["grade", uri, "--truth", uri],
        ["clean", uri],
    ):
        assert main(words) == 2
        told = capfd.readouterr()
        assert "a user or a key stands before the bucket" in told.err or "is not supported" in told.err
        assert not any(piece in told.err + told.out for piece in ("AKIAEXAMPLE", *SECRET.split("/")))


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "endpoint_url of a profile"])
def test_a_key_in_an_endpoint_is_refused_and_never_repeated(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], variable: str
) -> None:
    url = f"http://AKIAEXAMPLE:{SECRET.replace('/', '')}@{os.environ['AWS_ENDPOINT_URL'].removeprefix('http://')}"
    if variable.startswith("AWS"):
        monkeypatch.setenv(variable, url)
    else:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {url}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for side in SIDES:
        assert main([*words_of("dedup", documents, side, "s3://bucket/x"), "--debug"]) == 2
        told = capfd.readouterr()
        assert "the endpoint of S3 has a user or a key in it" in told.err
        assert not any(piece in told.err + told.out for piece in ("AKIAEXAMPLE", *SECRET.split("/")))


def test_a_server_that_asks_for_another_region_is_told_of(documents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gate(os.environ["AWS_ENDPOINT_URL"], lambda asked: "AuthorizationHeaderMalformed") as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        with pytest.raises(UserError, match="lies in another region than the one set; set AWS_DEFAULT_REGION"):
            exists("s3://bucket/x")
