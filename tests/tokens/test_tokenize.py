"""Documents to token rows: which columns are read, what names a document, and what is said of the files written."""

import datetime
import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, save
from pyspark.sql import SparkSession

from sparkprep import cli
from sparkprep.errors import UserError
from sparkprep.spark import session
from sparkprep.spark.progress import Progress
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokens import rows as token_rows
from sparkprep.tokens.contents import METRICS
from sparkprep.tokens.pipeline import make_tokens
from sparkprep.tokens.settings import ShardSettings, TokenizeSettings
from sparkprep.tokens.shards import make_shards

TEXTS = [prose(n, 20 + n) for n in range(30)]
IDS = [f"doc-{n}" for n in range(30)]


def rows_of(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.ParquetFile(path).read() for path in sorted(folder.glob("*.parquet"))])


def test_the_metrics_name_every_part_with_its_rows_bytes_and_sha256(spark: SparkSession, tmp_path: Path) -> None:
    for part in range(3):
        save(tmp_path / "in" / f"{part}.parquet", {"id": IDS[part::3], "text": TEXTS[part::3]}, row_group_size=4)
    metrics = make_tokens(spark, str(tmp_path / "in"), str(tmp_path / "rows"))
    parts = {part["name"]: part for part in metrics["parts"]}
    assert sorted(parts) == sorted(p.name for p in (tmp_path / "rows").glob("*.parquet"))
    assert metrics == json.loads((tmp_path / "rows" / METRICS).read_text())
    for name, part in parts.items():
        content = (tmp_path / "rows" / name).read_bytes()
        assert (part["bytes"], part["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert part["rows"] == pq.read_metadata(tmp_path / "rows" / name).num_rows
    assert sum(part["rows"] for part in parts.values()) == metrics["documents"] == 30
    assert metrics["text_bytes"] == sum(map(len, TEXTS))
    assert metrics["tokens"] == sum(len(Tokenizer().encode_one(text)) for text in TEXTS)


def test_the_engine_told_of_is_that_of_the_workers(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfTheDriver:
        engine = "the driver's"

    monkeypatch.setattr(token_rows, "Tokenizer", OfTheDriver)
    source = save(tmp_path / "docs.parquet", {"id": [1, 2], "text": ["a", "b"]})
    assert make_tokens(spark, str(source), str(tmp_path / "rows"))["engine"] == Tokenizer().engine


def test_columns_that_are_not_read_refuse_nothing(spark: SparkSession, tmp_path: Path) -> None:
    more = {"crawled": pa.array([1] * 10, pa.timestamp("ns")), "half": pa.array([1.0] * 10, pa.float16())}
    save(tmp_path / "in" / "a.parquet", {"id": IDS[:10], "text": TEXTS[:10], "meta": pa.nulls(10), **more})
    save(tmp_path / "in" / "b.parquet", {"id": IDS[10:20], "text": TEXTS[10:20], "meta": ["a"] * 10})
    save(tmp_path / "in" / "lang=en" / "c.parquet", {"id": IDS[20:], "text": TEXTS[20:], "meta": [7] * 10})
    metrics = make_tokens(spark, str(tmp_path / "in"), str(tmp_path / "rows"))
    assert metrics["documents"] == 30
    assert metrics["warnings"] == []


def test_types_that_drift_in_the_columns_read_are_widened_and_told(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.parquet", {"id": pa.array([1, 2], pa.int32()), "text": pa.array(TEXTS[:2])})
    save(tmp_path / "in" / "b.parquet", {"id": pa.array([1 << 40]), "text": pa.array(TEXTS[2:3]).dictionary_encode()})
    save(tmp_path / "in" / "c.parquet", {"id": pa.array([4]), "text": pa.nulls(1)})
    metrics = make_tokens(spark, str(tmp_path / "in"), str(tmp_path / "rows"))
    rows = rows_of(tmp_path / "rows")
    assert rows.schema.field("id").type == pa.int64()
    assert rows["id"].to_pylist() == [1, 2, 1 << 40, 4]
    assert metrics["empty"] == 1
    assert [line.split()[1] for line in metrics["warnings"]] == ["id", "text"]


IDENTIFIERS: dict[str, tuple[pa.Array, pa.DataType]] = {
    "int32": (pa.array([3, None], pa.int32()), pa.int32()),
    "decimal": (pa.array([Decimal("1.50"), None], pa.decimal128(20, 2)), pa.decimal128(20, 2)),
    "date": (pa.array([datetime.date(1900, 1, 1), None]), pa.date32()),
    "instant": (pa.array([1, None], pa.timestamp("us", "UTC")), pa.timestamp("us", "UTC")),
    "bytes": (pa.array([b"\xff\x00", None]), pa.binary()),
    "dictionary": (pa.array(["a", None]).dictionary_encode(), pa.string()),
}


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_an_identifier_keeps_its_type(spark: SparkSession, kind: str, tmp_path: Path) -> None:
    ids, stored = IDENTIFIERS[kind]
    source = save(tmp_path / "in.parquet", {"key": ids, "text": TEXTS[:2], "id": [[1], [2]]})
    make_tokens(spark, str(source), str(tmp_path / "rows"), TokenizeSettings(id_column="key"))
    rows = rows_of(tmp_path / "rows")
    assert rows.schema.field("id").type == stored
    assert rows["id"].to_pylist() == ids.to_pylist()
    manifest = make_shards(
        spark, [str(tmp_path / "rows")], str(tmp_path / "out"), ShardSettings(val_tokens=3), Progress(spark, None)
    )
    assert manifest["documents"] == 2


def test_without_an_identifier_the_sha256_of_the_text_names_a_document(spark: SparkSession, tmp_path: Path) -> None:
    texts = ["one", None, "", "naïve 中文"]
    source = save(tmp_path / "in.parquet", {"text": texts, "url": ["u"] * 4})
    make_tokens(spark, str(source), str(tmp_path / "rows"))
    expected = [hashlib.sha256((text or "").encode()).hexdigest() for text in texts]
    assert rows_of(tmp_path / "rows")["id"].to_pylist() == expected


def test_an_identifier_column_that_is_named_and_not_there_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"key": ["a"], "text": ["b"], "url": ["u"]})
    with pytest.raises(UserError, match=r"id_column='id': there is no column 'id'; columns there are: key, text, url"):
        make_tokens(spark, str(source), str(tmp_path / "rows"), TokenizeSettings(id_column="id"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet"]


def test_an_identifier_without_an_order_is_refused_at_once(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": [{"a": 1}], "text": ["b"]})
    with pytest.raises(UserError, match=r"id_column: column 'id' \(struct<a: int64>\) holds values that have no ord"):
        make_tokens(spark, str(source), str(tmp_path / "rows"))


def test_no_document_at_all_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", {"id": pa.array([], pa.int64()), "text": pa.array([], pa.string())})
    with pytest.raises(UserError, match=f"^the input holds no document: 1 file without rows left out: {source}; name"):
        make_tokens(spark, str(source), str(tmp_path / "rows"))
    assert not (tmp_path / "rows").exists()


def test_rows_with_rejected_lines_beside_them_become_shards_of_the_sound_documents(
    spark: SparkSession, tmp_path: Path
) -> None:
    lines = [json.dumps({"id": i, "text": t}) for i, t in zip(IDS, TEXTS, strict=True)]
    lines[4:4] = ['{"id": "x", "text": 5', "[]"]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    metrics = make_tokens(spark, str(tmp_path / "docs.jsonl"), str(tmp_path / "rows"), TokenizeSettings(max_bad="2"))
    assert (metrics["documents"], metrics["rejected"]) == (30, 2)
    assert rows_of(tmp_path / "rows" / "_rejected")["line"].to_pylist() == [5, 6]
    manifest = make_shards(
        spark, [str(tmp_path / "rows")], str(tmp_path / "out"), ShardSettings(val_tokens=9), Progress(spark, None)
    )
    assert manifest["documents"] == 30
    again = make_tokens(
        spark, str(tmp_path / "docs.jsonl"), str(tmp_path / "rows"), TokenizeSettings(max_bad="9"), overwrite=True
    )
    assert again["rejected"] == 2


def test_a_document_file_with_damaged_pages_is_named_and_nothing_is_left(spark: SparkSession, tmp_path: Path) -> None:
    bad = save(tmp_path / "in" / "bad.parquet", {"id": IDS, "text": TEXTS}, use_dictionary=False)
    chunk = pq.read_metadata(bad).row_group(0).column(1)
    content = bytearray(bad.read_bytes())
    content[chunk.data_page_offset + 4 : chunk.data_page_offset + chunk.total_compressed_size] = b"\xa5" * (
        chunk.total_compressed_size - 4
    )
    bad.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.parquet: row group 0 cannot be read"):
        make_tokens(spark, str(bad.parent), str(tmp_path / "rows"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_an_input_that_changes_meanwhile_is_named_and_nothing_is_left(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save(tmp_path / "in.parquet", {"id": IDS, "text": TEXTS})
    from sparkprep.tokens import pipeline

    write = pipeline._write_rows

    def write_and_change(*arguments: Any) -> Any:
        written = write(*arguments)
        save(source, {"id": IDS, "text": [text[::-1] for text in TEXTS]})
        return written

    monkeypatch.setattr(pipeline, "_write_rows", write_and_change)
    with pytest.raises(UserError, match=r"in\.parquet: has changed while the job ran"):
        make_tokens(spark, str(source), str(tmp_path / "rows"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet"]


@pytest.mark.parametrize(
    ("output", "said"),
    [("full", "exists; pass --overwrite"), ("a-file", "is an existing file"), ("in/rows", "lies inside the input")],
)
def test_an_output_that_cannot_be_is_refused_before_spark_starts(
    output: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "in" / "a.parquet", {"id": IDS, "text": TEXTS})
    save(tmp_path / "full" / "a.parquet", {"id": IDS})
    (tmp_path / "a-file").write_text("x")

    def start(*_: Any) -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(session, "get_session", start)
    words = ["tokenize", "--input", str(tmp_path / "in"), "--output", str(tmp_path / output), "--shards", "s"]
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err


def test_a_text_of_many_pages_is_one_row(spark: SparkSession, tmp_path: Path) -> None:
    long = prose(3, 2_000_000)
    source = save(tmp_path / "in.parquet", {"id": [1, 2, 3], "text": ["short", long, "also short"]})
    metrics = make_tokens(spark, str(source), str(tmp_path / "rows"))
    rows = rows_of(tmp_path / "rows")
    assert rows["id"].to_pylist() == [1, 2, 3]
    assert np.frombuffer(rows["tokens"][1].as_py(), "<u2").tolist() == Tokenizer().encode_one(long).tolist()
    manifest = make_shards(
        spark,
        [str(tmp_path / "rows")],
        str(tmp_path / "out"),
        ShardSettings(shard_tokens=metrics["tokens"] // 3, val_tokens=100),
        Progress(spark, None),
    )
    assert manifest["tokens"] == metrics["tokens"] + 3
