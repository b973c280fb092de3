"""The rows of Parquet documents as a DataFrame with a dense key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
)

from sparkprep.documents.keys import KEY, quoted
from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.documents.partitions import partition_values
from sparkprep.errors import UserError
from sparkprep.io.listing import DataFile
from sparkprep.io.paths import normalise, spark_uri
from sparkprep.spark.session import spark_conf

# Dates before 1582 and instants before 1900: Spark fails on those of other writers, lest they be from its old calendar.
_AS_THEY_STAND = {"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED"}
# Spark 3.5 hands a snappy page to its decompressor in pieces of this size and copies all that came before for each of
# them (PARQUET-2429): with the usual 64 kB a page of 1 GB takes hours. The decompressor keeps what the first read in a
# JVM was told; where that was another, large pages are read, but slowly.
_LARGE_PAGES = {"io.file.buffer.size": str(8 << 20)}
# The types that Spark reads in one way only, whatever its settings; others may be noted as one of several.
_PLAIN = (BooleanType, ByteType, ShortType, IntegerType, LongType, FloatType, DoubleType, StringType, DateType)
_WRITTEN_AS_THEY_STAND = {
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # not INT96, which other readers take for nanoseconds
}


def has_row_index(spark: SparkSession) -> bool:
    """Return whether this Spark numbers the rows of a Parquet file (`_metadata.row_index`, since 3.5)."""
    major, minor = spark.version.split(".")[:2]
    return (int(major), int(minor)) >= (3, 5)


def read(
    spark: SparkSession, files: Sequence[DataFile], summary: InputSummary, columns: Sequence[str] | None = None
) -> DataFrame:
    """Return the rows of `files` with `columns` (None: all of the summary's), and `__key: long`.

    `__key` runs 0..N-1 in the order of `files` and of the rows in each: rows before the file + the row's index in it.
    It does not depend on how Spark cuts the files. Only columns that the caller goes on to use are read from disk.
    """
    if not has_row_index(spark):
        raise UserError(f"Spark {spark.version} cannot number the rows of a Parquet file; use Spark 3.5 or later")
    names = list(summary.schema.names if columns is None else columns)
    from_folders = [column for column in summary.folder_columns if column in names]
    folders = partition_values(files)

    stored = [column for column in names if column not in from_folders]
    # The schema comes from one file, since all were found alike: Spark then opens no further footers for it.
    all_stored = pa.schema(map(summary.schema.field, summary.stored_columns))
    reader = spark.read.schema(stored_schema(spark, files[0].path, all_stored)).options(
        **_AS_THEY_STAND, **(_LARGE_PAGES if summary.has_long_texts else {})
    )
    frame = reader.parquet(*[spark_uri(file.path) for file in files])
    row = F.col("_metadata.row_index")
    if len(files) == 1:
        constants = [F.lit(folders[0][column]).alias(column) for column in from_folders]  # no join for one file
        frame = frame.select(*map(quoted, stored), *constants, row.alias(KEY))
        return frame.select(*map(quoted, names), KEY)

    offsets = list(accumulate(summary.file_rows, initial=0))
    table = []
    for position, name in _names_in_spark(frame, files):
        values = [folders[position][column] for column in from_folders]
        table.append((name, offsets[position], *values))
    kinds = {
        column: "string" if summary.schema.field(column).type == pa.string() else "long" for column in from_folders
    }
    fields = [f"{quoted(column)} {kind}" for column, kind in kinds.items()]
    offset_of_file = spark.createDataFrame(table, ", ".join(["__name string", "__offset long", *fields]))
    numbered = frame.select(*map(quoted, stored), F.col("_metadata.file_path").alias("__file"), row.alias("__row"))
    # A left join with a check rather than an inner one: a name that did not match must not lose its rows in silence.
    numbered = numbered.join(F.broadcast(offset_of_file), F.col("__file") == F.col("__name"), "left")
    unknown = F.raise_error(F.concat(F.lit("not among the input files: "), F.col("__file"))).cast("long")
    return numbered.withColumn(KEY, F.coalesce(F.col("__offset"), unknown) + F.col("__row")).select(
        *map(quoted, names), KEY
    )


@contextmanager
def times_as_they_stand(spark: SparkSession) -> Iterator[None]:
    """Let `spark` write dates and timestamps to Parquet as they were read, in microseconds, while this lasts.

    Needed around the action that writes (`DataFrame.write` has no option for it); restores the session's settings.
    """
    with spark_conf(spark, _WRITTEN_AS_THEY_STAND):
        yield


def stored_schema(spark: SparkSession, path: str, columns: pa.Schema) -> StructType:
    """Return `columns` of the file at `path` as Spark sees them; as they lie where Spark's note is out of date.

    Spark notes in the footer which columns it wrote, and believes that note when it reads. pandas and pyarrow keep the
    note when they write the file again, with a column more or of another type. columns: of the file, with plain types.
    Raises UserError, naming the column, for a new one of a type that cannot be told without the note.
    """
    noted = {field.name: field for field in spark.read.parquet(spark_uri(path)).schema}
    return StructType([_field(path, column, noted.get(column.name)) for column in columns])


def _field(path: str, column: pa.Field, noted: StructField | None) -> StructField:
    try:
        stored = from_arrow_type(column.type, prefer_timestamp_ntz=True)
    except TypeError:
        if noted is not None:
            return noted
        raise UserError(
            f"{path}: its note of what Spark wrote does not know column {column.name!r} of type {column.type}: write "
            "the file without it, with pyarrow's table.replace_schema_metadata(None)"
        ) from None
    if noted is None:
        return StructField(column.name, stored)
    changed = (
        isinstance(stored, _PLAIN) and isinstance(noted.dataType, _PLAIN) and type(stored) is not type(noted.dataType)
    )
    return StructField(column.name, stored) if changed else noted


def _names_in_spark(frame: DataFrame, files: Sequence[DataFile]) -> list[tuple[int, str]]:
    """Return (position in `files`, name) for every form in which `_metadata.file_path` may name each file.

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
