"""How documents travel from Spark to Python: in batches of bounded size, under an identifier."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparkprep.documents.parquet import LONG_TEXT
from sparkprep.documents.schemas import quoted

__all__ = ["LONG_TEXT", "batch_settings", "identifier", "one_by_one"]

BATCH_BYTES = 32 << 20
BATCH_ROWS = 512


def batch_settings(average_text_bytes: float) -> dict[str, str]:
    """Spark settings that keep one batch of texts near BATCH_BYTES, in the JVM's reader as in Arrow.

    `average_text_bytes` is the largest mean text of any row group.
    """
    rows = int(min(BATCH_ROWS, max(1, BATCH_BYTES // max(1.0, average_text_bytes))))
    return {
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(rows),
        "spark.sql.parquet.columnarReaderBatchSize": str(8 * rows if rows > 1 else 1),
    }


def one_by_one() -> dict[str, str]:
    """Spark settings for texts of LONG_TEXT and more."""
    return {
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
        "spark.sql.parquet.columnarReaderBatchSize": "1",
    }


def identifier(documents: DataFrame, id_column: str, text_column: str) -> Column:
    """The documents' identifier: the column of that name, or the SHA-256 of the text where there is none."""
    if id_column in documents.columns:
        return F.col(quoted(id_column))
    return F.sha2(F.coalesce(F.col(quoted(text_column)), F.lit("")), 256)
