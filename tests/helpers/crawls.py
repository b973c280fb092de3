"""Crawls for an index: a corpus cut into several, deduplicated one after another, and all at once in the same order."""

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from sparkprep import deduplicate

NAMES = ("jan", "feb", "mar")
Rows = list[dict[str, Any]]
Reasons = dict[str, tuple[str, float, str, str]]
"""{removed id: (kept id, Jaccard, rule, crawl of the kept one)}"""


def split(rows: Rows, crawls: int, seed: int = 5) -> list[Rows]:
    """The rows in so many crawls, each in any order; `order` sorts them as (crawl, best score first)."""
    rows = [dict(row) for row in rows]
    random.Random(seed).shuffle(rows)
    cut = [rows[number::crawls] for number in range(crawls)]
    for number, crawl in enumerate(cut):
        for row in crawl:
            row["order"] = f"{number}-{100 - int(row['score']):03d}"
    return cut


def reasons(folder: Path, crawl_of: Mapping[str, str] = MappingProxyType({})) -> Reasons:
    """Why each document of a result went; crawl_of: of the kept ones, where the result does not name their crawls."""
    return {
        row["id"]: (row["kept_id"], row["jaccard"], row["rule"], row.get("kept_crawl") or crawl_of[row["kept_id"]])
        for row in pq.read_table(folder / "removed").to_pylist()
    }


def one_after_another(
    spark: SparkSession, tmp_path: Path, crawls: Sequence[Rows], names: Sequence[str] = NAMES, **settings: Any
) -> tuple[Reasons, list[dict[str, Any]]]:
    """Deduplicate each crawl against the index of those before it, whose files are gone by then."""
    found: Reasons = {}
    metrics = []
    for name, rows in zip(names, crawls, strict=False):
        source = tmp_path / f"in-{name}"
        corpus.write(source, rows, files=2)
        result = deduplicate(
            str(source),
            output=tmp_path / name,
            index=tmp_path / "crawls.index",
            crawl=name,
            keep="-score",
            spark=spark,
            **settings,
        )
        shutil.rmtree(source)
        metrics.append(result.metrics)
        found |= reasons(tmp_path / name)
    return found, metrics


def all_at_once(
    spark: SparkSession, tmp_path: Path, crawls: Sequence[Rows], names: Sequence[str] = NAMES, **settings: Any
) -> Reasons:
    """Deduplicate all crawls in one run, in the order (crawl, keep order)."""
    crawl_of = {row["id"]: name for name, rows in zip(names, crawls, strict=False) for row in rows}
    source = tmp_path / "in-all"
    corpus.write(source, [row for rows in crawls for row in rows], files=3)
    deduplicate(str(source), output=tmp_path / "all", keep="order", spark=spark, overwrite=True, **settings)
    shutil.rmtree(source)
    return reasons(tmp_path / "all", crawl_of)


def prose_table(texts: Sequence[str], first: int = 0) -> pa.Table:
    """Documents with these texts, and ids from `first` on."""
    return pa.table({"id": list(range(first, first + len(texts))), "text": list(texts)})
