"""Any input as Parquet files of documents: looked at, and written anew first where it is something else."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from sparkprep.documents.jsonl.max_bad import parse_max_bad
from sparkprep.documents.jsonl.spool import SpoolSummary, spool
from sparkprep.documents.jsonl.tasks import JsonlSettings
from sparkprep.documents.memory import MemoryTable, table_in_memory
from sparkprep.documents.parquet.footers import InputSummary, summarise
from sparkprep.documents.parquet.pieces import LEAST_PIECE_BYTES
from sparkprep.documents.parquet.schemas import check_names, check_text_column
from sparkprep.errors import UserError, argument
from sparkprep.io.files import make_folder
from sparkprep.io.formats import PARQUET
from sparkprep.io.left_out import LeftOut
from sparkprep.io.listing import Listing, list_written
from sparkprep.io.output import OutputFolder
from sparkprep.io.parquet import write_parquet
from sparkprep.io.paths import join_path, normalise, scheme_of
from sparkprep.spark.failures import explained
from sparkprep.spark.progress import Progress
from sparkprep.spark.shared import refuse_unseen
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import Form, Table

_UNPACKED = {"jsonl.gz": 3.0, "jsonl.zst": 4.0}
"""Bytes of documents in a byte of such a file, about: for the first estimate of a run alone."""

T = TypeVar("T")

Source = DataFrame | MemoryTable | list[str]
"""Documents as they come: a table of Spark's or of the program's own, or paths."""


class ArrowTable(Protocol):
    """A table that hands out Arrow, as those of PyArrow, pandas and Polars do."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return its rows as a stream of Arrow."""


class HuggingFaceDataset(Protocol):
    """A `datasets.Dataset`."""

    @property
    def features(self) -> Any:
        """Its columns."""

    def with_format(self, type: str | None = None) -> Any:
        """Return it with its rows in another form."""


Given = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | DataFrame | ArrowTable | HuggingFaceDataset
"""Documents as a program may hand them over."""


def source_of(given: Given | Source) -> Source:
    """Return what a program has handed over as documents. Raises UserError for what is none."""
    if isinstance(given, DataFrame | MemoryTable):
        return given
    if isinstance(given, str | os.PathLike):
        return [os.fspath(given)]
    table = table_in_memory(given)
    if table is not None:
        return table
    if isinstance(given, Sequence) and all(isinstance(path, str | os.PathLike) for path in given):
        return [os.fspath(path) for path in given]
    raise UserError(
        f"a {type(given).__module__.split('.')[0]} {type(given).__name__} is no documents: hand over paths, a "
        "DataFrame of Spark or pandas, a PyArrow table or a dataset of Hugging Face"
    )


def temporary_output() -> str:
    """Return the place of a result that goes when Python exits."""
    holder = tempfile.mkdtemp(prefix="sparkprep-")
    atexit.register(shutil.rmtree, holder, ignore_errors=True)
    return os.path.join(holder, "result")


def place_of_output(output: str | os.PathLike[str] | None, resume: bool = False) -> str | os.PathLike[str]:
    """Return the place of a result: the one given, or a temporary one, which cannot be resumed (UserError)."""
    if output is None and resume:
        raise UserError(
            f"{argument('resume', True)} goes on from what lies beside an output: name {argument('output')}"
        )
    return temporary_output() if output is None else output


def name_of(source: DataFrame | MemoryTable) -> str:
    """Return what held documents that are no files, for the figures of a run: "a DataFrame", "a pandas DataFrame"."""
    return source.name.replace("the ", "a ", 1) if isinstance(source, MemoryTable) else "a DataFrame"


def paths_of(source: Source) -> list[str]:
    """Return the paths that documents are read from, for checks against those that are written to."""
    return source if isinstance(source, list) else []


@dataclass
class Opened:
    """An input as Parquet files, looked at."""

    listing: Listing
    """the files of the input that hold documents, or those that a DataFrame was written to"""
    summary: InputSummary
    rejected: int = 0
    """bad lines, which lie in a folder of their own in the output folder"""
    warnings: list[str] = field(default_factory=list)


class ReadSettings(Protocol):
    """What a job's settings say of how documents are read."""

    @property
    def text_column(self) -> str: ...

    @property
    def max_bad(self) -> str: ...


