"""Columns of every kind: they pass through untouched, name and rank documents where they can, else are refused."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, refused, run, save
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

UTC = dt.UTC
WHEN = [dt.datetime(2024, 2, 29, 12, 30, 59, 123456), None, dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59)]
POINT = pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.string()))])
COLUMNS: dict[str, pa.Array] = {
    "byte": pa.array([-128, 127, None, 0], pa.int8()),
    "long": pa.array([-(2**63), 2**63 - 1, None, 0], pa.int64()),
    "float": pa.array([float("nan"), -0.0, None, float("inf")], pa.float32()),
    "decimal": pa.array(
        [Decimal("12345678901234567890.123456789"), None, Decimal(0), Decimal(-1)], pa.decimal128(38, 9)
    ),
    "flag": pa.array([True, None, False, True]),
    "bytes": pa.array([b"\xff\x00", b"", None, b"abc"]),
    "day": pa.array([dt.date(1, 1, 1), None, dt.date(1582, 10, 5), dt.date(9999, 12, 31)]),
    "instant": pa.array([w and w.replace(tzinfo=UTC) for w in WHEN], pa.timestamp("us", "UTC")),
    "local": pa.array(WHEN, pa.timestamp("us")),
    "list": pa.array([[1, None], [], None, [2]], pa.list_(pa.int64())),
    "map": pa.array([[("b", 1), ("a", None)], [], None, [("é", 2)]], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"x": 1.5, "tags": ["a", None]}, {"x": None, "tags": []}, None, {"x": 0, "tags": None}], POINT),
    "maps in a list": pa.array(
        [[[("k", {"x": 1, "tags": []})]], [None], None, []], pa.list_(pa.map_(pa.string(), POINT))
    ),
    "nothing": pa.nulls(4, pa.string()),
    # Names that a stage uses inside, and names that need care in Spark's expressions.
    "keep": pa.array(["a", "b", "c", "d"]),
    "source": pa.array([1, 2, 3, 4]),
    "bands": pa.array([b"a", b"b", b"c", b"d"]),
    "row_hash": pa.array(["x"] * 4),
    "is_long": pa.array([1.0] * 4),
    "state": pa.array(["a", "b", "c", "d"]),
    "a.b": pa.array([1, 2, 3, 4]),
    "with blank, {brackets} = ünïcode": pa.array(["ä", "ö", "ü", None]),
}


def test_all_other_columns_pass_through_untouched(spark: SparkSession, tmp_path: Path) -> None:
    texts = [prose(1), prose(1), prose(2), prose(3)]
    table = pa.table({"id": ["d", "b", "a", "c"], "text": texts, **COLUMNS})
    source = save(tmp_path / "in.parquet", table)
    done = run(spark, source, tmp_path / "out", keep="instant")
    assert done.reasons() == {"b": ("d", "exact")}
    there, here = (spark.read.parquet(f"file:{path}").schema for path in (source, tmp_path / "out" / "kept"))
    assert [(f.name, f.dataType) for f in here] == [(f.name, f.dataType) for f in there]
    before = pq.read_table(source).take([0, 2, 3])
    for name in table.schema.names:
        assert str(done.kept[name].to_pylist()) == str(before[name].to_pylist()), name  # as text: nan is not nan


def test_a_backtick_in_a_column_name_is_part_of_the_name(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a", "b"], "text": [prose(1), prose(1)], "x`y": [1, 2]})
    assert run(spark, source, tmp_path / "out").kept["x`y"].to_pylist() == [1]


def test_ids_may_be_of_any_kind_that_has_an_order(spark: SparkSession, tmp_path: Path) -> None:
    ids = [dt.datetime(2024, 1, day, tzinfo=UTC) for day in (3, 2, 1)]
    source = save(tmp_path / "in.parquet", {"name": ids, "text": [prose(1), prose(1), prose(2)]})
    done = run(spark, source, tmp_path / "out", id_column="name")
    assert done.reasons() == {ids[0]: (ids[1], "exact")}
    assert done.removed.schema.field("id").type == done.kept.schema.field("name").type


def test_a_keep_column_is_ordered_with_nulls_and_nan_last(spark: SparkSession, tmp_path: Path) -> None:
    score = [None, 2.0, 5.0, np.nan, 1.0, None, np.nan]
    texts = [prose(1), prose(1), prose(1), prose(1), prose(2), prose(2), prose(2)]
    columns = {"id": range(7), "text": texts, "score": pa.array(score, pa.float64(), from_pandas=False)}
    done = run(spark, save(tmp_path / "in.parquet", columns), tmp_path / "out", keep="-score")
    assert done.kept_ids() == [2, 4]


def test_an_unknown_keep_column_is_refused_with_those_there_are(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a"], "text": ["b"], "date": ["c"]})
    message = refused(spark, source, tmp_path / "out", keep="-score")
    assert message == "--keep -score: there is no column 'score'; columns there are: id, text, date"


@pytest.mark.parametrize(
    ("settings", "flag"), [({"keep": "-score"}, "--keep"), ({"id_column": "score"}, "--id-column")], ids=["keep", "id"]
)
@pytest.mark.parametrize("value", [[1, 2], {"x": 1}], ids=["list", "struct"])
def test_a_column_without_an_order_can_neither_rank_nor_name(
    spark: SparkSession, tmp_path: Path, value: Any, settings: dict[str, str], flag: str
) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a"], "text": ["b"], "score": [value]})
    message = refused(spark, source, tmp_path / "out", **settings)
    assert message.startswith(f"{flag}: column 'score' holds lists, maps or structs, which have no order")
    assert message == refused(spark, spark.read.parquet(f"file:{source}"), tmp_path / "out", **settings)


def test_no_text_column_lists_the_columns_there_are(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a"], "Text": ["b"], "body": ["c"]})
    message = refused(spark, source, tmp_path / "out")
    assert message == f"{source}: no column 'text'; columns there are: id, Text, body; name it by --text-column"
    frame = spark.read.parquet(f"file:{source}")
    message = refused(spark, frame, tmp_path / "out")
    assert message.startswith("the DataFrame has no column 'text'; columns there are: id, Text, body;")


@pytest.mark.parametrize("kind", ["int", "binary", "array<string>"])
def test_a_text_column_that_holds_no_text_is_refused(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    frame = spark.createDataFrame([], f"id string, text {kind}")
    message = refused(spark, frame, tmp_path / "out")
    assert message.startswith(f"the DataFrame's column 'text' is {kind}, not text")


def test_a_dataframe_that_cannot_work_is_refused_before_it_is_computed(spark: SparkSession, tmp_path: Path) -> None:
    computed = spark.sparkContext.accumulator(0)
    seen = F.udf(lambda _: computed.add(1), "string")
    frame = spark.range(3).select("id", seen("id").alias("body"))
    refused(spark, frame, tmp_path / "out")
    refused(spark, frame.withColumnRenamed("body", "text"), tmp_path / "out", keep="date")
    assert computed.value == 0


def broken_strings(*values: bytes) -> pa.Array:
    """A string column of these bytes, whatever they are; Parquet's writers do not look."""
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))]
    )


def test_bytes_that_are_no_utf8_in_a_parquet_string_stop_nothing(spark: SparkSession, tmp_path: Path) -> None:
    columns: dict[str, Any] = {"id": ["a", "b"], "text": [f"{prose(1)} more", prose(1)], "url": ["x", "y"]}
    broken = {n: broken_strings(*(v.encode() + b" \xff\xed\xa0\x80" for v in values)) for n, values in columns.items()}
    done = run(spark, save(tmp_path / "in.parquet", broken), tmp_path / "out")
    assert (done.counts["kept"], done.counts["near"]) == (1, 1)
    for name, values in broken.items():
        assert done.kept[name].cast(pa.binary()).to_pylist() == values.cast(pa.binary()).to_pylist()[:1]
