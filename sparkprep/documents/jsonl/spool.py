"""JSON Lines documents: checked line by line in Python tasks and spooled to Parquet once, with an exact schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.documents.jsonl.kinds import STRING, Kind
from sparkprep.documents.jsonl.lines import DamagedFile, Split, parse, plan_splits, read_lines
from sparkprep.documents.jsonl.max_bad import MaxBad
from sparkprep.documents.parquet.schemas import check_names
from sparkprep.errors import UserError
from sparkprep.io.listing import DataFile, list_files
from sparkprep.io.paths import filesystem, spark_target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType

    Task = Callable[[int], Iterator[pa.RecordBatch]]

_MAX_COLUMNS = 5_000
_SHOWN_BAD_LINES = 5
_MAX_ROWS_IN_BATCH = 10_000


@dataclass(frozen=True)
class JsonlSettings:
    """How JSON Lines are read.

    Sizes in bytes: `split_bytes` of a plain file for each task, `line_limit` for the longest line, `batch_bytes` of
    JSON for each Arrow batch handed to Spark (a longer line makes a batch of its own).
    """

    text_column: str = "text"
    max_bad: MaxBad = field(default_factory=MaxBad)
    split_bytes: int = 32 << 20
    line_limit: int = 256 << 20
    batch_bytes: int = 4 << 20


@dataclass(frozen=True)
class SpoolSummary:
    """What was read and written; documents + rejected are all lines but the blank ones.

    as_text: columns (or places in them) kept as JSON text because no one type holds their
    values. first_rejected: "file:line: reason" of the first few bad lines.
    """

    documents: int
    rejected: int
    as_text: tuple[str, ...]
    first_rejected: tuple[str, ...]


@dataclass(frozen=True)
class _SplitSurvey:
    """What the first pass counted in one split.

    lines: all of them, blank ones included. first_bad: (line in the split from 0, reason).
    """

    split: Split
    lines: int
    documents: int
    bad: int
    first_bad: tuple[tuple[int, str], ...]
    kind: Kind


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
    than `settings.max_bad`, a damaged compressed file, no text column in any line, and columns that Spark cannot tell
    apart.
    """
    settings = settings or JsonlSettings()
    groups = plan_splits(files, settings.split_bytes)
    surveys = _survey_all(spark, groups, settings)
    first_lines = _first_lines(surveys)
    documents, bad = sum(s.documents for s in surveys), sum(s.bad for s in surveys)
    first_rejected = _first_rejected(surveys, first_lines)
    if not settings.max_bad.allows(bad, documents + bad):
        shown = "; ".join(first_rejected)
        raise UserError(
            f"{bad:,} of {documents + bad:,} lines are not usable documents, more than --max-bad {settings.max_bad} "
            f"allows. The first: {shown}. Mend them or raise --max-bad"
        )
    kind = _merge(surveys, documents, settings)

    columns = kind.fields
    schema = pa.schema([pa.field(name, column.arrow_type()) for name, column in columns.items()])
    writer = _documents_task(groups, schema, columns, settings)
    _write(_mapped(spark, len(groups), writer, schema), target_dir)
    _check_written(target_dir, documents)
    if bad:
        damaged = {(survey.split.path, survey.split.start) for survey in surveys if survey.bad}
        parts = [[s for s in group if (s.path, s.start) in damaged] for group in groups]
        parts = [group for group in parts if group]
        rejects = _rejects_task(parts, first_lines, settings)
        _write(_mapped(spark, len(parts), rejects, _REJECTED), rejected_dir)
        _check_written(rejected_dir, bad)
    return SpoolSummary(
        documents=documents,
        rejected=bad,
        as_text=tuple(kind.text_paths()),
        first_rejected=tuple(first_rejected),
    )


_SURVEY = pa.schema([("group", pa.int64()), ("result", pa.binary())])
_REJECTED = pa.schema([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("content", pa.binary())])


def _survey_all(spark: SparkSession, groups: list[list[Split]], settings: JsonlSettings) -> list[_SplitSurvey]:
    """Make the first pass; return one survey for each split, in the order of files.

    Raises UserError for a damaged file.
    """
    rows = _mapped(spark, len(groups), _survey_task(groups, settings), _SURVEY).collect()
    results = {row["group"]: orjson.loads(bytes(row["result"])) for row in rows}
    surveys = []
    for number, group in enumerate(groups):
        for split, result in zip(group, results[number], strict=True):
            if isinstance(result, str):
                raise UserError(f"{split.path}: {result}; restore the file or leave it out")
            lines, documents, bad, first_bad, form = result
            first = tuple((line, why) for line, why in first_bad)
            surveys.append(_SplitSurvey(split, lines, documents, bad, first, Kind.load(form)))
    return surveys


