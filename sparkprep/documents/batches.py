"""How rows with texts travel from Spark to Python: in batches of bounded size."""

from __future__ import annotations

LONG_TEXT = 1 << 20
"""Bytes from which a text goes to Python alone, since Spark counts rows, not bytes, where it fills batches."""
BATCH_BYTES = 32 << 20
BATCH_ROWS = 512


def batch_settings(average_text_bytes: float) -> dict[str, str]:
    """Return Spark settings that keep one Arrow batch of texts near BATCH_BYTES.

    `average_text_bytes` is the largest mean text of any row group.
    """
    rows = int(min(BATCH_ROWS, max(1, BATCH_BYTES // max(1.0, average_text_bytes))))
    return {"spark.sql.execution.arrow.maxRecordsPerBatch": str(rows)}


def one_by_one() -> dict[str, str]:
    """Return Spark settings for texts of LONG_TEXT and more."""
    return {"spark.sql.execution.arrow.maxRecordsPerBatch": "1"}
