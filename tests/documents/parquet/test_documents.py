"""What reading Parquet documents promises: footers that agree, a dense key, columns untouched, clear errors."""

import datetime as dt
import decimal
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from sparkprep.documents.parquet import footers
from sparkprep.documents.parquet import reading as parquet
from sparkprep.documents.parquet.damage import LARGE_ROW_GROUP, find_damaged, why_spark_died
from sparkprep.errors import UserError
from sparkprep.io.listing import list_files
from sparkprep.spark.failures import explained

ODD_NAMES = [
    "plain", "a b", "a%20b", "100%", "a#b", "a?b", "a[1]", "a*b", "a{x,y}", "a+b", "a&b=c", "a;b", "a'b", 'a"b',
    "a^b|c", "a`b", "a<b>", "a@b!$()~,", "a\\b", "ü", "u\u0308", "日本", "😀", "a\u00a0b", "a\u200eb", "a\tb", "a\nb",
]  # fmt: skip


def save(path: Path, columns: dict[str, Any] | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns or {"id": ["x"], "text": ["some text"]}), path, **options)
    return path


def load(spark: SparkSession, path: Path, **options: Any) -> DataFrame:
    files = list_files([path])
    return parquet.read(spark, files, footers.summarise(files), **options)


def error_of(path: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        footers.summarise(list_files([path]), **options)
    return str(caught.value)


@pytest.fixture
def three_files(tmp_path: Path) -> Path:
    """Rows 0..1199 in three files of 700, 0 and 500 rows, in row groups of 100, with keys in order of file names."""
    for name, rows in (("b", range(700)), ("c", range(0)), ("\u00e9", range(700, 1200))):
        texts = [f"text {n} " * 50 for n in rows]
        columns = {"n": pa.array(rows, pa.int64()), "text": pa.array(texts, pa.string()), "id": [str(n) for n in rows]}
        columns["id"] = pa.array(columns["id"], pa.string())
        save(tmp_path / f"data/{name}.parquet", columns, row_group_size=100)
    return tmp_path / "data"


def test_the_summary_tells_rows_row_groups_and_text_sizes(three_files: Path) -> None:
    files = list_files([three_files])
    summary = footers.summarise(files)
    assert (summary.file_rows, summary.rows, summary.row_groups) == ((700, 0, 500), 1200, 12)
    assert summary.schema.names == ["n", "text", "id"]
    assert summary.file_bytes == sum(f.size for f in files)
    lengths = [len(f"text {n} " * 50) for n in range(1200)]
    assert sum(lengths) <= summary.text_bytes <= 1.1 * sum(lengths)
    assert 100 * 450 <= summary.largest_row_group_text_bytes <= 100 * 500 * 1.1
    assert max(lengths) * 0.99 <= summary.largest_mean_text_bytes <= max(lengths) * 1.1


def test_the_key_is_dense_and_follows_files_and_rows_whatever_the_splits(
    spark: SparkSession, three_files: Path
) -> None:
    for split_bytes in ("1000", "10000000"):
        spark.conf.set("spark.sql.files.maxPartitionBytes", split_bytes)
        spark.conf.set("spark.sql.files.openCostInBytes", "1")
        try:
            frame = load(spark, three_files)
            rows = frame.select("n", "__key").collect()
            parts = frame.rdd.getNumPartitions()
        finally:
            spark.conf.unset("spark.sql.files.maxPartitionBytes")
            spark.conf.unset("spark.sql.files.openCostInBytes")
        assert sorted((row["n"], row["__key"]) for row in rows) == [(n, n) for n in range(1200)]
        assert (parts > 10) == (split_bytes == "1000")


def test_odd_file_names_lose_no_row_and_get_no_null_key(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in put%41#[x]{y}"
    for name in ODD_NAMES:
        save(folder / f"{name}.parquet", {"text": ["t", "t"], "name": [name, name]})
    rows = load(spark, folder).select("name", "__key").collect()
    expected = [f.path.rsplit("/", 1)[1].removesuffix(".parquet") for f in list_files([folder]) for _ in range(2)]
    assert [row["name"] for row in sorted(rows, key=lambda row: row["__key"])] == expected
    assert sorted(row["__key"] for row in rows) == list(range(2 * len(ODD_NAMES)))


@pytest.mark.parametrize("name", ["a b%20#[1]", "ü"])
def test_one_file_needs_no_join(spark: SparkSession, tmp_path: Path, name: str) -> None:
    save(tmp_path / f"{name}.parquet", {"text": ["a", None, "c"]}, row_group_size=1)
    frame = load(spark, tmp_path)
    assert [tuple(row) for row in frame.orderBy("__key").collect()] == [("a", 0), (None, 1), ("c", 2)]
    assert "Join" not in plan(frame)


def plan(frame: DataFrame) -> str:
    return str(frame._jdf.queryExecution().executedPlan().toString())


def test_only_the_columns_in_use_are_read(spark: SparkSession, three_files: Path) -> None:
    text = plan(load(spark, three_files).select("text", "__key"))
    schema = text.split("ReadSchema: struct<")[1].split(">")[0]
    assert [part.split(":")[0] for part in schema.split(",") if "row_index" not in part] == ["text"]
    assert "BroadcastHashJoin" in text
    assert "Exchange hashpartitioning" not in text
    assert load(spark, three_files, columns=["id"]).columns == ["id", "__key"]


def test_files_may_order_their_columns_differently(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", {"id": ["a"], "text": ["A"]})
    save(tmp_path / "b.parquet", {"text": ["B"], "id": ["b"]})
    frame = load(spark, tmp_path)
    assert frame.columns == ["id", "text", "__key"]
    assert sorted(tuple(row) for row in frame.collect()) == [("a", "A", 0), ("b", "B", 1)]


def test_files_of_pyarrow_and_of_spark_are_read_together(spark: SparkSession, tmp_path: Path) -> None:
    when = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    columns = {
        "text": pa.array(["a", "b"]).dictionary_encode(),
        "tags": [["x"], None],
        "when": pa.array([when, None], pa.timestamp("us", "Europe/Paris")),
    }
    save(tmp_path / "in/a.parquet", columns)
    spark.read.parquet(str(tmp_path / "in/a.parquet")).write.parquet(str(tmp_path / "in/b"))  # timestamps as INT96
    rows = load(spark, tmp_path / "in").orderBy("__key").collect()
    assert [row["__key"] for row in rows] == [0, 1, 2, 3]
    assert rows[:2] == [type(rows[0])(**{**row.asDict(), "__key": row["__key"] - 2}) for row in rows[2:]]


def test_other_columns_pass_through_untouched(spark: SparkSession, tmp_path: Path) -> None:
    when = dt.datetime(2024, 1, 2, 3, 4, 5, 678901)
    columns = {
        "text": pa.array(["x", None]),
        "tiny": pa.array([-128, None], pa.int8()),
        "int": pa.array([2**31 - 1, None], pa.int32()),
        "long": pa.array([2**63 - 1, None], pa.int64()),
        "unsigned": pa.array([2**32 - 1, None], pa.uint32()),
        "float": pa.array([1.5, None], pa.float32()),
        "double": pa.array([float("nan"), None], pa.float64()),
        "flag": pa.array([True, None]),
        "bytes": pa.array([b"\xff\x00", None], pa.binary()),
        "fixed": pa.array([b"abcd", None], pa.binary(4)),
        "day": pa.array([dt.date(1969, 7, 20), None]),
        "decimal": pa.array([decimal.Decimal("-12345678901234567890.12"), None], pa.decimal128(38, 2)),
        "local": pa.array([when, None], pa.timestamp("us")),
        "millis": pa.array([when.replace(microsecond=678000), None], pa.timestamp("ms")),
        "instant": pa.array([when, None], pa.timestamp("us", "UTC")),
        "old": pa.array([when.replace(year=1401), None], pa.timestamp("us", "UTC")),
        "list": pa.array([[1, None], None]),
        "struct": pa.array([{"a": 1, "b": {"c": "x"}}, None]),
        "map": pa.array([[("k", [1.5])], None], pa.map_(pa.string(), pa.list_(pa.float64()))),
        "structs": pa.array([[{"when": when}], []]),
        "odd.name `1` ü": pa.array(["x", None]),
        "a b,c;{d}=(e)": pa.array(["x", None]),
    }
    path = save(tmp_path / "in/a.parquet", columns)
    with parquet.times_as_they_stand(spark):
        load(spark, path).write.parquet(str(tmp_path / "out"))
    written = pq.read_table(tmp_path / "out")
    for name, original in columns.items():
        back = written.column(name)
        if pa.types.is_timestamp(original.type):
            assert back.type == pa.timestamp("us", original.type.tz)
            back = back.cast(original.type)
        assert str(back.to_pylist()) == str(original.to_pylist()), name  # str: a NaN is not equal to itself


def test_columns_in_folder_names_are_read(spark: SparkSession, tmp_path: Path) -> None:
    for lang, year in (("en", "2023"), ("d%20e", "2024"), ("__HIVE_DEFAULT_PARTITION__", "2024")):
        save(tmp_path / f"in/lang={lang}/year={year}/a.parquet")
    frame = load(spark, tmp_path / "in")
    assert dict(frame.dtypes) == {
        "id": "string",
        "text": "string",
        "lang": "string",
        "year": "bigint",
        "__key": "bigint",
    }
    rows = frame.select("lang", "year", "__key").orderBy("__key").collect()
    assert [tuple(row) for row in rows] == [(None, 2024, 0), ("d e", 2024, 1), ("en", 2023, 2)]
    assert load(spark, tmp_path / "in", columns=["year"]).columns == ["year", "__key"]
    (only,) = load(spark, tmp_path / "in/lang=en").collect()
    assert only["year"] == 2023
    save(tmp_path / "in/lang=fr/b.parquet")
    assert "folders name columns differently" in error_of(tmp_path / "in")


def written_by_spark_and_again_by_pyarrow(spark: SparkSession, tmp_path: Path, change: Any) -> Path:
    """Return a folder with one file that carries Spark's note of its columns, but no longer those columns."""
    folder = tmp_path / "rewritten"
    spark.createDataFrame([(1, "one", "x"), (2, "two", "y")], "n long, text string, gone string").coalesce(
        1
    ).write.parquet(str(folder))
    (path,) = folder.glob("part-*.parquet")
    table = pq.read_table(path)
    assert b"org.apache.spark.sql.parquet.row.metadata" in table.schema.metadata
    for checksum in folder.glob(".*.crc"):
        checksum.unlink()
    pq.write_table(change(table), path)
    return folder


def test_a_file_that_another_program_wrote_again_is_read_as_it_is(spark: SparkSession, tmp_path: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        more = table.drop_columns(["gone"]).append_column("langs", pa.array([["en"], ["de", "fr"]]))
        more = more.append_column("seen", pa.array([dt.date(2020, 1, 2)] * 2)).append_column(
            "score", pa.array([0.5, 1.5])
        )
        return more.set_column(0, "n", pa.array(["a", "b"]))

    folder = written_by_spark_and_again_by_pyarrow(spark, tmp_path, change)
    (first, second) = sorted(load(spark, folder).collect())
    assert first.asDict() == {
        "n": "a", "text": "one", "langs": ["en"], "seen": dt.date(2020, 1, 2), "score": 0.5, "__key": 0,
    }  # fmt: skip
    assert (second.n, second.langs) == ("b", ["de", "fr"])


def test_a_new_column_in_such_a_file_that_cannot_be_told_is_named(spark: SparkSession, tmp_path: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        return table.append_column("flags", pa.array([1, 2], pa.uint32()))

    with pytest.raises(UserError, match=r"part-.*parquet: .* column 'flags' of type uint32: write the file without"):
        load(spark, written_by_spark_and_again_by_pyarrow(spark, tmp_path, change))


def test_no_rows_at_all_are_read_as_none(spark: SparkSession, tmp_path: Path) -> None:
    columns = {"id": pa.array([], pa.string()), "text": pa.array([], pa.string())}
    save(tmp_path / "a.parquet", columns)
    save(tmp_path / "b.parquet", columns)
    summary = footers.summarise(list_files([tmp_path]))
    assert (summary.rows, summary.largest_mean_text_bytes) == (0, 0.0)
    assert load(spark, tmp_path).collect() == []


def test_a_missing_id_column_is_allowed(tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", {"text": ["x"]})
    assert footers.summarise(list_files([tmp_path])).schema.names == ["text"]


def test_the_text_column_is_measured_where_it_lies_behind_nested_ones(tmp_path: Path) -> None:
    columns = {
        "nested": [{"text": f"{n}" * 9000, "m": [1, 2]} for n in range(100)],
        "map": pa.array([[("k", "v")]] * 100, pa.map_(pa.string(), pa.string())),
        "text": [f"{n:500}" for n in range(100)],
    }
    save(tmp_path / "a.parquet", columns)
    assert 50_000 <= footers.summarise(list_files([tmp_path])).text_bytes < 60_000


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "tail"])
def test_a_corrupt_file_is_named(tmp_path: Path, damage: str) -> None:
    save(tmp_path / "good.parquet")
    bad = save(tmp_path / "bad.parquet")
    content = bad.read_bytes()
    bad.write_bytes(
        {"cut": content[: len(content) // 2], "empty": b"", "garbage": b"hello " * 100, "tail": content[:-8]}[damage]
    )
    message = error_of(tmp_path)
    assert message.startswith(f"{bad}: ")
    assert "\n" not in message


def test_a_file_damaged_before_its_footer_is_named_when_spark_meets_it(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "good.parquet")
    rng = random.Random(1)
    texts = ["".join(rng.choices("abcdefghij ", k=100)) for _ in range(1000)]
    bad = save(tmp_path / "bad #1.parquet", {"id": texts, "text": texts})
    content = bytearray(bad.read_bytes())
    content[2000:2400] = b"\xaa" * 400
    bad.write_bytes(content)
    files = list_files([tmp_path])
    frame = parquet.read(spark, files, footers.summarise(files))
    paths = [file.path for file in files]
    with pytest.raises(UserError) as caught, explained(paths):
        frame.write.parquet(str(tmp_path / "out"))
    assert str(caught.value).startswith(f"{bad}: damaged Parquet file")
    with pytest.raises(ValueError, match="something else"), explained(paths):
        raise ValueError("something else")
    damage = find_damaged(files, ["id"])
    assert str(damage).startswith(f"{bad}: damaged Parquet file")
    assert find_damaged(files[1:], ["id", "text"]) is None
    assert str(why_spark_died(files, ["id"], 0)) == str(damage)
    assert why_spark_died(files[1:], ["id", "text"], LARGE_ROW_GROUP) is None
    assert "0.4 GB of tokens" in str(why_spark_died(files[1:], ["id", "text"], 400_000_000, "tokens"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["x"], "text": ["x"], "n": pa.array([1], pa.int32())}, "b.parquet: column 'n' is int32, but int64 in"),
        ({"id": ["x"], "text": ["x"]}, "b.parquet: no column 'n', which "),
        ({"id": ["x"], "text": ["x"], "n": [1], "more": [1]}, "b.parquet: column 'more' is not in "),
        ({"id": ["x"], "text": pa.nulls(1), "n": [1]}, "b.parquet: column 'text' is null, but string in"),
    ],
)  # fmt: skip
def test_schemas_that_differ_are_told_by_file_and_column(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    save(tmp_path / "a.parquet", {"id": ["x"], "text": ["x"], "n": [1]})
    save(tmp_path / "b.parquet", columns)
    text = error_of(tmp_path)
    assert message in text
    assert "a.parquet" in text


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["x"], "body": ["x"]}, r"no column 'text'; columns there are: id, body; name it by --text-column"),
        ({"text": [b"x"]}, "holds bytes, not text"),
        ({"text": [1]}, "is int64, not text"),
        ({"text": ["x"], "Text": ["y"]}, "columns 'text' and 'Text'"),
        ({"text": ["x"], "_metadata": ["y"]}, "may not be named '_metadata'"),
        ({"text": ["x"], "__key": ["y"]}, "may not be named '__key'"),
        ({"text": ["x"], "t": pa.array([1], pa.timestamp("ns"))}, "'t' has a type that Spark cannot read (timestamp"),
        ({"text": ["x"], "s": pa.array([{"t": 1}], pa.struct([("t", pa.time64("us"))]))}, "'s.t' has a type that"),
        ({"text": ["x"], "h": pa.array([1], pa.float16())}, "(16-bit float)"),
        ({"text": ["x"], "u": pa.array([b"0" * 16], pa.uuid())}, "(UUID)"),
        ({"text": ["x"], "d": pa.array([None], pa.decimal256(50, 2))}, "(decimal of over 38 digits)"),
    ],
)  # fmt: skip
def test_a_column_that_cannot_be_used_is_told(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    save(tmp_path / "a.parquet", columns)
    assert message.replace("\\", "") in error_of(tmp_path)


@pytest.mark.parametrize("name", ["_a.parquet", ".a.parquet", "a:b.parquet", "a:b[c]/d.parquet"])
def test_a_file_that_spark_would_pass_over_or_stumble_on_is_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name)
    assert error_of(path).startswith(f"{path}: Spark ")


def test_row_numbers_are_asked_only_of_a_spark_that_has_them(spark: SparkSession) -> None:
    assert parquet.has_row_index(spark)
