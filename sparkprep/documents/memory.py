"""Tables that a program holds in its memory, as documents: of pandas, PyArrow, Hugging Face's datasets, or any other
library that hands out Arrow. None of these is imported here: whoever holds such a table has done so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sparkprep.errors import UserError

BATCH_ROWS = 1024
"""Rows that are converted at once: beside the table only they are there twice."""


@dataclass(frozen=True)
class MemoryTable:
    """A table in memory. name: what it is, for messages. batches: yields its rows anew, of this schema."""

    name: str
    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]
    warnings: tuple[str, ...] = ()


def table_in_memory(given: Any) -> MemoryTable | None:
    """Return a table that a program holds as what its rows are read from; None for anything else.

    pandas: an index with a name becomes a column, before the others, as `reset_index` has it; one without a name is
    dropped. A missing value of any column is null. datasets: the rows that the dataset has now, after `select`,
    `filter` or `shuffle`. Raises UserError for a column that Arrow has no type for, and for what is no table yet.
    """
    pandas, datasets = sys.modules.get("pandas"), sys.modules.get("datasets")
    if pandas is not None and isinstance(given, pandas.DataFrame):
        return _of_pandas(given)
    if isinstance(given, pa.Table):
        return MemoryTable("the PyArrow table", given.schema, lambda: iter(given.to_batches(BATCH_ROWS)))
    if datasets is not None and isinstance(given, datasets.Dataset):
        return _of_datasets(given)
    if datasets is not None and isinstance(given, dict) and type(given).__module__.startswith("datasets."):
        split = next(iter(given), "train")
        raise UserError(f"a {type(given).__name__} holds several tables: hand over one, such as documents[{split!r}]")
    if datasets is not None and isinstance(given, datasets.IterableDataset):
        raise UserError("an IterableDataset is no table yet: load it without streaming=True, or write it to Parquet")
    if hasattr(given, "__arrow_c_stream__"):
        return _of_stream(given)
    return None


def _of_stream(given: Any) -> MemoryTable:
    library = type(given).__module__.split(".")[0]

    def reader() -> pa.RecordBatchReader:
        try:
            return pa.RecordBatchReader.from_stream(given)
        except pa.ArrowInvalid as error:  # a stream of values rather than of rows with columns
            raise UserError(
                f"a {type(given).__name__} of {library} is no table: hand over a table, such as a DataFrame, with a "
                "column of texts"
            ) from error

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader():
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)

    return MemoryTable(f"the {library} table", reader().schema, batches)


def _of_datasets(given: Any) -> MemoryTable:
    as_arrow = given.with_format("arrow")  # whose rows come through the dataset's own indices
    schema = given.features.arrow_schema

    def batches() -> Iterator[pa.RecordBatch]:
        for table in as_arrow.iter(BATCH_ROWS):
            for batch in table.select(schema.names).to_batches():
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)

    return MemoryTable("the dataset", schema, batches)


def _of_pandas(given: Any) -> MemoryTable:
    index = given.index
    named = [number for number in range(index.nlevels) if index.names[number] is not None]
    levels = [(str(index.names[number]), number) for number in named]
    names = [*(name for name, _ in levels), *(str(column) for column in given.columns)]
    unnamed_dropped = index.nlevels > len(named) and not _is_counting(given)

    def columns(start: int, end: int) -> list[Any]:
        rows = given.iloc[start:end]
        of_index = [rows.index.get_level_values(number) for _, number in levels]
        return [*of_index, *(rows.iloc[:, number] for number in range(rows.shape[1]))]

    schema = pa.schema([(name, _type_of(name, number, columns, len(given))) for number, name in enumerate(names)])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(given), BATCH_ROWS):
            arrays = [
                _array(name, values, kind)
                for name, kind, values in zip(names, schema.types, columns(start, start + BATCH_ROWS), strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    told = ("the pandas DataFrame has an index without a name, which is left out: name it to keep it as a column",)
    return MemoryTable("the pandas DataFrame", schema, batches, told if unnamed_dropped else ())


def _is_counting(given: Any) -> bool:
    """Whether an index only numbers the rows: as pandas makes it, or what `filter` and `sort` have left of that."""
    return given.index.nlevels == 1 and given.index.dtype.kind in "iu"


def _type_of(name: str, number: int, columns: Callable[[int, int], list[Any]], rows: int) -> pa.DataType:
    """Return the type of a column: by its dtype or, where that says nothing, by its values, some at a time."""
    empty = columns(0, 0)[number]
    if empty.dtype != object:
        return _array(name, empty).type
    found = pa.schema([(name, pa.null())])
    for start in range(0, rows, BATCH_ROWS):
        kind = _array(name, columns(start, start + BATCH_ROWS)[number]).type
        try:
            found = pa.unify_schemas([found, pa.schema([(name, kind)])], promote_options="permissive")
        except pa.ArrowException as error:
            raise _mixed(name, error) from error
    return found.field(0).type


def _array(name: str, values: Any, kind: pa.DataType | None = None) -> pa.Array:
    try:
        made = pa.array(values, type=kind, from_pandas=True)
    except UnicodeEncodeError as error:
        raise _no_utf8(name, values) from error
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise _mixed(name, error) from error
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def _no_utf8(name: str, values: Any) -> UserError:
    """Return the error for a column with half a character: a lone surrogate, which no file can hold."""
    row = next((f", row {label}" for label, value in _labelled(values) if not _is_utf8(value)), "")
    return UserError(
        f"the pandas DataFrame: column '{name}'{row} holds half a character (a lone surrogate), which is no UTF-8: "
        f"mend it, such as by .str.encode('utf-8', 'replace').str.decode('utf-8')"
    )


def _labelled(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield values with the index of the row that each is of; of an index itself, its values alone name the rows."""
    yield from values.items() if hasattr(values, "items") else ((repr(value), value) for value in values)


def _is_utf8(value: Any) -> bool:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _mixed(name: str, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    return UserError(
        f"the pandas DataFrame: column '{name}' has no one type that Arrow knows ({reason}): cast it, such as by "
        f".astype({{{name!r}: str}})"
    )
