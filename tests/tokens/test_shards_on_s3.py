"""Shards on S3, against a real server of its protocol."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dedup_runs import prose, save
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.io.files import delete_file, file_names, open_whole
from sparkprep.io.heartbeat import Heartbeat
from sparkprep.io.paths import filesystem
from sparkprep.spark.progress import Progress
from sparkprep.tokens.manifest import verify
from sparkprep.tokens.pipeline import make_tokens
from sparkprep.tokens.settings import ShardSettings
from sparkprep.tokens.shards import make_shards

SETTINGS = ShardSettings("t", shard_tokens=2000, val_tokens=300)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    numbers = np.random.default_rng(1)
    tokens = [numbers.integers(0, 50256, n % 90).tolist() for n in range(200)]
    return save(tmp_path_factory.mktemp("rows") / "rows.parquet", {"id": list(range(200)), "tokens": tokens})


def run_job(rows: Path, folder: str) -> None:
    """The job as a process of its own: the server's address must be there when Spark starts its workers."""
    settings = ["--name", "t", "--shard-tokens", "2000", "--val-tokens", "300", "--quiet"]
    command = [sys.executable, "-m", "sparkprep.cli", "shards", "--input", str(rows), "--output", folder, *settings]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_shards_on_s3_are_those_of_a_local_folder_and_a_second_run_makes_only_what_is_missing(
    spark: SparkSession, bucket: str, rows: Path, tmp_path: Path
) -> None:
    local = make_shards(spark, [str(rows)], str(tmp_path / "out"), SETTINGS, Progress(spark, None))
    folder = f"{bucket}/out"
    run_job(rows, folder)
    remote = verify(f"{folder}/")
    assert remote == local
    files = [shard["file"] for shard in remote["shards"]]
    assert file_names(folder) == sorted([*files, "manifest.json"])

    delete_file(f"{folder}/{files[1]}")
    with pytest.raises(UserError, match=rf"{files[1]}: missing"):
        verify(folder)
    system, _ = filesystem(folder)
    written = system.get_file_info(f"bucket/out/{files[2]}").mtime_ns
    run_job(rows, folder)
    assert verify(folder) == local
    assert system.get_file_info(f"bucket/out/{files[2]}").mtime_ns == written


@pytest.mark.slow
def test_a_second_run_into_the_same_folder_is_refused_and_writes_nothing(bucket: str, rows: Path) -> None:
    folder = f"{bucket}/twice"
    with Heartbeat(f"{folder}/_progress", alone=True), pytest.raises(subprocess.CalledProcessError) as caught:
        run_job(rows, folder)
    assert re.search(r"twice/_progress: another run \(process \d+ .* writes there; wait for it", caught.value.stderr)
    assert file_names(folder) == []


@pytest.mark.slow
def test_documents_token_rows_and_shards_may_all_lie_on_s3(bucket: str, tmp_path: Path, spark: SparkSession) -> None:
    documents = save(tmp_path / "docs.parquet", {"id": list(range(90)), "text": [prose(n) for n in range(90)]})
    system, folder = filesystem(f"{bucket}/docs")
    with documents.open("rb") as source, system.open_output_stream(f"{folder}/docs.parquet") as target:
        target.write(source.read())
    names = ["--name", "t", "--shard-tokens", "2000", "--val-tokens", "300", "--quiet"]
    outputs = ["--output", f"{bucket}/rows", "--shards", f"{bucket}/shards"]
    command = [sys.executable, "-m", "sparkprep.cli", "tokenize", "--input", f"{bucket}/docs", *outputs, *names]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    make_tokens(spark, str(documents), str(tmp_path / "rows"))
    local = make_shards(spark, [str(tmp_path / "rows")], str(tmp_path / "out"), SETTINGS, Progress(spark, None))
    assert verify(f"{bucket}/shards")["shards"] == local["shards"]
    assert file_names(f"{bucket}/rows") == sorted(p.name for p in (tmp_path / "rows").iterdir())


def test_a_block_that_fails_leaves_no_object(bucket: str) -> None:
    def write_half() -> None:
        with open_whole(f"{bucket}/half/x.bin") as stream:
            stream.write(b"half of it")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert file_names(f"{bucket}/half") == []


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    with (
        pytest.raises(UserError, match=r"s3://nowhere/x\.bin: cannot be written"),
        open_whole("s3://nowhere/x.bin") as stream,
    ):
        stream.write(b"x")
