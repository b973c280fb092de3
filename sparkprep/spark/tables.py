"""Tables that one stage writes and another reads, by PyArrow alone, so that they may lie wherever tasks and driver see.

A table is a folder of numbered Parquet parts, each written whole by one task, or by the driver. How many rows each
part has is known from its writing, so that a part which is lost, or not what was written, is an error and never taken
for a table with fewer rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
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
from sparkprep.io.parquet import WrittenFile, open_parquet, write_parquet
from sparkprep.io.paths import join_path
from sparkprep.spark.tasks import run_tasks

WRITTEN = "part int, rows long, bytes long, sha256 string, counts binary"
"""The columns of what a writing task reports: one row for each part; `counts` is a JSON object of whole numbers."""
BATCH_ROWS = 20_000

PartWriter = Callable[[int, Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""Writes the rows of the part of that number, and yields what is reported of it."""
Counter = Callable[[pa.RecordBatch], Mapping[str, int]]
"""Counts something in a batch that is written."""


@dataclass(frozen=True)
class Form:
    """How the parts of a table are written. plain: columns without a dictionary, as those of texts."""

    compression: str
    plain: tuple[str, ...] = ()

    def name(self, number: int) -> str:
        """Return the name of a part."""
        return f"part-{number:05d}.{'' if self.compression == 'none' else f'{self.compression}.'}parquet"

    @property
    def options(self) -> dict[str, Any]:
        """What `write_parquet` is told."""
        return {"compression": self.compression, "plain": self.plain}


INTERMEDIATE = Form("none")
"""Hashes and signatures are random bits: compressing them costs time and gains nothing."""
RESULT = Form("snappy")


@dataclass(frozen=True)
class PartFile:
    """A part as it lies in its folder."""

    name: str
    file: WrittenFile


class Table:
    """Where a table lies, which columns it has, and, once it is written, how many rows are in which part."""

    def __init__(self, path: str, schema: pa.Schema, form: Form = INTERMEDIATE) -> None:
        self.path = path
        self.schema = schema
        self.form = form
        self.parts: dict[int, int] | None = None
        self.files: list[PartFile] = []
        """what tasks have written, in the order of the parts, for a manifest"""

    def exists(self) -> bool:
        """Return whether the table was written."""
        return self.parts is not None

    @property
    def rows(self) -> int:
        """The number of rows; 0 where the table was not written."""
        return sum((self.parts or {}).values())

    def file(self, number: int) -> str:
        """Return the path of a part."""
        return join_path(self.path, self.form.name(number))

    def save(self, rows: pa.Table) -> None:
        """Write rows that the driver holds, as one part."""
        self.save_parts({0: rows})

    def save_parts(self, parts: Mapping[int, pa.Table]) -> None:
        """Write rows that the driver holds, as parts of these numbers; those without rows are left out."""
        make_folder(self.path)
        self.parts, self.files = {}, []
        for number, rows in parts.items():
            if rows.num_rows:
                batches = iter(rows.cast(self.schema).to_batches())
                self._note(number, write_parquet(self.file(number), batches, self.schema, **self.form.options))

    def write(
        self,
        rows: DataFrame,
        count: Counter | None = None,
        prepare: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None,
    ) -> dict[str, int]:
        """Run the Spark job that computes `rows`, each of its tasks writing a part; return the sums of what is counted.

        The DataFrame has the columns of the table, and perhaps others; or what `prepare` makes into such rows.
        """
        write_part = part_writer(self, count)

        def write_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            context = TaskContext.get()
            assert context is not None  # it runs in a task
            yield from write_part(context.partitionId(), map(prepare, batches) if prepare else iter(batches))

        return self.collect(rows.mapInArrow(write_partition, WRITTEN))

    def write_tasks(
        self,
        spark: SparkSession,
        numbers: list[int] | range,
        task: Callable[[int], Iterator[pa.RecordBatch]],
        count: Counter | None = None,
    ) -> dict[str, int]:
        """Run a task for each number, which writes the part of that number; return the sums of what is counted."""
        write_part = part_writer(self, count)
        return self.collect(run_tasks(spark, numbers, lambda number: write_part(number, task(number)), WRITTEN))

    def save_empty(self) -> None:
        """Write one part without rows, for a result that is read by its files alone."""
        make_folder(self.path)
        self.files = [
            PartFile(self.form.name(0), write_parquet(self.file(0), iter([]), self.schema, **self.form.options))
        ]

    def _note(self, number: int, file: WrittenFile) -> None:
        assert self.parts is not None
        self.parts[number] = file.rows
        self.files.append(PartFile(self.form.name(number), file))

    def collect(self, written: DataFrame) -> dict[str, int]:
        """Run the job of writing tasks, whose rows are WRITTEN; note the parts, and return the sums of the counts."""
        make_folder(self.path)
        self.parts, self.files = {}, []
        sums: dict[str, int] = {}
        for row in sorted(written.collect(), key=lambda row: row["part"]):
            if row["rows"]:
                self._note(row["part"], WrittenFile(row["rows"], row["bytes"], row["sha256"]))
            for name, value in orjson.loads(bytes(row["counts"])).items():
                sums[name] = sums.get(name, 0) + value
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


def part_writer(
    table: Table, count: Counter | None = None
) -> Callable[[int, Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return what a task does with the rows of a part: write it, unless there are no rows, and yield its report."""
    place = Table(table.path, table.schema, table.form)  # it goes to the workers, the table's parts do not
    schema = table.schema

    def write(number: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sums: dict[str, int] = {}

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for name, value in (count(batch) if count else {}).items():
                    sums[name] = sums.get(name, 0) + int(value)
                yield batch.select(schema.names).cast(schema)

        rows = counted()
        first = next((batch for batch in rows if batch.num_rows), None)
        size, written, digest = 0, 0, ""
        if first is not None:
            make_folder(place.path)
            file = write_parquet(place.file(number), chain([first], rows), schema, **place.form.options)
            size, written, digest = file.bytes, file.rows, file.sha256
        yield report(number, written, size, digest, sums)

    return write


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
