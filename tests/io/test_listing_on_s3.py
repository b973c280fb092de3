"""Which files an input in a bucket is, from a real server of S3's protocol."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from sparkprep.errors import UserError
from sparkprep.io.listing import list_files, list_input


@pytest.fixture(scope="module")
def keys(bucket: str) -> Any:
    """What puts objects: {key: content}."""
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])

    def put(objects: dict[str, bytes]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: client.put_object(Bucket="bucket", Key=item[0], Body=item[1]), objects.items()))

    return put


def test_more_keys_than_a_page_holds_are_all_there(keys: Any, bucket: str) -> None:
    objects = {f"many/day={n % 7}/part-{n:05d}.parquet": b"x" * (n % 5) for n in range(1100)}
    keys(objects)
    files = list_files([f"{bucket}/many/"])
    assert [file.path for file in files] == sorted(f"{bucket}/{key}" for key in objects)
    assert files[0].partition == (("day", "0"),)
    assert sum(file.size for file in files) == sum(n % 5 for n in range(1100))


def test_one_key_counts_once_by_whatever_scheme(keys: Any) -> None:
    keys({"once/a.parquet": b"x"})
    assert len(list_files(["s3://bucket/once", "s3a://bucket/once/", "s3n://bucket/once/a.parquet"])) == 1


def test_other_kinds_are_told_and_parquet_is_known_without_its_name(keys: Any, bucket: str) -> None:
    keys(
        {
            "odd/000000_0": b"PAR1...",
            "odd/a.bz2": b"BZh9",
            "odd/README.md": b"x",
            "odd/_SUCCESS": b"",
            "odd/x_$folder$": b"",
        }
    )
    keys({"odd/_tmp/x.parquet": b"x", "odd/info.json": json.dumps({"rows": 1}).encode()})
    listing = list_input([f"{bucket}/odd"])
    assert [file.path for file in listing.files] == [f"{bucket}/odd/000000_0"]
    assert {each.path.removeprefix(f"{bucket}/odd/") for each in listing.left_out} == {
        *("a.bz2", "info.json", "README.md", "_SUCCESS", "x_$folder$", "_tmp/"),
    }
    assert len(listing.warnings) == 2


@pytest.mark.parametrize("asked", ["", "/t", "/t/day=1", "/t/day=1/a.parquet"])
@pytest.mark.parametrize(
    "mark", ["_delta_log/0.json", ".hoodie/x", "metadata/v3.metadata.json", "_unfinished.json", "_heartbeat"]
)
def test_tables_and_unfinished_results_are_refused(keys: Any, bucket: str, mark: str, asked: str) -> None:
    root = f"marked-{mark[:3]}"
    keys({f"{root}/t/day=1/a.parquet": b"x", f"{root}/t/{mark}": b"{}"})
    with pytest.raises(UserError, match=rf"^{bucket}/{root}/t: "):
        list_files([f"{bucket}/{root}{asked}"])


def test_of_a_result_of_dedup_the_kept_documents_are_taken(keys: Any, bucket: str) -> None:
    keys({f"clean/{name}/part-0.parquet": b"x" for name in ("kept", "removed", "rejected")})
    keys({"clean/metrics.json": json.dumps({"counts": {}, "settings": {}, "versions": {}}).encode()})
    assert [file.path for file in list_files([f"{bucket}/clean"])] == [f"{bucket}/clean/kept/part-0.parquet"]


def test_an_input_that_is_another_now_is_named(keys: Any, bucket: str) -> None:
    keys({"now/a.jsonl": b"x", "now/b.jsonl": b"x"})
    listing = list_input([f"{bucket}/now"])
    listing.check_unchanged()
    keys({"now/sub/c.jsonl": b"x"})
    with pytest.raises(UserError, match=rf"^{bucket}/now/sub/c.jsonl: was added while the job ran"):
        listing.check_unchanged()
    keys({"now/b.jsonl": b"xy"})
    with pytest.raises(UserError, match=rf"^{bucket}/now/b.jsonl: has changed while the job ran"):
        listing.check_unchanged()
    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).delete_object(Bucket="bucket", Key="now/a.jsonl")
    with pytest.raises(UserError, match=rf"^{bucket}/now/a.jsonl: is not there any more"):
        listing.check_unchanged()


def test_a_prefix_that_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(UserError, match=rf"^{bucket}/nowhere: no such file or folder"):
        list_files([f"{bucket}/nowhere"])
