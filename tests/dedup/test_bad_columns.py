"""Columns of every kind: they pass through untouched, name and rank documents where they can, else are refused."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, refused, run, save
from every_type import EVERY_TYPE, ORDERED
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkprep import deduplicate
from sparkprep.dedup.kernels.rank import rank_bytes
from sparkprep.errors import UserError
from sparkprep.io.arrow import to_bytes

# Names that a stage uses inside, and names that need care.
NAMES = ["keep", "source", "bands", "row_hash", "state", "rank", "__key", "_metadata", "a.b", "Text", "ID", ""]
NAMES += ["with blank, {brackets} = ünïcode", "x`y", "'quoted\""]


def rows_of(table: pa.Table, *places: int) -> pa.Table:
    """These rows; Arrow's `take` does not know all types."""
    return pa.concat_tables([table.slice(place, 1) for place in places]).combine_chunks()


def test_kept_is_the_input_whatever_its_types_and_names(spark: SparkSession, tmp_path: Path) -> None:
    texts = [prose(1), prose(1), prose(2), prose(3)]
    named = {name: [1, 2, 3, 4] for name in NAMES}
    table = pa.table({"id": ["d", "b", "a", "c"], "text": texts} | EVERY_TYPE | named)
    table = table.replace_schema_metadata({"huggingface": '{"info": {}}', "pandas": "{}"})
    source = save(tmp_path / "in.parquet", table)
    done = run(spark, source, tmp_path / "out", keep="timestamp us")
    assert done.reasons() == {"b": ("d", "exact")}
    expected = rows_of(pq.read_table(source), 0, 2, 3)
    assert done.kept.schema.equals(expected.schema, check_metadata=True)
    for name in table.schema.names:
        assert done.kept[name].combine_chunks().equals(expected[name].combine_chunks()), name


def test_files_whose_types_drift_are_one_input_and_that_is_told(spark: SparkSession, tmp_path: Path) -> None:
    texts = [prose(1), prose(2)]
    save(tmp_path / "in/a.parquet", {"id": pa.array([1, 2], pa.uint8()), "text": texts, "meta": pa.nulls(2)})
    wide = {"text": pa.array([prose(3), texts[0]], pa.large_string()), "id": [2**40, 4], "meta": [{"x": 1}, None]}
    save(tmp_path / "in/b.parquet", wide)
    done = run(spark, tmp_path / "in", tmp_path / "out", keep="first")
    assert done.kept.to_pydict() == {
        "id": [1, 2, 2**40], "text": [*texts, prose(3)], "meta": [None, None, {"x": 1}],
    }  # fmt: skip
    assert done.reasons() == {4: (1, "exact")}
    warnings = done.metrics["warnings"]
    assert "column id is uint8 and int64: read as int64" in warnings
    assert [line.split(" is ")[0] for line in warnings] == ["column id", "column text", "column meta"]


