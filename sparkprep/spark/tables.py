"""Tables that one stage writes and another reads, by PyArrow alone, so that they may lie wherever tasks and driver see.

A table is a folder of numbered Parquet parts, each written whole by one task, or by the driver. How many rows each
part has is known from its writing, so that a part which is lost, or not what was written, is an error and never taken
for a table with fewer rows.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_schema

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder
from sparkprep.io.parquet import ROW_GROUP_BYTES, ParquetSink, WrittenFile, open_parquet, parquet_sink, write_parquet
from sparkprep.io.paths import join_path
from sparkprep.spark.tasks import run, run_tasks

BATCH_ROWS = 20_000
RESULT_ROWS = 512

Counter = Callable[[pa.RecordBatch], Mapping[str, int]]
"""Counts something in a batch that is written."""


@dataclass(frozen=True)
class Form:
    """How the parts of a table are written.

    plain: columns without dictionary and statistics, as those of texts. row_group_bytes: of rows in memory, from which
    a row group is written.
    """

    compression: str
    plain: tuple[str, ...] = ()
    row_group_bytes: int = ROW_GROUP_BYTES

    def name(self, number: int) -> str:
        """Return the name of a part."""
        return f"part-{number:05d}.{'' if self.compression == 'none' else f'{self.compression}.'}parquet"

    @property
    def options(self) -> dict[str, Any]:
        """What `write_parquet` is told."""
        return {"compression": self.compression, "plain": self.plain, "row_group_bytes": self.row_group_bytes}


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

    def limited(self, numbers: Container[int]) -> Table:
        """Return the table, once it is written, as one that has these of its parts alone; to be read."""
        some = Table(self.path, self.schema, self.form)
        some.parts = {number: rows for number, rows in (self.parts or {}).items() if number in numbers}
        return some

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

    def manifest(self) -> list[dict[str, Any]]:
        """Return name, rows, bytes and SHA-256 of each part as it lies, as JSON knows them."""
        return [{"name": part.name, **asdict(part.file)} for part in self.files]

    def save_empty(self) -> None:
        """Write one part without rows, for a result that is read by its files alone."""
        make_folder(self.path)
        file = write_parquet(self.file(0), iter([]), self.schema, **self.form.options)
        self.files = [PartFile(self.form.name(0), file)]

    def _note(self, number: int, file: WrittenFile) -> None:
        assert self.parts is not None
        self.parts[number] = file.rows
        self.files.append(PartFile(self.form.name(number), file))

    def write(
        self,
        rows: DataFrame,
        prepare: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None,
    ) -> None:
        """Run the Spark job that computes `rows`, each of its tasks writing a part.

        The DataFrame has the columns of the table, and perhaps others; or what `prepare` makes into such rows.
        """
        write_part = part_writer(self)

        def write_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            context = TaskContext.get()
            assert context is not None  # it runs in a task
            yield write_part(context.partitionId(), map(prepare, batches) if prepare else iter(batches)).as_batch()

        self.collect(rows.mapInArrow(write_partition, WRITTEN_SCHEMA))

    def collect(self, written: DataFrame) -> None:
        """Run the job of writing tasks, whose rows are `Written.as_batch`, and note the parts."""
        self.note(
            Written(row["part"], WrittenFile(row["rows"], row["bytes"], row["sha256"])) for row in written.collect()
        )

    def write_tasks(
        self,
        spark: SparkSession,
        numbers: Sequence[int],
        task: Callable[[int], Iterator[pa.RecordBatch]],
        count: Counter | None = None,
        once: Once | None = None,
    ) -> dict[str, int]:
        """Run a task for each number, which writes the part of that number; return the sums of what is counted.

        once: does the work of a task, or knows what it told in an earlier run (`stages.PartNotes.once`).
        """
        write_part = part_writer(self, count)

        def write(number: int) -> list[Written]:
            def work() -> Written:
                return write_part(number, task(number))

            return [once(number, work) if once else work()]

        return self.note(run(spark, numbers, write))

    def note(self, written: Iterable[Written]) -> dict[str, int]:
        """Note which parts tasks have written, with which the table is there; return the sums of what they counted."""
        make_folder(self.path)
        self.parts, self.files = {}, []
        sums: dict[str, int] = {}
        for each in sorted(written, key=lambda each: each.number):
            if each.file.rows:
                self._note(each.number, each.file)
            for name, value in each.counts.items():
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


@dataclass(frozen=True)
class Written:
    """What a task tells of the part that it wrote: of one without rows, there is no file."""

    number: int
    file: WrittenFile
    counts: Mapping[str, int] = field(default_factory=dict)

    def as_batch(self) -> pa.RecordBatch:
        """Return number and file as one row of WRITTEN_SCHEMA."""
        row = {"part": self.number, "rows": self.file.rows, "bytes": self.file.bytes, "sha256": self.file.sha256}
        return pa.RecordBatch.from_pylist([row], _WRITTEN)


_WRITTEN = pa.schema([("part", pa.int32()), ("rows", pa.int64()), ("bytes", pa.int64()), ("sha256", pa.string())])
WRITTEN_SCHEMA = "part int, rows long, bytes long, sha256 string"
"""The columns of `Written.as_batch` in Spark's words."""

