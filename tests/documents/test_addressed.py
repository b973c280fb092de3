"""Rows about documents lie where the documents are read: driver and cluster write the same parts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parquet_files import save, summary_of
from pyspark.sql import SparkSession

from sparkprep.documents import addressed
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet import pieces
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.spark.tables import Table, spark_schema

SCHEMA = pa.schema([(KEY, pa.int64()), ("note", pa.string()), ("partners", pa.list_(pa.int64()))])


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Documents:
    """Twenty documents in pieces of unequal length."""
    monkeypatch.setattr(pieces, "LEAST_PIECE_BYTES", 100)
    texts = [str(n) * (60 if n % 3 else 5) for n in range(20)]
    save(tmp_path / "in.parquet", {"text": texts}, row_group_size=2, use_dictionary=False)
    return plan(summary_of(tmp_path / "in.parquet"), 8)


def rows_about(keys: list[int]) -> pa.Table:
    return pa.Table.from_pylist([{KEY: k, "note": f"n{k}", "partners": [k] * (k % 3)} for k in keys], SCHEMA)


@pytest.mark.parametrize("keys", [[], [7], [19, 0, 3, 3, 18, 4, 12, 11, 0], list(range(20))[::-1]], ids=len)
def test_driver_and_cluster_give_the_same_parts(
    spark: SparkSession, tmp_path: Path, documents: Documents, keys: list[int]
) -> None:
    assert len(documents.pieces) > 4
    on_driver, on_cluster = (Table(str(tmp_path / side), SCHEMA) for side in ("driver", "cluster"))
    addressed.save(on_driver, documents, rows_about(keys))
    frame = spark.createDataFrame(
        [tuple(row.values()) for row in rows_about(keys).to_pylist()], spark_schema(SCHEMA)
    ).repartition(3)
    addressed.write(on_cluster, documents, frame)
    assert on_driver.parts == on_cluster.parts
    for table in (on_driver, on_cluster):
        assert table.rows == len(keys)
        for number, piece in enumerate(documents.pieces):
            here = [k for k in sorted(keys) if piece.first_key <= k < piece.first_key + piece.rows]
            assert addressed.keys_of(table, number).tolist() == here
            rows = pa.Table.from_batches(table.part(number), SCHEMA)
            assert rows.to_pylist() == rows_about(here).to_pylist()


@given(st.lists(st.integers(-5, 30)), st.sets(st.integers(-5, 30)))
def test_keys_are_among_others_as_in_a_set(keys: list[int], some: set[int]) -> None:
    among = addressed.is_among(np.array(keys, np.int64), np.array(sorted(some), np.int64))
    assert among.dtype == np.bool_
    assert among.tolist() == [key in some for key in keys]
