"""A server of S3's protocol over https, whose certificate only AWS_CA_BUNDLE or the profile vouches for."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import s3_buckets

from sparkprep.errors import UserError
from sparkprep.io.files import open_input, open_whole


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The server's URL and its certificate."""
    folder = tmp_path_factory.mktemp("authority")
    certificate, key = folder / "own.pem", folder / "own.key"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, "-out", certificate, "-keyout", key]
    subprocess.run(making, check=True, capture_output=True)
    with s3_buckets.server("-c", str(certificate), "-k", str(key)) as url:
        yield url, certificate


@pytest.fixture(autouse=True)
def asked(place: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", place[0])
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.mark.parametrize("by", ["variable", "profile"])
def test_both_ways_to_a_bucket_trust_it(
    place: tuple[str, Path], by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = place
    if by == "variable":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    else:
        (tmp_path / "config").write_text(f"[default]\nca_bundle = {certificate}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    boto3.client("s3", endpoint_url=url, verify=str(certificate)).create_bucket(Bucket="bucket")
    with open_whole("s3://bucket/written") as stream:
        stream.write(b"by boto3, and read by PyArrow")
    with open_input("s3://bucket/written") as stream:
        assert stream.read() == b"by boto3, and read by PyArrow"


def test_without_it_the_certificate_is_refused() -> None:
    with (
        pytest.raises(UserError, match=r"certificate verify failed.*; .*AWS_CA_BUNDLE"),
        open_input("s3://bucket/written") as stream,
    ):
        stream.read()