def test_types_that_contradict_are_refused_all_at_once(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "in/a.parquet", {"text": ["a"], "n": [1], "x": [[1]], "fine": [1.5]})
    save(tmp_path / "in/b.parquet", {"text": ["a"], "n": ["1"], "x": [{"y": 1}], "fine": [2.5]})
    message = refused(spark, tmp_path / "in", tmp_path / "out")
    assert message.startswith(
        f"column 'n' is string in {tmp_path}/in/b.parquet, but int64 in {tmp_path}/in/a.parquet; "
    )
    assert "column 'x' is struct<y: int64> in" in message
    assert "'fine'" not in message
    assert message.endswith(": write each column as one type")


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        *((name, 10_000_000) for name in ("int8", "uint64", "timestamp ns", "decimal256", "string view", "uuid")),
        ("dictionary", 10_000_000), pytest.param("uuid", 0, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_ids_of_any_ordered_type_name_the_removed_documents_in_that_type(
    spark: SparkSession, tmp_path: Path, name: str, budget: int
) -> None:
    ids = ORDERED[name]
    source = save(tmp_path / "in.parquet", {"name": ids, "text": [prose(1), prose(1), prose(2), prose(1)]})
    done = run(spark, source, tmp_path / "out", id_column="name", keep="first", driver_budget=budget)
    ranks = pc.sort_indices(rank_bytes(ids)).to_pylist()
    stays = next(place for place in ranks if place in (0, 1, 3))
    gone = [place for place in ranks if place in (0, 1, 3) and place != stays]
    assert done.removed.schema.field("id").type == done.removed.schema.field("kept_id").type == ids.type
    bytes_of = to_bytes(ids).to_pylist()
    removed, kept = (to_bytes(done.removed[column].combine_chunks()).to_pylist() for column in ("id", "kept_id"))
    assert sorted(removed, key=str) == sorted((bytes_of[place] for place in gone), key=str)
    assert kept == [bytes_of[stays]] * 2
    assert to_bytes(done.kept["name"].combine_chunks()).to_pylist() == [
        bytes_of[place] for place in range(4) if place not in gone
    ]


def test_a_keep_column_is_ordered_with_nulls_and_nan_last(spark: SparkSession, tmp_path: Path) -> None:
    score = [None, 2.0, 5.0, np.nan, 1.0, None, np.nan]
    texts = [prose(1), prose(1), prose(1), prose(1), prose(2), prose(2), prose(2)]
    columns = {"id": range(7), "text": texts, "score": pa.array(score, pa.float64(), from_pandas=False)}
    done = run(spark, save(tmp_path / "in.parquet", columns), tmp_path / "out", keep="-score")
    assert done.kept_ids() == [2, 4]


def test_an_unknown_keep_column_is_refused_with_those_there_are(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a"], "text": ["b"], "date": ["c"]})
    message = refused(spark, source, tmp_path / "out", keep="-score")
    assert message == "keep='-score': there is no column 'score'; columns there are: id, text, date"


@pytest.mark.parametrize("setting", ["id_column", "source_column"])
def test_a_column_that_is_named_and_not_there_is_refused_with_those_there_are(
    spark: SparkSession, tmp_path: Path, setting: str
) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a"], "text": ["b"], "url": ["c"]})
    message = refused(spark, source, tmp_path / "out", **{setting: "docid"})
    assert message == f"{setting}='docid': there is no column 'docid'; columns there are: id, text, url"
    assert message == refused(spark, spark.read.parquet(f"file:{source}"), tmp_path / "out", **{setting: "docid"})


@pytest.mark.parametrize("settings", [{"keep": "-score"}, {"id_column": "score"}], ids=["keep", "id"])
@pytest.mark.parametrize("value", [[1, 2], {"x": 1}], ids=["list", "struct"])
def test_a_column_without_an_order_can_neither_rank_nor_name(
    spark: SparkSession, tmp_path: Path, value: Any, settings: dict[str, str]
) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a"], "text": ["b"], "score": [value]})
    message = refused(spark, source, tmp_path / "out", **settings)
    assert message.startswith(f"{next(iter(settings))}: column 'score' (")
    assert message.endswith(") holds values that have no order; name another")
    assert message == refused(spark, spark.read.parquet(f"file:{source}"), tmp_path / "out", **settings)


def test_no_text_column_lists_the_columns_there_are(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a"], "Text": ["b"], "body": ["c"]})
    message = refused(spark, source, tmp_path / "out")
    assert message == f"{source}: no column 'text'; columns there are: id, Text, body; name it by text_column"
    frame = spark.read.parquet(f"file:{source}")
    message = refused(spark, frame, tmp_path / "out")
    assert message == "the DataFrame: no column 'text'; columns there are: id, Text, body; name it by text_column"


@pytest.mark.parametrize(
    ("kind", "told"),
    [("int", "is int32, not text"), ("binary", "holds bytes, not text"), ("array<string>", "is list<")],
)
def test_a_text_column_that_holds_no_text_is_refused(spark: SparkSession, tmp_path: Path, kind: str, told: str) -> None:
    frame = spark.createDataFrame([], f"id string, text {kind}")
    message = refused(spark, frame, tmp_path / "out")
    assert message.startswith(f"the DataFrame: column 'text' {told}")


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


def test_columns_of_a_dataframe_may_bear_dots_and_names_that_differ_only_by_case(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.createDataFrame(
        [("a", prose(1), 1, "x"), ("b", prose(2), 2, "y")], "id string, text string, n int, s string"
    )
    done = run(spark, frame.toDF("id", "text", "a.b", "ID"), tmp_path / "out")
    assert done.kept.sort_by("id").to_pylist() == [
        {"id": "a", "text": prose(1), "a.b": 1, "ID": "x"},
        {"id": "b", "text": prose(2), "a.b": 2, "ID": "y"},
    ]


def test_a_column_of_folder_names_is_there_for_spark_too(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([("a", prose(1), 1), ("b", prose(2), 2)], "id string, text string, part int")
    frame.write.partitionBy("part").parquet(str(tmp_path / "in"))
    run(spark, tmp_path / "in", tmp_path / "out")
    assert sorted(row["part"] for row in spark.read.parquet(str(tmp_path / "out" / "kept")).collect()) == [1, 2]


READ_ON_S3 = """
import sys
from sparkprep import deduplicate
result = deduplicate(sys.argv[1], output=sys.argv[2])
print(sorted(row["id"] for row in result.kept.collect()), [tuple(row) for row in result.removed.collect()])
"""


@pytest.mark.slow
def test_a_result_on_s3_is_read_without_sparks_own_way_there(bucket: str, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": ["a", "b", "c"], "text": [prose(1), prose(1), prose(2)]})
    # In a process of its own: its workers get the bucket's place from the environment.
    command = [sys.executable, "-c", READ_ON_S3, str(source), f"{bucket}/result"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "['a', 'c'] [('b', 'a', 1.0, 'exact')]\n"


def test_what_is_neither_paths_nor_a_table_is_refused(spark: SparkSession) -> None:
    for given, name in ((7, "builtins int"), ([{"text": "a"}], "builtins list"), ({"text": ["a"]}, "builtins dict")):
        with pytest.raises(UserError, match=f"a {name} is no documents: hand over paths, a DataFrame of Spark or pa"):
            deduplicate(given, spark=spark)  # type: ignore[arg-type]
