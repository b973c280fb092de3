"""How much each source loses: every document counted once, with its source as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparkprep.dedup.columns import KEYS
from sparkprep.dedup.report import sources
from sparkprep.dedup.resolve.outcome import Flow
from sparkprep.documents.keys import KEY
from sparkprep.io.arrow import matrix_to_binary
from sparkprep.spark.tables import Table

SCHEMA = pa.schema([(KEY, pa.int64()), ("source", pa.string())])


def tables(folder: Path, parts: list[list[str | None]], removed: set[int]) -> tuple[Table, Table]:
    """Signature rows of these sources, and the removed documents, in the parts of their pieces."""
    signatures, keys = Table(str(folder / "signatures"), SCHEMA), Table(str(folder / "removed"), KEYS)
    rows, gone, first = {}, {}, 0
    for number, names in enumerate(parts):
        here = range(first, first + len(names))
        rows[number] = pa.table({KEY: here, "source": names}, SCHEMA)
        gone[number] = pa.table({KEY: [key for key in here if key in removed]}, KEYS)
        first += len(names)
    signatures.save_parts(rows)
    keys.save_parts(gone)
    return signatures, keys


def losses(folder: Path, parts: list[list[str | None]], removed: set[int]) -> dict[str, Any]:
    signatures, keys = tables(folder, parts, removed)
    return sources.losses(signatures, "url", keys, [Flow("a", "b", 2)])


def test_each_document_counts_for_its_source_and_none_for_no_source(tmp_path: Path) -> None:
    parts = [["a", "b", None, "a"], ["b", "b"], [None, "ü", "a"]]
    figures = losses(tmp_path, parts, {0, 2, 4, 5, 8})
    assert figures == {
        "column": "url",
        "total": 3,
        "losing": 2,
        "least_documents": 10,
        "lost_over_90_percent": [],
        "top": [
            {"source": "a", "documents": 3, "removed": 2},
            {"source": "b", "documents": 3, "removed": 2},
            {"source": "ü", "documents": 1, "removed": 0},
        ],
        "flows": [{"source": "a", "kept_source": "b", "documents": 2}],
    }


def test_only_sources_of_some_size_that_lose_nearly_all_are_warned_of(tmp_path: Path) -> None:
    parts = [["mirror"] * 12, ["small"] * 9, ["half"] * 20, ["edge"] * 10]
    removed = {*range(11), *range(12, 21), *range(21, 31), *range(41, 50)}
    figures = losses(tmp_path, parts, removed)
    assert figures["lost_over_90_percent"] == ["mirror"], "nine of ten are not over 90 percent"


def test_what_loses_most_comes_first_though_others_are_larger(tmp_path: Path) -> None:
    parts = [[f"large {n:02d}"] * 20 for n in range(sources.TOP)] + [["gone"] * 10]
    removed = set(range(20 * sources.TOP, 20 * sources.TOP + 10))
    figures = losses(tmp_path, parts, removed)
    assert len(figures["top"]) == sources.TOP
    assert figures["top"][0] == {"source": "gone", "documents": 10, "removed": 10}


def test_sources_beyond_what_memory_holds_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_SOURCES", 2)
    figures = losses(tmp_path, [["a", "b", "c"], ["d", "a", "c"]], {2, 3})
    assert {each["source"]: (each["documents"], each["removed"]) for each in figures["top"]} == {
        "a": (2, 0),
        "b": (1, 0),
        sources.OTHERS: (3, 2),
    }


def test_a_source_that_is_no_utf_8_is_counted(tmp_path: Path) -> None:
    broken = matrix_to_binary(np.array([[0x61, 0xFF]], np.uint8)).cast(pa.string(), safe=False)
    signatures, removed = tables(tmp_path, [["x"]], set())
    signatures.save(pa.table([pa.array([0]), broken], schema=SCHEMA))
    (shown,) = sources.losses(signatures, "url", removed, [])["top"]
    assert shown == {"source": "a\ufffd", "documents": 1, "removed": 0}
