"""A table that lies in a folder of Parquet files: written by Spark or by the driver, read by either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from sparkprep.io.files import exists, make_folder
from sparkprep.io.paths import filesystem, join_path, spark_target, spark_uri


@dataclass(frozen=True)
class Table:
    """Where a table lies and which columns it has; whether it is there yet, `exists` tells."""

    path: str
    """its folder, as `sparkprep.io` takes it: a local path or an s3:// URI"""
    schema: str | T.StructType
    """given rather than inferred, since inference costs a Spark job each time"""

    @property
    def uri(self) -> str:
        """The folder as Spark writes to it."""
        return spark_target(self.path)

    def exists(self) -> bool:
        """Return whether the table was written."""
        return exists(self.path)

    def read(self, spark: SparkSession) -> DataFrame:
        """Return the table as a DataFrame."""
        return read_all(spark, [self])

    def write(self, rows: DataFrame, mode: str = "errorifexists", **options: str) -> None:
        """Run the Spark job that computes `rows` and write them; mode and options are those of Spark's writer."""
        rows.write.mode(mode).options(**options).parquet(self.uri)

    def save(self, rows: pa.Table) -> None:
        """Write rows that the driver holds, as one file."""
        make_folder(self.path)
        system, inner = filesystem(join_path(self.path, "part-00000.snappy.parquet"))
        pq.write_table(rows, inner, filesystem=system)

    def batches(self, columns: list[str] | None, where: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows file after file by name, some at a time; nothing where the table does not exist."""
        if self.exists():
            data = self._dataset()
            yield from data.to_batches(columns=columns, filter=where, batch_readahead=2, fragment_readahead=1)

    def columns(self, names: list[str]) -> list[npt.NDArray[np.generic]]:
        """Return whole columns in row order, each of shape (rows,). For what the driver's budget allows."""
        parts = list(self.batches(names))
        return [
            np.concatenate([np.asarray(part[name]) for part in parts]) if parts else np.empty(0, np.int64)
            for name in names
        ]

    def count(self) -> int:
        """Return the number of rows, from the footers; 0 where the table does not exist."""
        return int(self._dataset().count_rows()) if self.exists() else 0

    def _dataset(self) -> ds.Dataset:
        system, inner = filesystem(self.path)
        return ds.dataset(inner, filesystem=system, format="parquet")


def read_all(spark: SparkSession, tables: Sequence[Table]) -> DataFrame:
    """Return tables of one schema as one DataFrame; those that do not exist are passed over, one at least must."""
    return spark.read.schema(tables[0].schema).parquet(*(spark_uri(t.path) for t in tables if t.exists()))
