"""A table in a folder: what Spark writes the driver reads, and the other way round, whatever the folder is called."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyspark.sql import SparkSession

from sparkprep.spark.tables import Table, read_all

NAMES = ["plain", "with blank", "brackets [a] {b}", "50 %"]
ROWS = [(3, "c"), (1, "a"), (2, None)]
SCHEMA = "n long, name string"


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_read_what_either_wrote(spark: SparkSession, tmp_path: Path, name: str) -> None:
    by_spark, by_driver = (Table(str(tmp_path / name / side), SCHEMA) for side in ("spark", "driver"))
    by_spark.write(spark.createDataFrame(ROWS, SCHEMA).coalesce(1))
    by_driver.save(pa.table({"n": [n for n, _ in ROWS], "name": [name for _, name in ROWS]}))
    for table in (by_spark, by_driver):
        assert [tuple(row) for row in table.read(spark).collect()] == ROWS
        assert table.columns(["n"])[0].tolist() == [3, 1, 2]
        assert [batch["n"].to_pylist() for batch in table.batches(["n"], ds.field("n") > 1)] == [[3, 2]]
        assert table.count() == 3
    assert read_all(spark, [by_spark, Table(str(tmp_path / "none"), SCHEMA), by_driver]).count() == 6


def test_what_was_not_written_has_no_rows(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "none"), SCHEMA)
    assert not table.exists()
    assert (table.count(), list(table.batches(None))) == (0, [])
    assert table.columns(["n"])[0].dtype == np.int64


def test_rows_are_appended_only_when_told(spark: SparkSession, tmp_path: Path) -> None:
    table, rows = Table(str(tmp_path / "rows"), SCHEMA), spark.createDataFrame(ROWS, SCHEMA)
    table.write(rows)
    with pytest.raises(Exception, match="already exists"):
        table.write(rows)
    table.write(rows, "append")
    assert table.count() == 6