def open_source(
    spark: SparkSession,
    source: Source,
    listing: Listing | None,
    settings: ReadSettings,
    folder: OutputFolder,
    progress: Progress,
    stages: Stages,
    choose: Callable[[pa.Schema], T],
) -> tuple[Opened, T]:
    """Open documents, however they come, and choose the columns that the settings mean.

    listing: of the files that `source` names, None where it is a table, whose columns are chosen before Spark computes
    it. Raises UserError as `open_listed`, `spool_table` and `choose`.
    """
    if listing is not None:
        opened = open_listed(spark, listing, folder, progress, settings.max_bad, stages=stages)
    else:
        assert not isinstance(source, list)
        choose(check_table(source, settings.text_column))
        opened = spool_table(spark, source, folder, progress, settings.text_column)
    return opened, choose(opened.summary.schema)


def open_listed(
    spark: SparkSession,
    listing: Listing,
    folder: OutputFolder,
    progress: Progress,
    max_bad: str,
    columns: Sequence[str] | None = None,
    rejected_folder: str = "rejected",
    *,
    stages: Stages,
) -> Opened:
    """Open Parquet files as they lie; JSON Lines as Parquet in the folder's scratch, the bad lines in a folder of it.

    columns: those that will be read besides the text; None: all. stages: those of the run. Raises UserError where no
    file holds a document.
    """
    refuse_unseen(spark, listing.files, [folder.work, folder.scratch])
    text_column = listing.text_column
    if listing.files[0].format == PARQUET:
        summary = summarise(listing.files, text_column, columns)
        listing = listing.without(summary.without_rows)
        return Opened(listing, summary, warnings=[*listing.warnings, *summary.widened])
    progress.expect(int(sum(file.size * _UNPACKED.get(file.format, 1.0) for file in listing.files)), reading=True)
    options = JsonlSettings(text_column=text_column, max_bad=parse_max_bad(max_bad))
    spooled, rejected = _spool_folder(folder), join_path(folder.work, rejected_folder)

    def read() -> SpoolSummary:
        with explained(), progress.stage("read") as stage:
            result = spool(spark, listing.files, spooled, rejected, options)
            listing.check_unchanged()
            stage.documents = result.documents
        return result

    result = stages.once("read", read, (SpoolSummary, LeftOut), folders=(spooled, rejected))
    listing = listing.without(result.left_out)
    warnings = [*listing.warnings, *(f"rejected {line}" for line in result.first_rejected)]
    warnings += [f"column {c} holds values of several kinds: kept as text" for c in result.as_text]
    return Opened(listing, summarise(list_written(spooled), text_column, columns), result.rejected, warnings)


def check_table(source: DataFrame | MemoryTable, text_column: str) -> pa.Schema:
    """Return the schema of a table that is no file. Raises UserError where it cannot be read as documents."""
    name = source.name if isinstance(source, MemoryTable) else "the DataFrame"
    schema = source.schema if isinstance(source, MemoryTable) else frame_schema(source)
    check_names(name, schema.names)
    check_text_column(name, schema, text_column)
    return schema


def spool_table(
    spark: SparkSession,
    source: DataFrame | MemoryTable,
    folder: OutputFolder,
    progress: Progress,
    text_column: str,
) -> Opened:
    """Open a table that is no file, written as Parquet first."""
    check_table(source, text_column)
    if isinstance(source, DataFrame):
        return spool_frame(source, folder, progress, text_column)
    refuse_unseen(spark, [], [folder.work, folder.scratch])
    make_folder(_spool_folder(folder))
    path = join_path(_spool_folder(folder), Form("snappy").name(0))
    with progress.stage("read") as stage:
        try:
            # In row groups that are worth a task each: there is one file.
            written = write_parquet(
                path, source.batches(), source.schema, plain=[text_column], row_group_bytes=LEAST_PIECE_BYTES
            )
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
            raise UserError(f"{source.name} cannot be written as Parquet: {error}; cast or drop that column") from error
        stage.documents = written.rows
    files = list_written(_spool_folder(folder))
    return Opened(Listing(files), summarise(files, text_column), warnings=list(source.warnings))


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
