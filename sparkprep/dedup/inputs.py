"""The input of a run: opened, checked against the settings, and cut into the pieces that tasks read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import pyarrow as pa
from pyspark.sql import SparkSession

from sparkprep.dedup.keep import named_columns
from sparkprep.dedup.kernels.rank import has_order
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns
from sparkprep.documents.opening import Opened, Source, open_source
from sparkprep.errors import UserError, argument
from sparkprep.io.listing import list_input
from sparkprep.io.output import OutputFolder
from sparkprep.spark.progress import Progress
from sparkprep.spark.session import cores
from sparkprep.spark.stages import Stages


@dataclass(frozen=True)
class Input:
    """An input that was opened, which of its columns the run looks at, and the run's stages."""

    opened: Opened
    columns: Columns
    stages: Stages


def open_documents(
    spark: SparkSession,
    source: Source,
    settings: Settings,
    thresholds: Sequence[float],
    folder: OutputFolder,
    progress: Progress,
    single_file: str | None = None,
    is_noted: bool = True,
) -> Input:
    """Return documents, however they come, as Parquet files, and the stages of the run that is to work on them.

    thresholds: of the run, where it was asked for several. is_noted: whether a later run may go on from this one.
    Raises UserError where they cannot be read, or lack a column that the settings need, and where an earlier run that
    is to be gone on from has worked on others.
    """
    listing = list_input(source, settings.text_column) if isinstance(source, list) else None
    options = {**asdict(settings), "single_file": single_file}
    if thresholds:
        options["threshold"] = list(thresholds)
    noted = listing if is_noted else None
    stages = Stages(folder, progress, "dedup", options, noted, cores(spark), free=("driver_budget",))
    choose = partial(choose_columns, settings=settings)
    return Input(*open_source(spark, source, listing, settings, folder, progress, stages, choose), stages)


def choose_columns(schema: pa.Schema, settings: Settings) -> Columns:
    """Return which columns of an input with this schema the settings mean.

    Raises UserError for one that is named and not there, and for one that has no order where an order is needed.
    """
    identifier, source, keep = named_columns(settings, schema.names)
    for setting, column in (("keep", keep), ("id_column", identifier)):
        if column is not None and not has_order(schema.field(column).type):
            kind = schema.field(column).type
            told = f"{argument(setting)}: column {column!r} ({kind})"
            raise UserError(f"{told} holds values that have no order; name another")
    if source is not None and not has_order(schema.field(source).type):
        if settings.source_column is not None:
            kind = schema.field(source).type
            raise UserError(f"{argument('source_column')}: column {source!r} ({kind}) is no text; name another")
        source = None
    return Columns(settings.text_column, identifier, keep, source)
