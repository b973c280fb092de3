"""Documents of equal rank: the same ones stay, whatever files they lie in and in which order."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dedup_runs import Done, prose, run, save, with_changed
from pyspark.sql import SparkSession

BASE = prose(1, 120)
# Texts under one id, near one another or exact copies: only `n` and `tags` tell who is who.
SAME = [with_changed(BASE, 7), *[with_changed(BASE, 8)] * 2, with_changed(BASE, 9), with_changed(BASE, 7).upper()]
ROWS: list[dict[str, Any]] = [
    *({"id": "same", "text": text, "n": n, "tags": ["x"] * n or None} for n, text in enumerate(SAME)),
    *({"id": None, "text": prose(2), "n": n, "tags": []} for n in range(3)),
    *({"id": f"other {n}", "text": prose(10 + n), "n": n, "tags": ["y"]} for n in range(3)),
    # Equal in every column: it does not matter which of them stays, but one does.
    *[{"id": "twin", "text": prose(3), "n": 0, "tags": ["z"]}] * 3,
]  # fmt: skip
NARROW = pa.schema([("id", pa.string()), ("text", pa.string()), ("n", pa.int8()), ("tags", pa.list_(pa.string()))])
WIDE = pa.schema([(name, getattr(pa, f"large_{kind}")()) for name, kind in (("id", "string"), ("text", "string"))])
WIDE = WIDE.insert(0, pa.field("n", pa.int64())).append(pa.field("tags", pa.large_list(pa.large_string())))


def stays(done: Done) -> list[tuple[str, ...]]:
    return sorted(tuple(str(row[name]) for name in ("id", "text", "n", "tags")) for row in done.kept.to_pylist())


@pytest.mark.parametrize("keep", ["longest", "first"])
def test_the_same_rows_stay_for_any_order_and_layout_of_the_files(
    spark: SparkSession, tmp_path: Path, keep: str
) -> None:
    answers = set()
    for layout, (files, row_group, schema) in enumerate([(1, 100, NARROW), (1, 2, WIDE), (4, 100, NARROW)]):
        rows = random.Random(layout).sample(ROWS, len(ROWS))
        for number in range(files):
            part = pa.Table.from_pylist(rows[number::files], schema)
            save(tmp_path / f"in{layout}/{number}.parquet", part, row_group_size=row_group)
        done = run(spark, tmp_path / f"in{layout}", tmp_path / f"out{layout}", keep=keep)
        answers.add(tuple(stays(done)))
    (answer,) = answers
    assert [row[0] for row in answer].count("same") == 1
    assert [row[0] for row in answer] == ["None", "other 0", "other 1", "other 2", "same", "twin"]


@pytest.mark.slow
def test_the_cluster_keeps_the_same_rows_as_the_driver(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "in.parquet", pa.Table.from_pylist(ROWS, NARROW))
    on_driver = run(spark, source, tmp_path / "driver")
    on_cluster = run(spark, source, tmp_path / "cluster", driver_budget=0)
    assert stays(on_cluster) == stays(on_driver)
    assert sorted(map(str, on_cluster.removed.to_pylist())) == sorted(map(str, on_driver.removed.to_pylist()))
