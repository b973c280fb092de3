"""JSON Lines documents: checked line by line in Python tasks and spooled to Parquet once, with an exact schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from sparkprep.documents.jsonl.kinds import Kind
from sparkprep.documents.jsonl.lines import Split, plan_splits, read_lines
from sparkprep.documents.jsonl.survey import first_line_numbers, first_rejected_lines, merge_kinds, survey_all
from sparkprep.documents.jsonl.tasks import JsonlSettings, judge, records_of
from sparkprep.documents.jsonl.usable import set_aside
from sparkprep.errors import UserError, argument
from sparkprep.io.left_out import LeftOut, nothing_left
from sparkprep.io.listing import DataFile
from sparkprep.spark.tables import RESULT, Table
from sparkprep.spark.tasks import Task

_MAX_ROWS_IN_BATCH = 10_000
_REJECTED = pa.schema([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("content", pa.binary())])


@dataclass(frozen=True)
class SpoolSummary:
    """What was read and written; documents + rejected are all lines but the blank ones.

    as_text: columns (or places in them) kept as JSON text because no one type holds their values.
    first_rejected: "file:line: reason" of the first few bad lines. left_out: files that hold no documents.
    """

    documents: int
    rejected: int
    as_text: tuple[str, ...]
    first_rejected: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


def spool(
    spark: SparkSession,
    files: Sequence[DataFile],
    target_dir: str,
    rejected_dir: str,
    settings: JsonlSettings | None = None,
) -> SpoolSummary:
    """Write the documents of JSON Lines `files` to `target_dir` as Parquet (snappy), in the order of files and lines.

    Two passes: the first checks every line and learns the schema from all of them, the second writes. Lines that are
    not documents go to `rejected_dir` (Parquet: file, line from 1, reason, content), made only if there are any.
    Columns named by folders (`lang=en/`) are added. Raises UserError, before anything is written, for more bad lines
    than `settings.max_bad`, a damaged compressed file, a file or all files without documents (`set_aside`), and columns
    that Spark cannot tell apart.
    """
    settings = settings or JsonlSettings()
    groups = plan_splits(files, settings.split_bytes)
    surveys, left_out = set_aside(survey_all(spark, groups, settings), files, settings.text_column)
    read = {survey.split.path for survey in surveys}
    groups = [group for each in groups if (group := [split for split in each if split.path in read])]
    first_lines = first_line_numbers(surveys)
    documents, bad = sum(s.documents for s in surveys), sum(s.bad for s in surveys)
    if not documents:
        raise nothing_left(left_out)
    first_rejected = first_rejected_lines(surveys, first_lines)
    if not settings.max_bad.allows(bad, documents + bad):
        shown = "; ".join(first_rejected)
        raise UserError(
            f"{bad:,} of {documents + bad:,} lines are not usable documents, more than "
            f"{argument('max_bad', str(settings.max_bad))} allows. The first: {shown}. Mend them or raise it"
        )
    kind = merge_kinds(surveys, settings)

    columns = kind.fields
    schema = pa.schema([pa.field(name, column.arrow_type()) for name, column in columns.items()])
    writer = _documents_task(groups, schema, columns, settings)
    _written(target_dir, schema, spark, len(groups), writer, documents)
    if bad:
        damaged = {(survey.split.path, survey.split.start) for survey in surveys if survey.bad}
        parts = [[s for s in group if (s.path, s.start) in damaged] for group in groups]
        parts = [group for group in parts if group]
        rejects = _rejects_task(parts, first_lines, settings)
        _written(rejected_dir, _REJECTED, spark, len(parts), rejects, bad)
    return SpoolSummary(
        documents=documents,
        rejected=bad,
        as_text=tuple(kind.text_paths()),
        first_rejected=tuple(first_rejected),
        left_out=tuple(left_out),
    )


def _documents_task(
    groups: list[list[Split]], schema: pa.Schema, columns: dict[str, Kind], settings: JsonlSettings
) -> Task:
    converters = {name: column.converter() for name, column in columns.items()}

    def batch(records: list[dict[str, Any]]) -> pa.RecordBatch:
        """Return the records as Arrow; empties the list, so that the texts are held once while Spark takes them."""
        arrays = []
        for column in schema:
            values = [record.get(column.name) for record in records]
            convert = converters[column.name]
            arrays.append(pa.array([convert(v) for v in values] if convert else values, column.type))
        records.clear()
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def task(number: int) -> Iterator[pa.RecordBatch]:
        records: list[dict[str, Any]] = []
        held = 0
        for split in groups[number]:
            for record, _, length in records_of(split, settings):
                if record is None:
                    continue
                if records and held + length > settings.batch_bytes:
                    yield batch(records)
                    held = 0
                records.append(record)
                held += length
                record = None  # lest a long record is held while the next one is read
                if held > settings.batch_bytes or len(records) >= _MAX_ROWS_IN_BATCH:
                    yield batch(records)
                    held = 0
        if records:
            yield batch(records)

    return task


def _rejects_task(groups: list[list[Split]], first_lines: dict[tuple[str, int], int], settings: JsonlSettings) -> Task:
    def task(number: int) -> Iterator[pa.RecordBatch]:
        for split in groups[number]:
            first = first_lines[split.path, split.start]
            for index, (line, length) in enumerate(read_lines(split, settings.line_limit)):
                _, why = judge(split, line, length, settings)
                if why:
                    row = {"file": [split.path], "line": [first + index], "reason": [why], "content": [line]}
                    yield pa.RecordBatch.from_pydict(row, _REJECTED)

    return task


def _written(folder: str, schema: pa.Schema, spark: SparkSession, tasks: int, task: Task, expected: int) -> None:
    """Write what the tasks yield, a part each, and compare the rows with what the first pass counted."""
    table = Table(folder, schema, RESULT)
    table.write_tasks(spark, range(tasks), task)
    if table.rows != expected:
        raise UserError(
            f"the input changed while it was read: {expected:,} lines at first, {table.rows:,} when they were written; "
            "run again when nothing writes to it"
        )
