"""Rows sorted with bounded memory: in order whatever the runs and steps, nothing left of them, no room told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.spark import external_sort
from sparkprep.spark.external_sort import sort, steps

SCHEMA = pa.schema([("place", pa.int64()), ("name", pa.binary()), ("tokens", pa.binary())])
FEW_BYTES = st.one_of(st.none(), st.binary(max_size=3))
ROWS = st.lists(st.tuples(st.integers(-2, 2), FEW_BYTES, FEW_BYTES), max_size=40)


def batch_of(rows: list[Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)


def rows_of(batches: Iterator[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def nulls_last(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((value is None, value) for value in row)


@given(st.lists(ROWS, max_size=8), st.integers(1, 400), st.integers(1, 100))
def test_rows_come_in_the_order_of_their_columns_whatever_the_runs(
    batches: list[list[Any]], run_bytes: int, step_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(external_sort, "RUN_BYTES", run_bytes)
        patch.setattr(external_sort, "STEP_BYTES", step_bytes)
        found = rows_of(sort(batch_of(rows) for rows in batches))
    assert found == sorted((row for rows in batches for row in rows), key=nulls_last)


def numbered(rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of one row of `size` bytes each, in no order."""
    for place in np.random.default_rng(1).permutation(rows).tolist():
        yield batch_of([(place, None, bytes(size))])


@pytest.mark.parametrize("rows", [200, 800])
def test_what_is_held_does_not_grow_with_the_rows(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "RUN_BYTES", 8 << 20)
    monkeypatch.setattr(external_sort, "STEP_BYTES", 64 << 10)
    before, peak, place = pa.total_allocated_bytes(), 0, -1
    for batch in sort(numbered(rows, 200_000)):  # 40 and 160 MB
        peak = max(peak, pa.total_allocated_bytes() - before)
        assert batch["place"][0].as_py() > place
        place = batch["place"][-1].as_py()
    assert place == rows - 1
    assert 0 < peak < 16 << 20


def test_runs_in_sparks_folder_have_no_name_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "RUN_BYTES", 1 << 20)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))
    ordered = sort(numbered(50, 100_000))
    assert len(rows_of(iter([next(ordered)]))) < 50  # the rest of it waits there
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_runs_is_told_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "RUN_BYTES", 1 << 20)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"/gone: rows that wait to be merged cannot be written: .*spark\.local\.dir"):
        list(sort(numbered(50, 100_000)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 60))
def test_steps_are_small_or_of_one_row(lengths: list[int], size: int) -> None:
    whole = batch_of([(n, None, bytes(length)) for n, length in enumerate(lengths)])
    parts = list(steps(whole, size))
    assert rows_of(iter(parts)) == rows_of(iter([whole]))
    assert all(part.num_rows == 1 or part.nbytes <= size for part in parts)
