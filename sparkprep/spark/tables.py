"""Tables that one stage writes and another reads, by PyArrow alone, so that they may lie wherever tasks and driver see.

A table is a folder of numbered Parquet parts, each written whole by one task, or by the driver. How many rows each
part has is known from its writing, so that a part which is lost, or not what was written, is an error and never taken
for a table with fewer rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_schema

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder
from sparkprep.io.parquet import open_parquet, write_parquet
from sparkprep.io.paths import join_path
from sparkprep.spark.tasks import run_tasks

WRITTEN = "part int, rows long, bytes long, sha256 string, counts binary"
"""The columns of what a writing task reports: one row for each part; `counts` is a JSON object of whole numbers."""
BATCH_ROWS = 20_000

Counter = Callable[[pa.RecordBatch], Mapping[str, int]]
"""Counts something in a batch that is written."""


class Table:
    """Where a table lies, which columns it has, and, once it is written, how many rows are in which part."""

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.parts: dict[int, int] | None = None

    def exists(self) -> bool:
        """Return whether the table was written."""
        return self.parts is not None

    @property
    def rows(self) -> int:
        """The number of rows; 0 where the table was not written."""
        return sum((self.parts or {}).values())

    def file(self, number: int) -> str:
        """Return the path of a part."""
        return join_path(self.path, f"part-{number:05d}.snappy.parquet")

    def save(self, rows: pa.Table) -> None:
        """Write rows that the driver holds, as one part."""
        self.save_parts({0: rows})

    def save_parts(self, parts: Mapping[int, pa.Table]) -> None:
        """Write rows that the driver holds, as parts of these numbers; those without rows are left out."""
        make_folder(self.path)
        self.parts = {}
        for number, rows in parts.items():
            if rows.num_rows:
                batches = iter(rows.cast(self.schema).to_batches())
                self.parts[number] = write_parquet(self.file(number), batches, self.schema, **_UNCOMPRESSED).rows

    def write(self, rows: DataFrame, count: Counter | None = None) -> dict[str, int]:
        """Run the Spark job that computes `rows`, each of its tasks writing a part; return the sums of what is counted.

        The DataFrame's columns are those of the table, in its order.
        """
        writer = _PartWriter(self, count)
        return self.collect(rows.mapInArrow(writer.write_partition, WRITTEN))

    def write_tasks(
        self,
        spark: SparkSession,
        numbers: list[int] | range,
        task: Callable[[int], Iterator[pa.RecordBatch]],
        count: Counter | None = None,
    ) -> dict[str, int]:
        """Run a task for each number, which writes the part of that number; return the sums of what is counted."""
        writer = _PartWriter(self, count)
        return self.collect(run_tasks(spark, numbers, lambda number: writer.write(number, task(number)), WRITTEN))

    def collect(self, written: DataFrame) -> dict[str, int]:
        """Run the job of writing tasks, whose rows are WRITTEN; note the parts, and return the sums of the counts."""
        make_folder(self.path)
        sums: dict[str, int] = {}
        parts: dict[int, int] = {}
        for row in written.collect():
            if row["rows"]:
                parts[row["part"]] = row["rows"]
            for name, value in orjson.loads(bytes(row["counts"])).items():
                sums[name] = sums.get(name, 0) + value
        self.parts = dict(sorted(parts.items()))
        return sums

    def part(self, number: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a part, some at a time; none where the table has no such part.

        Raises UserError where it is not what was written.
        """
        if self.parts is None:
            raise RuntimeError(f"{self.path} is read before it is written")
        expected = self.parts.get(number, 0)
        if not expected:
            return
        path = self.file(number)
        try:
            with open_parquet(path) as file:
                if file.metadata.num_rows != expected:
                    raise UserError(f"it holds {file.metadata.num_rows:,} rows, {expected:,} were written")
                yield from file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
        except UserError as error:
            raise UserError(
                f"an intermediate table was lost or changed while the job ran: {error} ({path}); run again, and let "
                "nothing else write there"
            ) from error

    def batches(self, columns: list[str] | None, where: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows part after part, some at a time; nothing where the table does not exist."""
        for number in self.parts or {}:
            for batch in self.part(number, columns):
                yield batch if where is None else batch.filter(where)

    def columns(self, names: list[str]) -> list[npt.NDArray[np.generic]]:
        """Return whole columns in row order, each of shape (rows,). For what the driver's budget allows."""
        parts = list(self.batches(names))
        return [
            np.concatenate([np.asarray(part[name]) for part in parts]) if parts else np.empty(0, np.int64)
            for name in names
        ]

    def read(self, spark: SparkSession, columns: list[str] | None = None) -> DataFrame:
        """Return the table as a DataFrame, read by a task for each part."""
        return read_all(spark, [self], columns)


_UNCOMPRESSED: dict[str, Any] = {"compression": "none"}
"""Hashes and signatures are random bits: compressing them costs time and gains nothing."""


class _PartWriter:
    """What a task does with the rows of a part; it goes to the workers, the table's parts do not."""

    def __init__(self, table: Table, count: Counter | None) -> None:
        self._table = Table(table.path, table.schema)
        self._count = count

    def write_partition(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the rows of this Spark partition, as the part of its number."""
        context = TaskContext.get()
        assert context is not None
        yield from self.write(context.partitionId(), iter(batches))

    def write(self, number: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the part, unless there are no rows, and yield what is reported of it."""
        sums: dict[str, int] = {}

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for name, value in (self._count(batch) if self._count else {}).items():
                    sums[name] = sums.get(name, 0) + int(value)
                yield batch.select(self._table.schema.names).cast(self._table.schema)

        rows = counted()
        first = next((batch for batch in rows if batch.num_rows), None)
        size, written, digest = 0, 0, ""
        if first is not None:
            make_folder(self._table.path)
            file = write_parquet(
                self._table.file(number), _after(first, rows), self._table.schema, **_UNCOMPRESSED
            )
            size, written, digest = file.bytes, file.rows, file.sha256
        yield report(number, written, size, digest, sums)


def report(number: int, rows: int, size: int, digest: str, counts: Mapping[str, int]) -> pa.RecordBatch:
    """Return what a writing task reports of a part, one row of WRITTEN."""
    return pa.RecordBatch.from_pydict(
        {
            "part": pa.array([number], pa.int32()),
            "rows": pa.array([rows], pa.int64()),
            "bytes": pa.array([size], pa.int64()),
            "sha256": pa.array([digest]),
            "counts": pa.array([orjson.dumps(counts)], pa.binary()),
        }
    )


def _after(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def spark_schema(schema: pa.Schema) -> str:
    """Return the columns of a table in Spark's words."""
    fields: T.StructType = from_arrow_schema(schema)
    return ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in fields)


def read_all(spark: SparkSession, tables: list[Table], columns: list[str] | None = None) -> DataFrame:
    """Return tables of one schema as one DataFrame; those that do not exist are passed over."""
    schema = tables[0].schema
    names = columns or schema.names
    places = [(table, number) for table in tables for number in table.parts or {}]

    def task(place: int) -> Iterator[pa.RecordBatch]:
        table, number = places[place]
        for batch in table.part(number, names):
            yield batch.select(names)

    wanted = pa.schema([schema.field(name) for name in names])
    return run_tasks(spark, range(len(places)), task, spark_schema(wanted))
