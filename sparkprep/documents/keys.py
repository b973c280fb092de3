"""What names a document: the dense key that stages join on, the identifier of the user, and names that are reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Spark is imported in the one function that needs it: the names are of use without Spark too, as to the kernels.
if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEY = "__key"
"""The column of the key: 0..N-1 in the order of the files and of the rows in each."""
MASK_WORD, MASK_BITS = "__mask_word", "__mask_bits"
"""The columns of a bit mask of keys (`dedup.masks`)."""
RESERVED_COLUMNS = (KEY, "__file", "__row", MASK_WORD, MASK_BITS, "_metadata")
"""Names that no column of an input may bear, in lower case."""


def quoted(column: str) -> str:
    """Return a column name as Spark wants it in expressions: dots and back-ticks are then part of the name."""
    return "`" + column.replace("`", "``") + "`"


def identifier(documents: DataFrame, id_column: str, text_column: str) -> Column:
    """Return the documents' identifier: the column of that name, or the SHA-256 of the text where there is none."""
    from pyspark.sql import functions as F

    if id_column in documents.columns:
        return F.col(quoted(id_column))
    return F.sha2(F.coalesce(F.col(quoted(text_column)), F.lit("")), 256)
