"""Any input as Parquet files of documents: looked at, and written anew first where it is something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from sparkprep.documents.jsonl.max_bad import parse_max_bad
from sparkprep.documents.jsonl.spool import spool
from sparkprep.documents.jsonl.tasks import JsonlSettings
from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.errors import UserError
from sparkprep.io.formats import PARQUET
from sparkprep.io.listing import Listing, list_written
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path, normalise, scheme_of
from sparkprep.spark.failures import explained
from sparkprep.spark.progress import Progress
from sparkprep.spark.shared import refuse_unseen
from sparkprep.spark.tables import Form, Table


@dataclass
class Opened:
    """An input as Parquet files, looked at."""

    listing: Listing
    """the files of the input that hold documents, or those that a DataFrame was written to"""
    summary: InputSummary
    rejected: int = 0
    """bad lines, which lie in a folder of their own in the output folder"""
    warnings: list[str] = field(default_factory=list)


def open_listed(
    spark: SparkSession,
    listing: Listing,
    folder: OutputFolder,
    progress: Progress,
    max_bad: str,
    columns: Sequence[str] | None = None,
    rejected_folder: str = "rejected",
) -> Opened:
    """Open Parquet files as they lie; JSON Lines as Parquet in the folder's scratch, the bad lines in a folder of it.

    columns: those that will be read besides the text; None: all. Raises UserError where no file holds a document.
    """
    refuse_unseen(spark, listing.files, [folder.work, folder.scratch])
    text_column = listing.text_column
    if listing.files[0].format == PARQUET:
        summary = summarise(listing.files, text_column, columns)
        listing = listing.without(summary.without_rows)
        return Opened(listing, summary, warnings=[*listing.warnings, *summary.widened])
    with explained(), progress.stage("read") as stage:
        options = JsonlSettings(text_column=text_column, max_bad=parse_max_bad(max_bad))
        spooled = _spool_folder(folder)
        result = spool(spark, listing.files, spooled, join_path(folder.work, rejected_folder), options)
        listing.check_unchanged()
        stage.documents = result.documents
    listing = listing.without(result.left_out)
    warnings = [*listing.warnings, *(f"rejected {line}" for line in result.first_rejected)]
    warnings += [f"column {c} holds values of several kinds: kept as text" for c in result.as_text]
    return Opened(listing, summarise(list_written(spooled), text_column, columns), result.rejected, warnings)


def spool_frame(source: DataFrame, folder: OutputFolder, progress: Progress, text_column: str) -> Opened:
    """Open a DataFrame, written as Parquet first: it is computed once, may be costly, or not be the same twice."""
    spooled = _spool_folder(folder)
    refuse_unseen(source.sparkSession, [], [folder.work, folder.scratch])
    table = Table(spooled, frame_schema(source), Form("snappy", (text_column,)))
    # By numbers: PySpark looks up the columns that go to tasks by name, which dots and names alike mislead.
    numbered = source.toDF(*(f"c{number}" for number in range(len(source.columns))))
    with explained(_files_behind(source)), progress.stage("read"):
        table.write(numbered, prepare=lambda batch: pa.RecordBatch.from_arrays(batch.columns, table.schema.names))
    if not table.rows:
        table.save_empty()
    files = list_written(spooled)
    return Opened(Listing(files), summarise(files, text_column))


def frame_schema(source: DataFrame) -> pa.Schema:
    """Return the schema of a DataFrame in Arrow's words. Raises UserError where it has none."""
    try:
        schema: pa.Schema = to_arrow_schema(source.schema)
    except TypeError as error:
        raise UserError(f"the DataFrame has a column that Arrow does not know ({error}); cast or drop it") from error
    return schema


def _files_behind(source: DataFrame) -> list[str]:
    """Return the files that a DataFrame reads, as far as Spark knows them: to be named where one of them is damaged."""
    names = [unquote(name) for name in source.inputFiles()]
    return [normalise(name) if scheme_of(name) == "file" else name for name in names]


def _spool_folder(folder: OutputFolder) -> str:
    """Return where the documents lie that were written anew, of any job."""
    return join_path(folder.scratch, "documents")
