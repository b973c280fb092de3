"""One run of near-duplicate removal for a test, and what must hold after any run, whether it went well or not."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from sparkprep import Settings, deduplicate
from sparkprep.errors import UserError

DONE_PARTS = {"kept", "removed", "audit", "metrics.json", "report.html"}
FIGURES = ("counts", "candidates", "recall", "clusters", "jaccard_histogram", "other_thresholds", "sources")
"""Of metrics.json: what must not depend on where or how a run is made."""
_WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("", "n", "r", "st")]


def prose(seed: int, words: int = 40) -> str:
    """Random words; texts of different seeds have hardly a shingle in common."""
    return " ".join(random.Random(seed).choices(_WORDS, k=words))


def with_changed(text: str, *places: int) -> str:
    """The text with other words at these places."""
    words = text.split(" ")
    for place in places:
        words[place] = f"changed{place}"
    return " ".join(words)


def save(path: Path, columns: dict[str, Any] | pa.Table, **options: Any) -> Path:
    """Write one Parquet file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


@dataclass(frozen=True)
class Done:
    """What a run left behind."""

    folder: Path
    kept: pa.Table
    removed: pa.Table
    metrics: dict[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.metrics["counts"])

    def kept_ids(self) -> list[Any]:
        return sorted(self.kept["id"].to_pylist())

    def reasons(self) -> dict[Any, tuple[Any, str]]:
        """{removed id: (kept id, rule)}"""
        return {row["id"]: (row["kept_id"], row["rule"]) for row in self.removed.to_pylist()}


def run(
    spark: SparkSession,
    source: DataFrame | Path | Sequence[Path],
    folder: Path,
    overwrite: bool = False,
    **settings: Any,
) -> Done:
    """Deduplicate into `folder` and check what every finished run promises."""
    beside = set(folder.parent.iterdir()) if folder.parent.exists() else set()
    result = deduplicate(source, Settings(**settings), output=folder, overwrite=overwrite, spark=spark)
    return checked(folder, result.metrics, beside)


def checked(folder: Path, metrics: dict[str, Any], beside: set[Path]) -> Done:
    """The result in `folder`, whose parent held only `beside` before: whole, conserved, and nothing else left over."""
    assert set(folder.parent.iterdir()) == beside | {folder}
    counts = metrics["counts"]
    assert {path.name for path in folder.iterdir()} == DONE_PARTS | ({"rejected"} if counts["rejected"] else set())
    done = Done(folder, pq.read_table(folder / "kept"), pq.read_table(folder / "removed"), metrics)
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert "</html>" in (folder / "report.html").read_text()
    assert (done.kept.num_rows, done.removed.num_rows) == (counts["kept"], counts["removed"])
    assert counts["kept"] + counts["removed"] + counts["rejected"] == counts["input"]
    assert pq.read_table(folder / "audit" / "rows").schema.equals(done.kept.schema, check_metadata=True)
    assert pq.read_table(folder / "audit" / "rows").num_rows == counts["removed"]
    rules = Counter(pq.read_table(folder / "audit" / "pairs")["rule"].to_pylist())
    misses = metrics["candidates"]["near_misses"]
    assert (rules["exact"], rules["near"], rules["miss"]) == (counts["exact"], counts["near"], misses)
    assert counts["exact"] + counts["near"] == counts["removed"]
    if counts["rejected"]:
        assert pq.read_table(folder / "rejected").num_rows == counts["rejected"]
    return done


def refused(
    spark: SparkSession,
    source: DataFrame | Path | Sequence[Path],
    folder: Path,
    overwrite: bool = False,
    **settings: Any,
) -> str:
    """The one-line message with which this run is refused, or breaks off; it must leave the disk as it was."""
    before = listing(folder.parent)
    with pytest.raises(UserError) as caught:
        deduplicate(source, Settings(**settings), output=folder, overwrite=overwrite, spark=spark)
    assert listing(folder.parent) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content, and every folder."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}
