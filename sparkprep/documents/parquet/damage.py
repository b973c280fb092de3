"""Which Parquet file is damaged, where Spark failed without naming one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.listing import DataFile
from sparkprep.io.paths import filesystem
from sparkprep.spark.failures import damaged


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
