"""How much each source (the host of a document's URL, or another column's value) loses: Spark stage for the report."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkprep.dedup import masks

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


def losses(documents: DataFrame, column: str, removed: DataFrame) -> dict[str, Any]:
    """The "sources" figures of metrics.json. documents: KEY and the column; removed: the mask of the removed ones.

    The driver receives TOP rows at most of each list, whatever the number of sources.
    """
    flagged = masks.member(documents, removed, "gone")
    counted = (
        flagged.groupBy(source_of(F.col(f"`{column}`").cast("string")).alias("source"))
        .agg(F.count(F.lit(1)).alias("documents"), F.sum("gone").alias("removed"))
        .where(F.col("source").isNotNull())
        .cache()
    )
    try:
        total = counted.count()
        top = counted.orderBy(F.desc("documents"), "source").limit(TOP).collect()
        lost = counted.where((F.col("removed") > LOST * F.col("documents")) & (F.col("documents") >= LEAST))
        worst = lost.orderBy(F.desc("documents"), "source").limit(TOP).collect()
    finally:
        counted.unpersist()
    rows = {r["source"]: r for r in [*top, *worst]}.values()
    return {
        "column": column,
        "total": total,
        "lost_over_90_percent": [r["source"] for r in worst],
        "top": [{"source": r["source"], "documents": r["documents"], "removed": int(r["removed"])} for r in rows],
    }
