"""Documents fetched by their key: the right rows, from as few row groups as are allowed."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parquet_files import documents_at, read, save, summary_of

from sparkprep.documents.lookup import fetch
from sparkprep.errors import UserError


def write(folder: Path) -> Path:
    """Sixty rows in three files of several row groups, one of them without rows, one without the column `n`."""
    texts = [f"text {n}" for n in range(60)]
    save(folder / "a.parquet", {"text": texts[:25], "n": range(25), "text.x": ["x"] * 25}, row_group_size=10)
    save(folder / "b.parquet", {"text": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
    save(folder / "c.parquet", {"text": texts[25:]}, row_group_size=7)
    return folder


@given(st.lists(st.integers(0, 59), max_size=12, unique=True))
def test_keys_lead_to_the_rows_that_tasks_see_under_them(tmp_path_factory, keys: list[int]) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.getbasetemp() / "lookup"
    documents = documents_at(folder if folder.exists() else write(folder))
    rows = read(documents).select(["text", "n"]).to_pylist()
    found = fetch(documents.summary, keys, ["text", "n"], 100)
    assert {key: row | {"n": row.get("n")} for key, row in found.items()} == {key: rows[key] for key in keys}


def test_a_file_that_is_gone_by_then_is_named(tmp_path: Path) -> None:
    summary = summary_of(write(tmp_path))
    (tmp_path / "c.parquet").unlink()
    assert set(fetch(summary, [3], ["text"], 9)) == {3}
    with pytest.raises(UserError, match=f"^{tmp_path}/c.parquet: No such file or directory$"):
        fetch(summary, [3, 30], ["text"], 9)


def test_no_more_row_groups_are_opened_than_allowed(tmp_path: Path) -> None:
    summary = summary_of(write(tmp_path))
    keys = [0, 9, 59, 10, 20]
    assert set(fetch(summary, keys, ["text"], 0)) == set()
    assert set(fetch(summary, keys, ["text"], 1)) == {0, 9}
    assert set(fetch(summary, keys, ["text"], 3)) == {0, 9, 10, 20}
    assert set(fetch(summary, keys, ["text"], 4)) == {0, 9, 59, 10, 20}
