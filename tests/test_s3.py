"""Shards on S3, against a real server of its protocol."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pytest
from pyspark.sql import SparkSession
from runs import save

from sparkprep import storage
from sparkprep.errors import UserError
from sparkprep.progress import Progress
from sparkprep.tokens.plan import ShardSettings
from sparkprep.tokens.shards import make_shards, verify

SETTINGS = ShardSettings("t", shard_tokens=2000, val_tokens=300)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An empty bucket on a server of its own; variables of the environment say where, as for any AWS client."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    told = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        pafs.S3FileSystem(endpoint_override=told["AWS_ENDPOINT_URL"], allow_bucket_creation=True).create_dir("bucket")
        yield "s3://bucket"
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    numbers = np.random.default_rng(1)
    tokens = [numbers.integers(0, 50256, n % 90).tolist() for n in range(200)]
    return save(tmp_path_factory.mktemp("rows") / "rows.parquet", {"id": list(range(200)), "tokens": tokens})


def run_job(rows: Path, folder: str) -> None:
    """The job as a process of its own: the server's address must be there when Spark starts its workers."""
    settings = ["--name", "t", "--shard-tokens", "2000", "--val-tokens", "300", "--quiet"]
    command = [sys.executable, "-m", "sparkprep.cli", "shards", "--input", str(rows), "--output", folder, *settings]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=240)


def test_shards_on_s3_are_those_of_a_local_folder_and_a_second_run_makes_only_what_is_missing(
    spark: SparkSession, bucket: str, rows: Path, tmp_path: Path
) -> None:
    local = make_shards(spark, [str(rows)], str(tmp_path / "out"), SETTINGS, Progress(spark, None))
    folder = f"{bucket}/out"
    run_job(rows, folder)
    remote = verify(f"{folder}/")
    assert remote == local
    files = [shard["file"] for shard in remote["shards"]]
    assert storage.names(folder) == sorted([*files, "manifest.json"])

    storage.delete_file(f"{folder}/{files[1]}")
    with pytest.raises(UserError, match=rf"{files[1]}: missing"):
        verify(folder)
    system, _ = storage.filesystem(folder)
    written = system.get_file_info(f"bucket/out/{files[2]}").mtime_ns
    run_job(rows, folder)
    assert verify(folder) == local
    assert system.get_file_info(f"bucket/out/{files[2]}").mtime_ns == written


def test_a_block_that_fails_leaves_no_object(bucket: str) -> None:
    def write_half() -> None:
        with storage.open_whole(f"{bucket}/half/x.bin") as stream:
            stream.write(b"half of it")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert storage.names(f"{bucket}/half") == []


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    with (
        pytest.raises(UserError, match=r"s3://nowhere/x\.bin: cannot be written"),
        storage.open_whole("s3://nowhere/x.bin") as stream,
    ):
        stream.write(b"x")
