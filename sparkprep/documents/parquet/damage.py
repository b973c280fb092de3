"""What of the input took Spark down, where it failed without naming a file: damage, or a row group too large."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.listing import DataFile
from sparkprep.io.paths import filesystem
from sparkprep.spark.failures import damaged

LARGE_ROW_GROUP = 256 << 20
"""Bytes of text from which a row group, which Spark reads as one piece, is worth a thought."""
MOST_TO_SEARCH = 10 << 30
"""Bytes of input that are read on the driver to find a damaged file, where Spark died without naming one."""


def why_spark_died(
    files: Sequence[DataFile], columns: Sequence[str], largest_row_group: int, content: str = "text"
) -> UserError | None:
    """Return why Spark's JVM may answer no more: a damaged page took it down, or a row group too large for it.

    columns: those that the files hold and Spark was to read. largest_row_group: bytes of the column of texts (of
    `content`, in words) in the row group where it has most. Returns None where neither is so.
    """
    if sum(file.size for file in files) <= MOST_TO_SEARCH:
        damage = find_damaged(files, columns)
        if damage:
            return damage
    if largest_row_group > LARGE_ROW_GROUP:
        return UserError(
            f"Spark's driver died in mid-run: a row group of the input holds {largest_row_group / 1e9:.1f} GB of "
            f"{content}, which Spark reads as one piece: give it more memory (spark-submit --driver-memory 8g, "
            "SPARK_DRIVER_MEMORY=8g), or write the input anew in smaller row groups"
        )
    return None


def find_damaged(files: Sequence[DataFile], columns: Sequence[str]) -> UserError | None:
    """Read `columns` of every file on the driver, one row group at a time; return the error that names the first
    file that cannot be read, or None.

    For when Spark failed without naming a file: some damage to a page's header overflows the stack of its reader and
    takes the whole JVM down. Takes as long as reading the input once.
    """
    for file in files:
        system, inner = filesystem(file.path)
        try:
            with pq.ParquetFile(inner, filesystem=system) as opened:
                for group in range(opened.num_row_groups):
                    opened.read_row_group(group, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            return damaged(file.path, cause(error))
    return None