def _survey_task(groups: list[list[Split]], settings: JsonlSettings) -> Task:
    def survey(split: Split) -> Any:
        lines = documents = 0
        bad: list[tuple[int, str]] = []
        bad_count = 0
        kind = Kind()
        try:
            for record, why, _ in _records(split, settings):
                lines += 1
                if record is not None:
                    documents += 1
                    kind.observe_fields(record)
                    record = None  # lest a long record is held while the next one is read
                    if len(kind.fields) > _MAX_COLUMNS:
                        return f"over {_MAX_COLUMNS:,} different columns by line {lines:,} of this part; not a table"
                elif why:
                    bad_count += 1
                    if len(bad) < _SHOWN_BAD_LINES:
                        bad.append((lines - 1, why))
        except (DamagedFile, UserError) as error:
            # Told as a result: of a raised error Spark would make retries and a long trace.
            return str(error).removeprefix(f"{split.path}: ")
        return lines, documents, bad_count, bad, kind.dump()

    def task(number: int) -> Iterator[pa.RecordBatch]:
        result = orjson.dumps([survey(split) for split in groups[number]])
        yield pa.RecordBatch.from_pydict({"group": [number], "result": [result]}, _SURVEY)

    return task


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
            for record, _, length in _records(split, settings):
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
                _, why = _judge(split, line, length, settings)
                if why:
                    row = {"file": [split.path], "line": [first + index], "reason": [why], "content": [line]}
                    yield pa.RecordBatch.from_pydict(row, _REJECTED)

    return task


def _judge(split: Split, line: bytes, length: int, settings: JsonlSettings) -> tuple[dict[str, Any] | None, str]:
    """Return (record, "") for a document, (None, reason) for a bad line, (None, "") for a blank one."""
    if length <= settings.line_limit and not line.strip():
        return None, ""
    record, why = parse(line, length, settings.text_column, settings.line_limit)
    if record is not None:
        for column, value in split.folder_values.items():
            record.setdefault(column, value)
    return record, why


def _records(split: Split, settings: JsonlSettings) -> Iterator[tuple[dict[str, Any] | None, str, int]]:
    """Yield (record, reason, bytes) for each line, as `_judge` has it; the line itself is let go as early as can be."""
    for line, length in read_lines(split, settings.line_limit):
        yield *_judge(split, line, length, settings), length


def _first_lines(surveys: Sequence[_SplitSurvey]) -> dict[tuple[str, int], int]:
    """Return the line of its file, from 1, at which each split begins; a split is named by path and first byte."""
    first: dict[tuple[str, int], int] = {}
    following: dict[str, int] = {}
    for survey in surveys:
        line = following.get(survey.split.path, 1)
        first[survey.split.path, survey.split.start] = line
        following[survey.split.path] = line + survey.lines
    return first


def _first_rejected(surveys: Sequence[_SplitSurvey], first_lines: dict[tuple[str, int], int]) -> list[str]:
    shown = []
    for survey in surveys:
        path = survey.split.path
        shown += [f"{path}:{first_lines[path, survey.split.start] + index}: {why}" for index, why in survey.first_bad]
        if len(shown) >= _SHOWN_BAD_LINES:
            break
    return shown[:_SHOWN_BAD_LINES]


def _merge(surveys: Sequence[_SplitSurvey], documents: int, settings: JsonlSettings) -> Kind:
    """Return the kinds of all columns, in the order of their first appearance, checked for what Spark cannot hold."""
    merged = Kind()
    for survey in surveys:
        before = len(merged.fields)
        merged.merge(survey.kind)
        if len(merged.fields) > before:
            check_names(survey.split.path, list(merged.fields))
    if len(merged.fields) > _MAX_COLUMNS:
        raise UserError(
            f"the input has over {_MAX_COLUMNS:,} different columns, which is no table; rename or drop some"
        )
    if not documents:
        merged.fields.setdefault(settings.text_column, Kind()).flags |= STRING
    if settings.text_column not in merged.fields:
        raise UserError(
            f"{surveys[0].split.path}: no line has a column '{settings.text_column}'; columns there are: "
            f"{', '.join(list(merged.fields)[:50]) or 'none'}; name it by --text-column"
        )
    return merged


def _mapped(spark: SparkSession, tasks: int, task: Task, schema: pa.Schema) -> DataFrame:
    """Return a DataFrame of what `task` yields for 0..tasks-1, each number in a partition of its own."""

    from pyspark.sql.types import StructField, StructType

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from task(number)

    fields = [StructField(column.name, spark_type(column.type)) for column in schema]
    return spark.range(0, tasks, 1, numPartitions=tasks).mapInArrow(run, StructType(fields))


def spark_type(kind: pa.DataType) -> DataType:
    """Return the Spark type of the few Arrow types that JSON columns have."""
    from pyspark.sql import types as T

    if pa.types.is_struct(kind):
        return T.StructType([T.StructField(part.name, spark_type(part.type)) for part in kind])
    if pa.types.is_list(kind):
        return T.ArrayType(spark_type(kind.value_type))
    simple = {
        pa.string(): T.StringType,
        pa.int64(): T.LongType,
        pa.float64(): T.DoubleType,
        pa.bool_(): T.BooleanType,
        pa.binary(): T.BinaryType,
    }
    result: DataType = simple[kind]()
    return result


def _write(frame: DataFrame, folder: str) -> None:
    frame.write.option("compression", "snappy").parquet(spark_target(folder))


def _check_written(folder: str, expected: int) -> None:
    """Compare the rows in the footers of what was written with what the first pass counted."""
    written = 0
    for file in list_files([folder]):
        system, inner = filesystem(file.path)
        written += pq.read_metadata(inner, filesystem=system).num_rows
    if written != expected:
        raise UserError(
            f"the input changed while it was read: {expected:,} lines at first, {written:,} when they were written; "
            "run again when nothing writes to it"
        )
