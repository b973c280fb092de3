"""The input of a run: opened, checked against the settings, and cut into the pieces that tasks read."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from sparkprep.dedup.keep import keep_column
from sparkprep.dedup.kernels.rank import has_order
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns
from sparkprep.documents.keys import id_column, named_column
from sparkprep.documents.opening import Opened, frame_schema, open_listed, spool_frame
from sparkprep.errors import UserError
from sparkprep.io.listing import list_input
from sparkprep.io.output import OutputFolder
from sparkprep.spark.progress import Progress

DEFAULT_SOURCE = "url"


@dataclass(frozen=True)
class Input:
    """An input that was opened, and which of its columns the run looks at."""

    opened: Opened
    columns: Columns


def open_documents(
    spark: SparkSession,
    source: DataFrame | list[str],
    settings: Settings,
    folder: OutputFolder,
    progress: Progress,
) -> Input:
    """Return a DataFrame or paths as Parquet files of documents.

    Raises UserError where they cannot be read, or lack a column that the settings need.
    """
    if isinstance(source, DataFrame):
        _check_frame(source, settings)
        opened = spool_frame(source, folder, progress, settings.text_column)
    else:
        opened = open_listed(spark, list_input(source, settings.text_column), folder, progress, settings.max_bad)
    return Input(opened, choose_columns(opened.summary.schema, settings))


def choose_columns(schema: pa.Schema, settings: Settings) -> Columns:
    """Return which columns of an input with this schema the settings mean.

    Raises UserError for one that is named and not there, and for one that has no order where an order is needed.
    """
    identifier = id_column(settings.id_column, schema.names)
    source = named_column("--source-column", settings.source_column, DEFAULT_SOURCE, schema.names)
    keep = keep_column(settings)
    if keep is not None and keep not in schema.names:
        there = ", ".join(schema.names)
        raise UserError(f"--keep {settings.keep}: there is no column {keep!r}; columns there are: {there}")
    for flag, column in (("--keep", keep), ("--id-column", identifier)):
        if column is not None and not has_order(schema.field(column).type):
            raise UserError(
                f"{flag}: column {column!r} ({schema.field(column).type}) holds values that have no order; name another"
            )
    if source is not None and not has_order(schema.field(source).type):
        if settings.source_column is not None:
            raise UserError(
                f"--source-column: column {source!r} ({schema.field(source).type}) is no text; name another"
            )
        source = None
    return Columns(settings.text_column, identifier, keep, source)


def _check_frame(source: DataFrame, settings: Settings) -> None:
    """Refuse a DataFrame that cannot be deduplicated before Spark computes it."""
    if len(set(source.columns)) < len(source.columns):
        twice = next(name for name in source.columns if source.columns.count(name) > 1)
        raise UserError(f"the DataFrame: two columns are named '{twice}'; rename one")
    kinds = {field.name: field.dataType for field in source.schema.fields}
    text = settings.text_column
    if text not in kinds:
        raise UserError(
            f"the DataFrame has no column '{text}'; columns there are: {', '.join(kinds) or 'none'}; "
            "name it by the setting text_column"
        )
    if not isinstance(kinds[text], T.StringType):
        raise UserError(f"the DataFrame's column '{text}' is {kinds[text].simpleString()}, not text; cast it to string")
    choose_columns(frame_schema(source), settings)
