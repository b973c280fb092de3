"""The removed documents with their texts and those of their kept twins, as a DataFrame read from a result alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from sparkprep.dedup.audit.places import positions_in_kept
from sparkprep.dedup.columns import MISS, REMOVED_COLUMNS
from sparkprep.dedup.contents import AUDIT_PAIRS, AUDIT_ROWS, KEPT
from sparkprep.dedup.kernels.arrays import I64
from sparkprep.documents.keys import DEFAULT_SOURCE
from sparkprep.errors import UserError
from sparkprep.io.arrow import filtered, plain, plain_type
from sparkprep.io.listing import list_written
from sparkprep.io.parquet import open_parquet
from sparkprep.io.paths import join_path
from sparkprep.spark.tables import spark_schema
from sparkprep.spark.tasks import run_tasks

_ROW = "row"
"""Of audit/pairs: a document's place in the input."""
_TEXT, _KEPT_TEXT = "text", "kept_text"
_TWIN = "twin"
_ROWS = 512
"""Rows with texts that a task holds."""
_FEW = 1_000_000


def removed_with_text(spark: SparkSession, output: str, metrics: Mapping[str, Any]) -> DataFrame:
    """Return `Result.removed_with_text` of a result folder and what its metrics.json holds.

    The driver and each worker hold 16 bytes for each removed document. Raises UserError for a result of a version that
    kept no removed rows.
    """
    parts = metrics["parts"]
    if AUDIT_PAIRS not in parts:
        raise UserError(f"{output}: holds no {AUDIT_ROWS}, being of an earlier version: run again")
    pairs = [join_path(output, AUDIT_PAIRS, part["name"]) for part in parts[AUDIT_PAIRS]]
    rows, twins = _places(pairs)
    kept = positions_in_kept(twins, rows)
    removed = _pairs(spark, pairs)
    if len(rows) <= _FEW:  # then no text is shuffled for it
        removed = F.broadcast(removed)
    read = _Texts(spark, output, metrics)
    theirs = read.at(AUDIT_ROWS, np.arange(len(rows)), {_ROW: rows, _TWIN: kept}, _TEXT, read.sources)
    places = np.unique(kept[twins >= 0])
    joined = theirs.join(removed, _ROW).join(read.at(KEPT, places, {_TWIN: places}, _KEPT_TEXT, []), _TWIN, "left")
    return joined.select(*REMOVED_COLUMNS, _TEXT, *(f"`{name}`" for name in read.sources), _KEPT_TEXT)


@dataclass(frozen=True)
class _Texts:
    """The rows of a result, read with their texts."""

    spark: SparkSession
    output: str
    metrics: Mapping[str, Any]

    @cached_property
    def sources(self) -> list[str]:
        """The columns that tell where a document is from, as far as there are any."""
        names = self._schema.names
        given = self.metrics["settings"].get("source_column")
        taken = (*REMOVED_COLUMNS, _TEXT, _KEPT_TEXT)
        return [name for name in dict.fromkeys((given, DEFAULT_SOURCE)) if name in names and name not in taken]

    @cached_property
    def _schema(self) -> pa.Schema:
        """The documents' own."""
        with open_parquet(list_written(join_path(self.output, KEPT))[0].path) as file:
            return file.schema_arrow

    def at(self, name: str, wanted: I64, numbers: Mapping[str, I64], to: str, others: Sequence[str]) -> DataFrame:
        """Return text and other columns of the rows of a folder at these places in it, ascending, and their numbers."""
        parts = self.metrics["parts"][name]
        paths = [join_path(self.output, name, part["name"]) for part in parts]
        starts = list(accumulate((part["rows"] for part in parts), initial=0))
        columns = [self.metrics["settings"]["text_column"], *others]
        kinds = [pa.string(), *(_spark_type(self._schema.field(other).type) for other in others)]
        fields = [*((each, pa.int64()) for each in numbers), *zip((to, *others), kinds, strict=True)]
        schema = pa.schema(fields)
        shared = self.spark.sparkContext.broadcast((wanted, list(numbers.values())))

        def task(number: int) -> Iterator[pa.RecordBatch]:
            place, (places, values) = starts[number], shared.value
            with open_parquet(paths[number]) as file:
                for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                    low, high = np.searchsorted(places, [place, place + batch.num_rows])
                    is_wanted = np.zeros(batch.num_rows, np.bool_)
                    is_wanted[places[low:high] - place] = True
                    place += batch.num_rows
                    rows = filtered(batch, is_wanted)
                    cast = [_cast(rows[column], kind) for column, kind in zip(columns, kinds, strict=True)]
                    mine = [pa.array(each[low:high]) for each in values]
                    yield pa.RecordBatch.from_arrays([*mine, *cast], schema=schema)

        return run_tasks(self.spark, range(len(paths)), task, spark_schema(schema))


def _places(paths: Sequence[str]) -> tuple[I64, I64]:
    """Return the places in the input of the removed rows, ascending, and of their kept twins, int64 (rows,) each."""
    found = [np.empty((0, 2), np.int64)]
    for path in paths:
        with open_parquet(path) as file:
            for batch in file.iter_batches(columns=[_ROW, "kept_row", "rule"]):
                gone = batch.filter(pc.not_equal(batch["rule"], MISS))
                found.append(np.column_stack([np.asarray(gone[_ROW]), np.asarray(gone["kept_row"])]))
    places = np.concatenate(found)
    rows, twins = places[np.argsort(places[:, 0])].T
    return rows, twins


def _pairs(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """Return REMOVED_COLUMNS of the removed documents, behind their places in the input."""
    with open_parquet(paths[0]) as file:
        kind = _spark_type(file.schema_arrow.field("id").type)
    types = {"id": kind, "kept_id": kind, "jaccard": pa.float64(), "rule": pa.string()}
    schema = pa.schema([(_ROW, pa.int64()), *types.items()])

    def task(number: int) -> Iterator[pa.RecordBatch]:
        with open_parquet(paths[number]) as file:
            for batch in file.iter_batches(columns=schema.names, use_threads=False):
                gone = filtered(batch, np.asarray(pc.not_equal(batch["rule"], MISS)))
                arrays = [_cast(gone[field.name], field.type) for field in schema]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return run_tasks(spark, range(len(paths)), task, spark_schema(schema))


def _spark_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of Arrow by which Spark takes values of a type: text where it has none for them."""
    try:
        return to_arrow_schema(from_arrow_schema(pa.schema([("value", plain_type(kind))]))).field(0).type
    except TypeError:
        return pa.string()


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column in a type of `_spark_type`, of instants to the microsecond."""
    return plain(column).cast(kind, safe=False)
