"""What Ceph answers at its borders: many keys, strangers, buckets that are not there, uploads that nobody ends."""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ceph import Ceph, User
from remote import names

from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.io.files import delete_folder, file_names, open_input, open_whole, write_text
from sparkprep.io.listing import list_input
from sparkprep.io.output import OutputFolder, try_output
from sparkprep.io.paths import join_path

pytestmark = pytest.mark.storage

KEYS = 1_150
"""More than the 1,000 of a page."""
MADE = (r"metrics\.json", r"kept/.*")


def write(folder: str, files: Sequence[str], content: str = '{"text": "new"}\n') -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write_text(join_path(folder, name), content), files))


def test_a_result_of_more_keys_than_a_page_is_put_in_place_read_and_replaced(bucket: str) -> None:
    old = [f"kept/old-{number:04}.jsonl" for number in range(KEYS)]
    new = [f"kept/new-{number:04}.jsonl" for number in range(KEYS)]
    place = f"{bucket}/many"
    write(place, ["metrics.json", *old])
    with OutputFolder(place, overwrite=True, made=MADE) as output:
        write(output.work, ["metrics.json", *new])
        output.commit()
    assert names(place, recursive=True) == {"metrics.json", *new}
    assert len(list_input([f"{place}/kept"]).files) == KEYS
    assert {each for each in names(bucket) if each.startswith("many")} == {"many"}


@pytest.fixture(scope="module")
def reader(ceph: Ceph) -> User:
    """A user to whom the owner of a bucket has to open it."""
    return ceph.add_user(f"reader-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def as_reader(ceph: Ceph, reader: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ceph.access(reader).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def documents(bucket: str) -> str:
    write(f"{bucket}/documents", ["a.jsonl"])
    return f"{bucket}/documents"


def open_to(s3: Any, bucket: str, user: User) -> None:
    """Let a user read and list all of a bucket, and write nothing."""
    name = bucket.removeprefix("s3://")
    may = (
        f'{{"Effect": "Allow", "Principal": {{"AWS": ["arn:aws:iam:::user/{user.name}"]}}, '
        f'"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::{name}", "arn:aws:s3:::{name}/*"]}}'
    )
    s3.put_bucket_policy(Bucket=name, Policy=f'{{"Version": "2012-10-17", "Statement": [{may}]}}')


def test_who_may_only_read_reads_and_is_told_what_may_not_be_written(
    s3: Any, bucket: str, documents: str, reader: User, as_reader: None
) -> None:
    open_to(s3, bucket, reader)
    assert [file.path for file in list_input([documents]).files] == [f"{documents}/a.jsonl"]
    with pytest.raises(UserError, match=r"cannot be written: access denied \(PutObject\).*choose another output"):
        try_output(f"{bucket}/out", overwrite=False)
    assert names(bucket) >= {"documents"}


def test_a_bucket_that_is_closed_is_told_as_such(ceph: Ceph, s3: Any, documents: str, as_reader: None) -> None:
    s3.delete_bucket_policy(Bucket=documents.split("/")[2])
    with pytest.raises(UserError, match="access denied"):
        list_input([documents])


@pytest.mark.parametrize(
    ("variable", "value"), [("AWS_SECRET_ACCESS_KEY", "not-the-secret"), ("AWS_ACCESS_KEY_ID", "NOBODY")]
)
def test_credentials_that_are_none_are_told_as_such_and_not_repeated(
    documents: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match="S3 does not accept the AWS credentials") as caught:
        list_input([documents])
    assert value not in str(caught.value)


def test_a_bucket_that_is_not_there_is_told_by_its_name(s3: Any) -> None:
    with pytest.raises(UserError, match=r"s3://b-nowhere/documents: no such bucket"):
        list_input(["s3://b-nowhere/documents"])
    with pytest.raises(UserError, match=r"b-nowhere.*no such bucket"):
        try_output("s3://b-nowhere/out", overwrite=False)


def test_an_upload_in_parts_is_whole_or_leaves_nothing(s3: Any, bucket: str) -> None:
    name, content = bucket.removeprefix("s3://"), bytes(range(256)) * 200_000
    with open_whole(f"{bucket}/large/whole.bin") as stream:
        stream.write(content)
    assert s3.get_object(Bucket=name, Key="large/whole.bin")["Body"].read() == content
    with pytest.raises(ZeroDivisionError), open_whole(f"{bucket}/large/half.bin") as stream:  # noqa: PT012
        stream.write(content)
        raise ZeroDivisionError
    assert file_names(f"{bucket}/large") == ["whole.bin"]
    assert s3.list_multipart_uploads(Bucket=name).get("Uploads", []) == []


def test_what_is_written_over_https_is_read_over_https(
    ceph: Ceph, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, large = bucket.removeprefix("s3://"), bytes(range(256)) * 100_000
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", ceph.secure_url)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ceph.certificate))
    monkeypatch.delenv("AWS_REQUEST_CHECKSUM_CALCULATION")
    write_text(f"{bucket}/secure/small", "text")
    with open_whole(f"{bucket}/secure/large") as stream:
        stream.write(large)
    assert s3.get_object(Bucket=name, Key="secure/small")["Body"].read() == b"text"
    with open_input(f"{bucket}/secure/large") as stored:  # by PyArrow
        assert stored.read() == large
    delete_folder(f"{bucket}/secure")
    assert s3.list_objects_v2(Bucket=name, Prefix="secure/")["KeyCount"] == 0


def begin_upload(s3: Any, bucket: str, key: str) -> None:
    """Send one part of an upload that nobody ends."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=bytes(5 << 20))


def test_clean_removes_what_a_killed_run_has_left_with_its_uploads_and_nothing_else(s3: Any, bucket: str) -> None:
    place, name = f"{bucket}/cleaned", bucket.removeprefix("s3://")
    write(f"{place}/out.partial-0a1b2c3d", ["_heartbeat", "kept/part-00000.snappy.parquet"], "{}")
    write(place, ["out/metrics.json", "out/kept/part-00000.snappy.parquet", "mine.txt"])
    begin_upload(s3, name, "cleaned/out.partial-0a1b2c3d/kept/part-00001.snappy.parquet")
    begin_upload(s3, name, "cleaned/theirs.bin")
    assert main(["clean", place]) == 2, "what was written just now may be a living run's"
    assert main(["clean", place, "--even-if-running"]) == 0
    assert names(place, recursive=True) == {"out/metrics.json", "out/kept/part-00000.snappy.parquet", "mine.txt"}
    uploads = s3.list_multipart_uploads(Bucket=name)["Uploads"]
    assert [each["Key"] for each in uploads] == ["cleaned/theirs.bin"]
