"""Parquet documents: what the footers tell, and the DataFrame with a dense row key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.documents.keys import KEY, quoted
from sparkprep.documents.parquet.schemas import (
    check_names,
    check_same_schema,
    check_text_column,
    leaves,
    plain_type,
    unreadable,
)
from sparkprep.documents.partitions import partition_types, partition_values
from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.listing import DataFile
from sparkprep.io.paths import filesystem, is_local, normalise, spark_uri

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FOOTER_READERS = 16
LONG_TEXT = 1 << 20
"""Bytes from which a text is handled alone, since Spark counts rows, not bytes, where it fills batches and pages."""

# Dates before 1582 and instants before 1900: Spark fails on those of other writers, lest they be from its old calendar.
_AS_THEY_STAND = {"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED"}
# Spark 3.5 hands a snappy page to its decompressor in pieces of this size and copies all that came before for each of
# them (PARQUET-2429): with the usual 64 kB a page of 1 GB takes hours. The decompressor keeps what the first read in a
# JVM was told; where that was another, large pages are read, but slowly.
_LARGE_PAGES = {"io.file.buffer.size": str(8 << 20)}
_WRITTEN_AS_THEY_STAND = {
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # not INT96, which other readers take for nanoseconds
}


@dataclass(frozen=True)
class InputSummary:
    """What the footers of a set of Parquet files tell, without reading any row.

    schema: of the first file, then the columns named by folders; Arrow types with dictionaries and large variants
    written plainly. id_column: None where the files have none. file_rows: rows of each file, in the order of the files.
    folder_columns: those of the schema that stand in folder names only.
    The sizes are bytes of the text column, uncompressed but as encoded: where a file repeats texts and stores them as a
    dictionary, they are less than the decoded text. largest_mean_text_bytes: bytes a row in the row group where that is
    greatest.
    """

    schema: pa.Schema
    text_column: str
    id_column: str | None
    file_rows: tuple[int, ...]
    folder_columns: tuple[str, ...]
    rows: int
    file_bytes: int
    row_groups: int
    text_bytes: int
    largest_row_group_text_bytes: int
    largest_mean_text_bytes: float

    @property
    def has_long_texts(self) -> bool:
        """Whether in some row group most of the bytes are in texts of LONG_TEXT or more."""
        return self.largest_mean_text_bytes >= LONG_TEXT


@dataclass(frozen=True)
class _Footer:
    schema: pa.Schema
    problem: str | None
    row_group_rows: tuple[int, ...]
    row_group_text_bytes: tuple[int, ...]


def inspect(files: Sequence[DataFile], text_column: str = "text", id_column: str = "id") -> InputSummary:
    """Read every footer (in threads, on the driver) and check that the files can be read as one table.

    Raises UserError, naming file and column, for: a file that is not sound Parquet, files whose schemas differ (the
    order of columns may), a column type that Spark cannot read, columns that differ only by case, reserved names, and
    a text column that is missing or not a string. A missing id column is allowed.
    """
    with ThreadPoolExecutor(_FOOTER_READERS) as pool:
        footers = list(pool.map(lambda file: _read_footer(file, text_column), files))
    first = footers[0].schema
    check_names(files[0].path, first.names)
    check_text_column(files[0].path, first, text_column)
    for file, footer in zip(files, footers, strict=True):
        if footer.problem:
            raise UserError(f"{file.path}: {footer.problem}")
        check_same_schema(files[0].path, first, file.path, footer.schema)
    schema = first
    present = {name.lower() for name in first.names}
    folder_types = {c: t for c, t in partition_types(partition_values(files)).items() if c.lower() not in present}
    for column, kind in folder_types.items():
        schema = schema.append(pa.field(column, kind))
    check_names(files[0].path, schema.names)
    group_rows = [rows for footer in footers for rows in footer.row_group_rows]
    group_bytes = [size for footer in footers for size in footer.row_group_text_bytes]
    return InputSummary(
        schema=schema,
        text_column=text_column,
        id_column=id_column if id_column in schema.names else None,
        file_rows=tuple(sum(footer.row_group_rows) for footer in footers),
        folder_columns=tuple(folder_types),
        rows=sum(group_rows),
        file_bytes=sum(file.size for file in files),
        row_groups=len(group_rows),
        text_bytes=sum(group_bytes),
        largest_row_group_text_bytes=max(group_bytes, default=0),
        largest_mean_text_bytes=max((b / r for b, r in zip(group_bytes, group_rows, strict=True)), default=0.0),
    )


def has_row_index(spark: SparkSession) -> bool:
    """Whether this Spark numbers the rows of a Parquet file (`_metadata.row_index`, since 3.5)."""
    major, minor = spark.version.split(".")[:2]
    return (int(major), int(minor)) >= (3, 5)


def read(
    spark: SparkSession, files: Sequence[DataFile], summary: InputSummary, columns: Sequence[str] | None = None
) -> DataFrame:
    """The rows of `files` with `columns` (None: all of the summary's), and `__key: long`.

    `__key` runs 0..N-1 in the order of `files` and of the rows in each: rows before the file + the row's index in it.
    It does not depend on how Spark cuts the files. Only columns that the caller goes on to use are read from disk.
    """
    from pyspark.sql import functions as F

    if not has_row_index(spark):
        raise UserError(f"Spark {spark.version} cannot number the rows of a Parquet file; use Spark 3.5 or later")
    wanted = list(summary.schema.names if columns is None else columns)
    from_folders = [column for column in summary.folder_columns if column in wanted]
    folders = partition_values(files)

    # The schema comes from one file, since all were found alike: Spark then opens no further footers for it.
    schema = spark.read.parquet(spark_uri(files[0].path)).schema
    reader = spark.read.schema(schema).options(**_AS_THEY_STAND, **(_LARGE_PAGES if summary.has_long_texts else {}))
    frame = reader.parquet(*[spark_uri(file.path) for file in files])
    stored = [quoted(column) for column in wanted if column not in from_folders]
    row = F.col("_metadata.row_index")
    if len(files) == 1:
        constants = [F.lit(folders[0][column]).alias(column) for column in from_folders]  # no join for one file
        frame = frame.select(*stored, *constants, row.alias(KEY))
        return frame.select(*map(quoted, wanted), KEY)

    offsets = list(accumulate(summary.file_rows, initial=0))
    table = []
    for position, name in _names_in_spark(frame, files):
        values = [folders[position][column] for column in from_folders]
        table.append((name, offsets[position], *values))
    kinds = {
        column: "string" if summary.schema.field(column).type == pa.string() else "long" for column in from_folders
    }
    fields = [f"{quoted(column)} {kind}" for column, kind in kinds.items()]
    known = spark.createDataFrame(table, ", ".join(["__name string", "__offset long", *fields]))
    numbered = frame.select(*stored, F.col("_metadata.file_path").alias("__file"), row.alias("__row"))
    # A left join with a check rather than an inner one: a name that did not match must not lose its rows in silence.
    numbered = numbered.join(F.broadcast(known), F.col("__file") == F.col("__name"), "left")
    unknown = F.raise_error(F.concat(F.lit("not among the input files: "), F.col("__file"))).cast("long")
    return numbered.withColumn(KEY, F.coalesce(F.col("__offset"), unknown) + F.col("__row")).select(
        *map(quoted, wanted), KEY
    )


@contextmanager
def times_as_they_stand(spark: SparkSession) -> Iterator[None]:
    """While this lasts, Parquet written by `spark` has dates and timestamps as they were read, in microseconds.

    Needed around the action that writes (`DataFrame.write` has no option for it); restores the session's settings.
    """
    from sparkprep.spark.session import spark_conf

    with spark_conf(spark, _WRITTEN_AS_THEY_STAND):
        yield


def find_damaged(files: Sequence[DataFile], columns: Sequence[str]) -> UserError | None:
    """Read `columns` of every file on the driver, one row group at a time, and name the first file that cannot be read.

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
            from sparkprep.spark.failures import damaged

            return damaged(file.path, cause(error))
    return None


def _names_in_spark(frame: DataFrame, files: Sequence[DataFile]) -> list[tuple[int, str]]:
    """(position in `files`, name) for every form in which `_metadata.file_path` may name each file.

    Spark's own list of input files shows how it escapes names; decoding those is safer than imitating the escapes. The
    list writes `file:/x`, the metadata column `file:///x`: both are given.
    """
    position = {file.path: index for index, file in enumerate(files)}
    names: list[tuple[int, str]] = []
    seen = set()
    for name in frame.inputFiles():
        index = position.get(normalise(unquote(name)))
        if index is not None:
            seen.add(index)
            bare = re.sub(r"^file:/+", "/", name)
            names += [(index, f"file:{bare}"), (index, f"file://{bare}")] if bare != name else [(index, name)]
    if len(seen) < len(files):
        missing = next(file.path for index, file in enumerate(files) if index not in seen)
        raise UserError(f"{missing}: Spark does not find this file; rename it in plain letters, digits, '-' and '.'")
    return names


def _open(file: DataFile) -> pq.FileMetaData:
    if file.size == 0:
        raise UserError(f"{file.path}: the file is empty (0 bytes), not Parquet; restore it or leave it out")
    system, inner = filesystem(file.path)
    try:
        return pq.read_metadata(inner, filesystem=system)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{file.path}: not a sound Parquet file (cut short or damaged): {cause(error)}; restore it or leave it out"
        ) from error


def _read_footer(file: DataFile, text_column: str) -> _Footer:
    name = file.path.rsplit("/", 1)[-1]
    if name.startswith(("_", ".")):
        raise UserError(f"{file.path}: Spark passes over files whose names start with '_' or '.'; rename it")
    if is_local(file.path) and ":" in (file.path if "\\" in spark_uri(file.path) else name):
        # Hadoop takes what stands before the colon for a scheme: in file names always, in folders where it looks for
        # patterns, which is when something in the path had to be escaped.
        raise UserError(f"{file.path}: Spark cannot read a local file with ':' in its name or folder; rename it")
    metadata = _open(file)
    try:
        effective = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file.path}: the schema cannot be read: {cause(error)}") from error
    schema = pa.schema([pa.field(field.name, plain_type(field.type)) for field in effective])
    leaf, text_leaf = 0, None
    for field in schema:
        if field.name == text_column and text_leaf is None:
            text_leaf = leaf
        leaf += leaves(field.type)
    rows, sizes = [], []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if group.num_rows:
            rows.append(group.num_rows)
            sizes.append(0 if text_leaf is None else group.column(text_leaf).total_uncompressed_size)
    return _Footer(schema, unreadable(metadata), tuple(rows), tuple(sizes))
