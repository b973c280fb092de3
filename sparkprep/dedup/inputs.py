"""The input of a run: opened, and checked against the settings."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from sparkprep.dedup.keep import keep_column
from sparkprep.dedup.settings import Settings
from sparkprep.documents.opening import Opened, open_paths, spool_frame
from sparkprep.documents.parquet.schemas import check_names
from sparkprep.errors import UserError
from sparkprep.io.output import OutputFolder
from sparkprep.spark.progress import Progress


def open_documents(
    spark: SparkSession,
    source: DataFrame | list[str],
    settings: Settings,
    folder: OutputFolder,
    progress: Progress,
) -> Opened:
    """Return a DataFrame or paths as Parquet files of documents.

    Raises UserError where they cannot be read, or lack a column that the settings need.
    """
    if isinstance(source, DataFrame):
        _check_frame(source, settings)
        opened = spool_frame(source, folder, progress, settings.text_column)
    else:
        opened = open_paths(spark, source, folder, progress, settings.text_column, settings.max_bad)
    _check_order(settings, {field.name: pa.types.is_nested(field.type) for field in opened.summary.schema})
    return opened


def _check_frame(source: DataFrame, settings: Settings) -> None:
    """Refuse a DataFrame that cannot be deduplicated before Spark computes it."""
    check_names("the DataFrame", source.columns)
    kinds = {field.name: field.dataType for field in source.schema.fields}
    text = settings.text_column
    if text not in kinds:
        raise UserError(
            f"the DataFrame has no column '{text}'; columns there are: {', '.join(kinds) or 'none'}; "
            "name it by the setting text_column"
        )
    if not isinstance(kinds[text], T.StringType):
        raise UserError(f"the DataFrame's column '{text}' is {kinds[text].simpleString()}, not text; cast it to string")
    _check_order(settings, {c: isinstance(k, T.ArrayType | T.MapType | T.StructType) for c, k in kinds.items()})


def _check_order(settings: Settings, nested: Mapping[str, bool]) -> None:
    """Refuse a keep order that the columns cannot give; nested: whether a column holds lists, maps or structs."""
    keep = keep_column(settings)
    if keep is not None and keep not in nested:
        there = ", ".join(nested)
        raise UserError(f"--keep {settings.keep}: there is no column {keep!r}; columns there are: {there}")
    for flag, column in (("--keep", keep), ("--id-column", settings.id_column)):
        if column is not None and nested.get(column):
            raise UserError(
                f"{flag}: column {column!r} holds lists, maps or structs, which have no order; name another"
            )
