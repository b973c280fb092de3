"""Folders whose files are not to be read as they lie: tables with a log of their own, results that are not finished."""

from pathlib import Path

import pytest
from trees import put

from sparkprep.errors import UserError
from sparkprep.io.listing import list_files

TABLES = {
    "a Delta table": "_delta_log/00000000000000000000.json",
    "a Hudi table": ".hoodie/hoodie.properties",
    "an Iceberg table": "metadata/00000-1b2c.metadata.json",
    "written by Spark Structured Streaming": "_spark_metadata/0",
}


@pytest.mark.parametrize("asked", ["lake/t", "lake", "lake/t/data", "lake/t/data/day=1", "lake/t/data/day=1/a.parquet"])
@pytest.mark.parametrize("what", TABLES)
def test_a_table_with_a_log_is_refused_wherever_in_it_one_asks(tmp_path: Path, what: str, asked: str) -> None:
    put(tmp_path / "lake/t/data/day=1/a.parquet")
    put(tmp_path / "lake/t" / TABLES[what])
    with pytest.raises(UserError) as caught:
        list_files([tmp_path / asked])
    assert str(caught.value).startswith(f"{tmp_path}/lake/t: {what} (")
    assert ".write.parquet('NEW')" in str(caught.value)


def test_an_ordinary_folder_named_metadata_is_none(tmp_path: Path) -> None:
    put(tmp_path / "t/a.parquet")
    put(tmp_path / "t/metadata/about.json", "{}")
    put(tmp_path / "metadata/other.metadata.txt")
    assert [Path(file.path).name for file in list_files([tmp_path / "t"])] == ["a.parquet"]


@pytest.mark.parametrize("asked", ["out", "out/kept", "out/kept/part-00000.parquet", "."])
def test_a_result_that_is_not_finished_is_refused(tmp_path: Path, asked: str) -> None:
    put(tmp_path / "out/kept/part-00000.parquet")
    put(tmp_path / "out/_unfinished.json", "{}")
    with pytest.raises(UserError, match=rf"^{tmp_path}/out: the result of a run that has not finished"):
        list_files([tmp_path / asked])


def test_a_run_reads_its_own_scratch_in_its_unfinished_result(tmp_path: Path) -> None:
    put(tmp_path / "out/_unfinished.json", "{}")
    put(tmp_path / "out/_tmp/documents/part-00000.parquet")
    assert len(list_files([tmp_path / "out/_tmp/documents"])) == 1
