"""The keep order: of documents that are alike, who comes first, and so stays."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY

RANK = (KEY, "id", "keep", "row_hash", "chars")
"""Those columns of the signature rows that the keep order needs ("keep" is there only for an order by a column)."""


def keep_order(settings: Settings) -> list[tuple[str, str]]:
    """Return (column, "ascending" or "descending") of the signature rows, nulls last: who comes first stays.

    Total but for rows that are equal in every column; of those, the key decides, and it does not matter which.
    """
    ties = [("id", "ascending"), ("row_hash", "ascending"), (KEY, "ascending")]
    if settings.keep == "longest":
        return [("chars", "descending"), *ties]
    if settings.keep == "first":
        return ties
    return [("keep", "descending" if settings.keep.startswith("-") else "ascending"), *ties]


def spark_order(settings: Settings) -> list[Column]:
    """Return `keep_order` for Spark's sorts."""
    return [
        F.col(name).asc_nulls_last() if direction == "ascending" else F.col(name).desc_nulls_last()
        for name, direction in keep_order(settings)
    ]


def keep_column(settings: Settings) -> str | None:
    """Return the input column that the keep order looks at, if it is one of the input's own."""
    return None if settings.keep in ("longest", "first") else settings.keep.removeprefix("-")
