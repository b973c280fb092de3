"""Tables between the driver and Spark: Parquet in the run's work folder, read and written as NumPy columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from sparkprep.io.files import exists
from sparkprep.io.paths import filesystem, spark_uri


def write(path: str, table: pa.Table) -> None:
    """Write one Parquet file, making its folder."""
    system, inner = filesystem(path)
    system.create_dir(inner.rsplit("/", 1)[0], recursive=True)
    pq.write_table(table, inner, filesystem=system)


def read(spark: SparkSession, schema: str | T.StructType, *paths: str) -> DataFrame:
    """The tables of that schema at these paths, those that exist, as one DataFrame.

    The schema is given rather than inferred, since inference costs a Spark job each time.
    """
    return spark.read.schema(schema).parquet(*(spark_uri(p) for p in paths if exists(p)))


def batches(path: str, columns: list[str] | None, where: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a table that Spark wrote, file after file by name, some at a time."""
    if not exists(path):
        return
    system, inner = filesystem(path)
    data = ds.dataset(inner, filesystem=system, format="parquet")
    yield from data.to_batches(columns=columns, filter=where, batch_readahead=2, fragment_readahead=1)


def columns(path: str, names: list[str], where: pc.Expression | None = None) -> list[npt.NDArray[np.generic]]:
    """Whole columns of a table in row order, as NumPy arrays. For what the driver's budget allows."""
    parts = list(batches(path, names, where))
    return [
        np.concatenate([np.asarray(part[name]) for part in parts]) if parts else np.empty(0, np.int64) for name in names
    ]


def rows(path: str) -> int:
    """Number of rows of a table, from its footers."""
    if not exists(path):
        return 0
    system, inner = filesystem(path)
    return int(ds.dataset(inner, filesystem=system, format="parquet").count_rows())
