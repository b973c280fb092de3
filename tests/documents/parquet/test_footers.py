"""What the footers tell before any row is read: rows, sizes, one schema; files that are not sound, or no one table."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import save, summary_of

from sparkprep.documents.parquet.footers import summarise
from sparkprep.errors import UserError
from sparkprep.io.listing import list_files


def error_of(path: Path, columns: list[str] | None = None) -> str:
    with pytest.raises(UserError) as caught:
        summary_of(path, columns=columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_summary_tells_rows_row_groups_and_sizes(tmp_path: Path) -> None:
    texts = [f"text {n} " * 50 for n in range(1200)]
    for name, rows in (("b", range(700)), ("c", range(0)), ("é", range(700, 1200))):
        part = {"n": pa.array(rows, pa.int64()), "text": pa.array([texts[n] for n in rows], pa.string())}
        save(tmp_path / f"{name}.parquet", part, row_group_size=100)
    summary = summary_of(tmp_path)
    assert (summary.file_rows, summary.rows) == ([700, 0, 500], 1200)
    assert [[group.rows for group in groups if group.rows] for groups in summary.row_groups] == [
        *([100] * 7, [], [100] * 5)
    ]
    assert summary.schema.names == ["n", "text"]
    lengths = [len(text) for text in texts]
    assert sum(lengths) <= summary.bytes <= 1.3 * sum(lengths)


def test_no_rows_at_all_are_told_as_none(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    save(tmp_path / "a.parquet", schema.empty_table())
    pq.ParquetWriter(tmp_path / "b.parquet", schema).close()
    summary = summary_of(tmp_path)
    assert summary.rows == 0
    assert summary.row_groups[1] == ()


def test_a_missing_id_column_is_allowed(tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", {"text": ["x"]})
    assert summary_of(tmp_path).schema.names == ["text"]


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "tail", "noise"])
def test_a_file_without_a_sound_footer_is_named(tmp_path: Path, damage: str) -> None:
    save(tmp_path / "good.parquet")
    bad = save(tmp_path / "bad #1.parquet")
    content = bad.read_bytes()
    broken = {"cut": content[: len(content) // 2], "empty": b"", "garbage": b"hello " * 100, "tail": content[:-8]}
    bad.write_bytes(broken.get(damage, b"PAR1" + b"\xff" * 40 + b"\x28\0\0\0PAR1"))
    message = error_of(tmp_path)
    assert message.startswith(f"{bad}: ")
    assert message.endswith("restore it or leave it out")


def test_a_file_that_goes_between_listing_and_looking_is_named(tmp_path: Path) -> None:
    gone = save(tmp_path / "a.parquet")
    files = list_files([tmp_path])
    gone.unlink()
    with pytest.raises(UserError, match=r"a\.parquet: "):
        summarise(files)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["x"], "body": ["x"]}, "no column 'text'; columns there are: id, body; name it by text_column"),
        ({"Text": ["x"]}, "no column 'text'; columns there are: Text; name it by text_column"),
        ({"text": [b"x"]}, "column 'text' holds bytes, not text"),
        ({"text": pa.array([b"x"], pa.large_binary())}, "column 'text' holds bytes, not text"),
        ({"text": [1]}, "column 'text' is int64, not text; name another by text_column"),
        ({"text": [["x"]]}, "column 'text' is list<element: string>, not text"),
    ],
)
def test_a_text_column_that_cannot_be_used_is_told(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "a.parquet", columns)
    assert error_of(tmp_path).startswith(f"{path}: {message}")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.null()])
def test_text_is_text_in_any_width(tmp_path: Path, kind: pa.DataType) -> None:
    save(tmp_path / "a.parquet", {"text": pa.nulls(1) if pa.types.is_null(kind) else pa.array(["x"], kind)})
    assert summary_of(tmp_path).schema.field("text").type == kind


def test_two_columns_of_one_name_are_refused_and_two_that_differ_by_case_are_not(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["x"])] * 3, ["text", "more", "more"])
    path = save(tmp_path / "twice/a.parquet", twice)
    assert error_of(tmp_path / "twice") == f"{path}: two columns are named 'more'; rename one"
    save(tmp_path / "case/a.parquet", {"text": ["x"], "Text": ["y"], "TEXT": [1]})
    assert summary_of(tmp_path / "case").schema.names == ["text", "Text", "TEXT"]


def test_columns_in_folder_names_have_one_type_for_all_files(tmp_path: Path) -> None:
    for lang, year in (("en", "2023"), ("d%20e", "2024"), ("__HIVE_DEFAULT_PARTITION__", "2024")):
        save(tmp_path / f"in/lang={lang}/year={year}/a.parquet")
    summary = summary_of(tmp_path / "in")
    assert summary.schema.field("lang").type == pa.string()
    assert summary.schema.field("year").type == pa.int64()
    assert [values["lang"] for values in summary.folder_values] == [None, "d e", "en"]
    assert summary_of(tmp_path / "in", columns=["year"]).schema.names == ["text", "year"]
    save(tmp_path / "in/lang=fr/b.parquet")
    assert "folders name columns differently" in error_of(tmp_path / "in")


def test_what_is_read_of_files_that_differ_is_told(tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", {"text": ["x"], "n": pa.array([1], pa.int32())})
    save(tmp_path / "b.parquet", {"text": ["x"], "n": pa.array([1], pa.int64())})
    assert summary_of(tmp_path).widened == ("column n is int32 and int64: read as int64",)
    assert summary_of(tmp_path, columns=[]).widened == ()


def test_only_columns_that_are_read_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", {"id": ["x"], "text": ["x"], "n": [1], "m": [[1]]})
    save(tmp_path / "b.parquet", {"id": ["x"], "text": ["x"], "n": ["one"], "m": ["two"]})
    assert summary_of(tmp_path, columns=["id"]).schema.names == ["id", "text"]
    assert "column 'n'" in error_of(tmp_path, columns=["n"])
    assert "column 'm'" not in error_of(tmp_path, columns=["n"])
    both = error_of(tmp_path)
    assert "column 'n' is string in" in both
    assert "column 'm' is string in" in both
