"""Rows about documents, each sent to the task that reads the document: a table whose parts are those of the pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame

from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.spark.session import cores
from sparkprep.spark.tables import WRITTEN_SCHEMA, Table, part_writer, spark_schema

I64 = npt.NDArray[np.int64]

_PIECE = "__piece"


def save(table: Table, documents: Documents, rows: pa.Table) -> None:
    """Write rows that the driver holds, (KEY, ...) in any order, each into the part of its document's piece."""
    keys = np.asarray(rows[KEY])
    order = np.argsort(keys, kind="stable")
    pieces = documents.pieces_of(keys[order])
    rows = rows.take(pa.array(order))
    starts = np.flatnonzero(np.diff(pieces, prepend=-1)).tolist()
    runs = pairwise([*starts, len(pieces)] if starts else [])
    table.save_parts({int(pieces[start]): rows.slice(start, end - start) for start, end in runs})


def write(table: Table, documents: Documents, rows: DataFrame) -> None:
    """Run the Spark job that computes rows (KEY, ...), the columns of the table, and write them in such parts."""
    first_keys, columns = documents.first_keys, table.schema.names

    def address(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            pieces = np.searchsorted(first_keys, np.asarray(batch[KEY]), side="right") - 1
            yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(pieces.astype(np.int32))], [*columns, _PIECE])

    schema = f"{spark_schema(table.schema)}, {_PIECE} int"
    tasks = max(1, min(len(documents.pieces), 4 * cores(rows.sparkSession)))
    addressed = rows.select(*columns).mapInArrow(address, schema).repartition(tasks, _PIECE)
    write_part = part_writer(table)

    def write_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, part in _runs(iter(batches)):
            yield write_part(number, part).as_batch()

    table.collect(addressed.sortWithinPartitions(_PIECE, KEY).mapInArrow(write_pieces, WRITTEN_SCHEMA))


def keys_of(table: Table, number: int) -> I64:
    """Return the keys in the part of a piece, int64 (n,), sorted."""
    parts = [np.asarray(batch[KEY]) for batch in table.part(number, [KEY])]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def is_among(keys: I64, some: I64) -> npt.NDArray[np.bool_]:
    """Return which of the keys, int64 (n,), are among `some`, which are sorted: bool (n,)."""
    if not some.size:
        return np.zeros(len(keys), np.bool_)
    place = np.minimum(np.searchsorted(some, keys), some.size - 1)
    among: npt.NDArray[np.bool_] = some[place] == keys
    return among


def _runs(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Iterator[pa.RecordBatch]]]:
    """Yield (piece, its batches) of batches sorted by piece; each must be used up before the next."""
    waiting: list[pa.RecordBatch] = []

    def pieces_of(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        numbers = np.asarray(batch[_PIECE])
        cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        return [batch.slice(start, end - start) for start, end in pairwise(cuts) if end > start]

    def fill() -> bool:
        while not waiting:
            batch = next(batches, None)
            if batch is None:
                return False
            waiting.extend(pieces_of(batch))
        return True

    def of_piece(number: int) -> Iterator[pa.RecordBatch]:
        while fill() and waiting[0][_PIECE][0].as_py() == number:
            yield waiting.pop(0).drop_columns([_PIECE])

    while fill():
        number = waiting[0][_PIECE][0].as_py()
        yield number, of_piece(number)