Once = Callable[[int, Callable[[], Written]], Written]

PartWriter = Callable[[int, Iterator[pa.RecordBatch]], Written]
"""Writes rows as the part of that number."""


def part_writer(table: Table, count: Counter | None = None) -> PartWriter:
    """Return what a task does with the rows of a part: write it, unless there are no rows, and tell of it."""
    place = Table(table.path, table.schema, table.form)  # it goes to the workers, the table's parts do not
    schema = table.schema

    def write(number: int, batches: Iterator[pa.RecordBatch]) -> Written:
        sums: dict[str, int] = {}

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for name, value in (count(batch) if count else {}).items():
                    sums[name] = sums.get(name, 0) + int(value)
                yield batch if batch.schema.equals(schema) else batch.select(schema.names).cast(schema)

        rows = counted()
        first = next((batch for batch in rows if batch.num_rows), None)
        if first is None:
            return Written(number, WrittenFile(0, 0, ""), sums)
        make_folder(place.path)
        file = write_parquet(place.file(number), chain([first], rows), schema, **place.form.options)
        return Written(number, file, sums)

    return write


SplitWriter = Callable[[int, Iterator[Sequence[pa.RecordBatch]]], list[Written]]
"""Writes batches, one for each of some tables, as their parts of that number."""


def split_writer(tables: Sequence[Table]) -> SplitWriter:
    """Return what a task does with rows that go into several tables: each into its own, all in one pass.

    It is handed a batch for each table at a time, without rows where a table gets none, and tells of each table's part.
    """
    places = [Table(table.path, table.schema, table.form) for table in tables]  # as in `part_writer`

    def write(number: int, groups: Iterator[Sequence[pa.RecordBatch]]) -> list[Written]:
        sinks: dict[int, ParquetSink] = {}
        with ExitStack() as stack:
            for group in groups:
                for which, batch in enumerate(group):
                    if not batch.num_rows:
                        continue
                    if which not in sinks:
                        make_folder(places[which].path)
                        file = parquet_sink(
                            places[which].file(number), places[which].schema, **places[which].form.options
                        )
                        sinks[which] = stack.enter_context(file)
                    sinks[which].write(batch)
        nothing = WrittenFile(0, 0, "")
        return [Written(number, sinks[i].written if i in sinks else nothing) for i in range(len(places))]

    return write


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


def read_parts(spark: SparkSession, folder: str, manifest: Sequence[Mapping[str, Any]]) -> DataFrame:
    """Return a finished table as a DataFrame, read by PyArrow in tasks; manifest: of its parts (`Table.manifest`).

    Raises UserError where it has a column that Spark does not know.
    """
    paths = [join_path(folder, part["name"]) for part in manifest]
    with open_parquet(paths[0]) as file:
        schema = file.schema_arrow
    try:
        words = spark_schema(schema)
    except TypeError as error:
        raise UserError(f"{folder}: {error}; read it with pyarrow.parquet.read_table") from error

    def task(number: int) -> Iterator[pa.RecordBatch]:
        with open_parquet(paths[number]) as file:
            yield from file.iter_batches(RESULT_ROWS, use_threads=False)

    return run_tasks(spark, range(len(paths)), task, words)
