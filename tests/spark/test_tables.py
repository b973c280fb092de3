"""A table in a folder: what one stage writes another reads, on either side, and nothing less is ever taken for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from every_type import EVERY_TYPE
from pyspark.sql import SparkSession

from sparkprep.errors import UserError
from sparkprep.io.files import sha256_of
from sparkprep.spark.failures import explained
from sparkprep.spark.tables import RESULT, Form, Table, read_all, spark_schema

NAMES = ["plain", "with blank", "brackets [a] {b}", "50 %", "ü#1"]
ROWS = [(3, "c"), (1, "a"), (2, None)]
SCHEMA = pa.schema([("n", pa.int64()), ("name", pa.string())])
ON_DRIVER = pa.Table.from_pylist([{"n": n, "name": name} for n, name in ROWS], SCHEMA)


def in_parts(folder: Path, parts: int = 3) -> Table:
    """A table of 4 rows in each part."""
    table = Table(str(folder), SCHEMA)
    rows = {number: range(4 * number, 4 * number + 4) for number in range(parts)}
    table.save_parts({n: pa.table({"n": r, "name": [str(i) for i in r]}, SCHEMA) for n, r in rows.items()})
    return table


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_read_what_either_wrote(spark: SparkSession, tmp_path: Path, name: str) -> None:
    by_query, by_driver, by_tasks = (Table(str(tmp_path / name / side), SCHEMA) for side in "qdt")
    by_query.write(spark.createDataFrame(ROWS, spark_schema(SCHEMA)).coalesce(1))
    by_driver.save(ON_DRIVER)
    assert by_tasks.write_tasks(spark, [5], lambda _: iter(ON_DRIVER.to_batches())) == {}
    for table in (by_query, by_driver, by_tasks):
        assert table.exists()
        assert [tuple(row) for row in table.read(spark).collect()] == ROWS
        assert [row["name"] for row in table.read(spark, ["name"]).collect()] == ["c", "a", None]
        assert table.columns(["n"])[0].tolist() == [3, 1, 2]
        assert [batch["n"].to_pylist() for batch in table.batches(["n"], pc.field("n") > 1)] == [[3, 2]]
        assert table.rows == 3
    assert read_all(spark, [by_query, Table(str(tmp_path / "none"), SCHEMA), by_driver]).count() == 6


def test_what_was_not_written_has_no_rows(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(str(tmp_path / "none"), SCHEMA)
    assert not table.exists()
    assert (table.rows, list(table.batches(None))) == (0, [])
    assert table.columns(["n"])[0].dtype == np.int64
    assert read_all(spark, [table]).collect() == []
    with pytest.raises(RuntimeError, match="is read before it is written"):
        next(table.part(0))


def test_a_table_without_rows_is_there_and_has_no_file(spark: SparkSession, tmp_path: Path) -> None:
    tables = [Table(str(tmp_path / str(number)), SCHEMA) for number in range(3)]
    tables[0].save(SCHEMA.empty_table())
    tables[1].write(spark.createDataFrame([], spark_schema(SCHEMA)))
    tables[2].write_tasks(spark, [0, 1], lambda _: iter(SCHEMA.empty_table().to_batches()))
    for table in tables:
        assert table.exists()
        assert (table.rows, list(table.part(0)), table.read(spark).collect()) == (0, [], [])
        assert list(Path(table.path).iterdir()) == []
    tables[0].save_empty()
    assert pq.read_table(tables[0].path).schema == SCHEMA


def test_parts_keep_the_numbers_of_their_tasks_and_are_read_in_their_order(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(str(tmp_path / "t"), SCHEMA, RESULT)

    def task(number: int) -> Iterator[pa.RecordBatch]:
        for n in range(number % 3):
            yield pa.RecordBatch.from_pydict({"more": [0], "name": [str(n)], "n": [number]})

    sums = table.write_tasks(spark, [8, 2, 3, 4], task, lambda batch: {"rows": len(batch), "n": batch["n"][0].as_py()})
    assert sums == {"rows": 5, "n": 8 + 8 + 2 + 2 + 4}
    assert table.parts == {2: 2, 4: 1, 8: 2}
    assert [row["n"] for row in table.read(spark).collect()] == [2, 2, 4, 8, 8]
    assert [batch["n"].to_pylist() for batch in table.part(4)] == [[4]]
    assert list(table.part(3)) == []
    names = sorted(path.name for path in Path(table.path).iterdir())
    assert names == [f"part-{number:05d}.snappy.parquet" for number in (2, 4, 8)]
    for entry in table.manifest():
        assert (entry["bytes"], entry["sha256"]) == sha256_of(f"{table.path}/{entry['name']}")


def test_a_table_of_any_type_goes_through_its_files(tmp_path: Path) -> None:
    rows = pa.table(EVERY_TYPE)
    table = Table(str(tmp_path / "t"), rows.schema, Form("snappy", ("string",)))
    table.save(rows)
    back = pa.Table.from_batches(table.batches(None), rows.schema)
    assert back.equals(rows)


def lost(path: Path) -> None:
    path.unlink()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced(path: Path) -> None:
    pq.write_table(ON_DRIVER, path)


@pytest.mark.parametrize("fault", [lost, cut_short, emptied, replaced], ids=lambda fault: fault.__name__)
def test_a_part_that_is_not_what_was_written_stops_whoever_reads_it(spark: SparkSession, tmp_path: Path, fault) -> None:  # type: ignore[no-untyped-def]
    table = in_parts(tmp_path / "t")
    fault(tmp_path / "t" / "part-00001.parquet")
    assert [len(batch) for batch in table.part(2)] == [4]
    for read in (
        lambda: list(table.part(1)),
        lambda: list(table.batches(["n"])),
        lambda: table.columns(["n"]),
        lambda: table.read(spark).collect(),
    ):
        with pytest.raises(UserError) as caught, explained():
            read()
        message = str(caught.value)
        assert message.startswith("an intermediate table was lost or changed while the job ran: ")
        assert "part-00001.parquet" in message
        assert message.endswith("run again, and let nothing else write there")
        assert "\n" not in message


def test_a_table_that_is_gone_as_a_whole_is_told(tmp_path: Path) -> None:
    table = in_parts(tmp_path / "t")
    shutil.rmtree(tmp_path / "t")
    with pytest.raises(UserError, match=r"an intermediate table was lost or changed while the job ran: .*part-00000"):
        table.columns(["n"])


def test_files_that_others_put_there_are_no_rows_of_it(spark: SparkSession, tmp_path: Path) -> None:
    table = in_parts(tmp_path / "t")
    pq.write_table(ON_DRIVER, tmp_path / "t" / "part-00007.parquet")
    assert table.read(spark).count() == table.rows == 12


def test_a_part_that_fails_in_mid_writing_leaves_no_file(spark: SparkSession, tmp_path: Path) -> None:
    table = Table(str(tmp_path / "t"), SCHEMA)

    def task(number: int) -> Iterator[pa.RecordBatch]:
        yield ON_DRIVER.to_batches()[0]
        raise UserError("in.parquet: row 3 is an orange; peel it")

    with pytest.raises(UserError, match=r"^in.parquet: row 3 is an orange; peel it$"), explained():
        table.write_tasks(spark, [0], task)
    assert list((tmp_path / "t").iterdir()) == []
    assert not table.exists()


def test_spark_is_told_names_that_need_care() -> None:
    schema = pa.schema([("a b", pa.int64()), ("x.y", pa.list_(pa.int64())), ("t", pa.large_string())])
    assert spark_schema(schema) == "`a b` bigint, `x.y` array<bigint>, `t` string"
