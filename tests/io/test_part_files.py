"""A file that a task writes is there whole, with its size and hash known, or not at all, with the reason told."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import mounts
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3_buckets
from pyspark.sql import SparkSession
from trees import put, tree

from sparkprep.errors import UserError
from sparkprep.io.files import open_input, open_whole, sha256_of
from sparkprep.io.object_writer import PART_BYTES
from sparkprep.io.output import OutputFolder
from sparkprep.io.part_files import write_part
from sparkprep.io.paths import join_path
from sparkprep.spark.failures import explained

ROWS = pa.table({"id": range(5000), "text": [f"text {n} " * 20 for n in range(5000)]})


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    bucket: str = request.getfixturevalue("bucket")
    s3_buckets.clear()
    return f"{bucket}/parts"


def names(folder: str, tmp_path: Path) -> list[str]:
    return [key.removeprefix("parts/") for key in s3_buckets.objects()] if "://" in folder else os.listdir(tmp_path)


def test_the_size_and_hash_of_a_part_are_those_of_its_file(folder: str) -> None:
    path = join_path(folder, "part-0.parquet")
    with write_part(path) as part, pq.ParquetWriter(part.sink, ROWS.schema) as writer:
        for batch in ROWS.to_batches(max_chunksize=700):
            writer.write_batch(batch)
    assert (part.size, part.sha256) == sha256_of(path)
    assert pq.read_table(pa.PythonFile(open_input(path), mode="r")).equals(ROWS)


def test_a_part_whose_writer_fails_is_not_there(folder: str, tmp_path: Path) -> None:
    def write_half() -> None:
        with write_part(join_path(folder, "part-0")) as part, pq.ParquetWriter(part.sink, ROWS.schema) as writer:
            writer.write_table(ROWS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert names(folder, tmp_path) == []


def test_an_old_file_stays_until_the_new_one_is_whole(folder: str) -> None:
    path = join_path(folder, "x")
    with open_whole(path) as stream:
        stream.write(b"old")
    with pytest.raises(ZeroDivisionError), open_whole(path) as stream:  # noqa: PT012
        stream.write(b"new")
        raise ZeroDivisionError
    assert open_input(path).read() == b"old"


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, 4 * PART_BYTES + 5])
def test_an_object_of_any_size_is_what_was_written(bucket: str, size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    with open_whole(f"{bucket}/sizes/{size}") as stream:
        for start in range(0, size, 9_999_991):
            assert stream.write(content[start : start + 9_999_991]) == len(content[start : start + 9_999_991])
        assert stream.tell() == size
    assert sha256_of(f"{bucket}/sizes/{size}") == (size, hashlib.sha256(content).hexdigest())


def test_a_large_object_whose_block_fails_leaves_nothing_not_even_an_upload(bucket: str) -> None:
    s3_buckets.clear()
    with pytest.raises(KeyboardInterrupt), open_whole(f"{bucket}/large") as stream:  # noqa: PT012
        stream.write(bytes(3 * PART_BYTES))
        assert s3_buckets.uploads() == ["large"]
        raise KeyboardInterrupt
    assert (s3_buckets.objects(), s3_buckets.uploads()) == ({}, [])


def test_an_error_of_the_block_keeps_its_own_type(folder: str) -> None:
    with pytest.raises(ValueError, match="mine"), open_whole(join_path(folder, "x")):
        raise ValueError("mine")


def run_task(spark: SparkSession, folder: str) -> int:
    """Let a task write a part of some 200 KB, as a job's do; return what it takes for its size."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        os.environ.update(settings)  # workers have the environment of the time when Spark was started
        with write_part(join_path(folder, "part-00000.parquet")) as part:
            for _ in batches:
                part.write(os.urandom(200_000))
        yield pa.RecordBatch.from_pylist([{"size": part.size}])

    with explained():
        (row,) = spark.range(1, numPartitions=1).mapInArrow(write, "size long").collect()
    return int(row["size"])


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (mounts.full_disk, r"No space left on device; free some space for {} on \S+, or choose another folder"),
        (mounts.read_only, r"Read-only file system; let this user write to {} on \S+, or choose another folder"),
    ],
)
def test_a_disk_that_a_task_cannot_write_is_told_in_one_line(
    spark: SparkSession, tmp_path: Path, disk: Callable[[Path], AbstractContextManager[Path]], reason: str
) -> None:
    place = tmp_path / "kept"
    place.mkdir()
    with disk(place), pytest.raises(UserError) as caught:
        run_task(spark, str(place))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{place}/part-00000.parquet: cannot be written: ")
    caught.match(reason.format(place))


def test_a_folder_that_a_workers_machine_does_not_have_is_told(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there must be a folder {tmp_path}/gone on .*: driver and workers share one"):
        run_task(spark, f"{tmp_path}/gone")


def test_a_task_writes_to_s3_and_says_why_where_it_cannot(spark: SparkSession, bucket: str) -> None:
    s3_buckets.clear()
    assert run_task(spark, f"{bucket}/kept") == len(s3_buckets.objects()["kept/part-00000.parquet"]) == 200_000
    with pytest.raises(UserError, match=r"s3://gone/part-00000\.parquet: cannot be written: no such bucket"):
        run_task(spark, "s3://gone")


def test_what_a_killed_task_left_half_is_no_part_of_the_result(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", overwrite=False) as output:
        put(Path(output.work) / "kept/part-00000.parquet")
        put(Path(output.work) / "kept/.part-00000.parquet.partial-0123abcd")
        output.commit()
    assert tree(tmp_path) == {"out/kept/part-00000.parquet": "x"}
