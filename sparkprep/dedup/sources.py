"""How much each source (the host of a document's URL, or another column's value) loses: Spark stage for the report."""

from __future__ import annotations

import heapq
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkprep import storage
from sparkprep.dedup import masks, tables
from sparkprep.dedup.masks import KEY

LOST = 0.9
"""A source that loses more than this share is worth a warning."""
LEAST = 10
"""A source of fewer documents is not."""
TOP = 30
HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?([^/?#:]+)"


def source_of(value: Column) -> Column:
    """The lower-cased host where the value is a URL, else the value itself; null where there is none."""
    host = F.regexp_extract(value, HOST, 1)
    return F.when(host == "", value).otherwise(F.lower(host))


def losses(documents: DataFrame, column: str, removed: DataFrame, folder: str) -> dict[str, Any]:
    """The "sources" figures of metrics.json. documents: KEY and the column; removed: the mask of the removed ones.

    `folder` takes the counts of every source; the driver holds TOP rows of each list at most, however many there are.
    """
    flagged = masks.member(documents.select(KEY, F.col(f"`{column}`").cast("string").alias("value")), removed, "gone")
    counted = flagged.groupBy(source_of(F.col("value")).alias("source")).agg(
        F.count(F.lit(1)).alias("documents"), F.sum("gone").alias("removed")
    )
    counted.where(F.col("source").isNotNull()).write.parquet(storage.spark_target(folder))
    top: list[tuple[int, str, int]] = []
    lost: list[tuple[int, str, int]] = []
    total = 0
    for batch in tables.batches(folder, ["source", "documents", "removed"]):
        total += len(batch)
        rows = [(-row["documents"], row["source"], row["removed"]) for row in batch.to_pylist()]
        top = heapq.nsmallest(TOP, top + rows)
        lost = heapq.nsmallest(TOP, lost + [r for r in rows if -r[0] >= LEAST and r[2] > LOST * -r[0]])
    return {
        "column": column,
        "total": total,
        "lost_over_90_percent": [source for _, source, _ in lost],
        "top": [{"source": s, "documents": -n, "removed": int(r)} for n, s, r in dict.fromkeys([*top, *lost])],
    }
