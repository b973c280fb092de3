"""Documents -> one small row each: signature bands, hashes, sizes and what the keep order needs (Spark stage).

The texts are read here, once, inside `mapInArrow`; every later stage but the exact check works on these rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkprep.dedup.keep import keep_column
from sparkprep.dedup.kernels.band_keys import band_keys
from sparkprep.dedup.kernels.sketch import sketch
from sparkprep.dedup.settings import Settings
from sparkprep.documents.batches import LONG_TEXT, batch_settings, one_by_one
from sparkprep.documents.keys import KEY, identifier, quoted
from sparkprep.spark.session import spark_conf

NULL, EMPTY, NO_WORD, FINE = 0, 1, 2, 3
_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"


@dataclass(frozen=True)
class Tally:
    """Counts over all documents."""

    documents: int
    text_bytes: int
    null_text: int
    empty_text: int
    no_words: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def _row_hash(documents: DataFrame) -> Column:
    """A hash of all columns; xxhash64 knows no maps, so they go in as JSON."""

    def hashable(field: T.StructField) -> Column:
        column = F.col(quoted(field.name))
        return F.to_json(column) if "map<" in field.dataType.simpleString() else column

    return F.xxhash64(*(hashable(f) for f in documents.schema.fields if f.name != KEY))


def _without_nan(documents: DataFrame, name: str) -> Column:
    """A column whose NaN are null: Spark and Arrow disagree about where NaN belongs in an order."""
    column = F.col(quoted(name))
    if isinstance(documents.schema[name].dataType, T.FloatType | T.DoubleType):
        return F.when(~F.isnan(column), column)
    return column


def _prepared(documents: DataFrame, settings: Settings) -> DataFrame:
    """The columns that leave the JVM for the sketching, `text` complete."""
    known = settings.id_column in documents.columns
    keep = keep_column(settings)
    source, name = settings.source_column, identifier(documents, settings.id_column, settings.text_column)
    return documents.select(
        KEY,
        F.col(quoted(settings.text_column)).alias("text"),
        name.alias("id"),
        *([_without_nan(documents, keep).alias("keep")] if keep else []),
        *([F.col(quoted(source)).cast("string").alias("source")] if source in documents.columns else []),
        _row_hash(documents).alias("row_hash"),
        # A missing identifier is no identifier that repeats.
        (F.when(name.isNotNull(), F.xxhash64(name)) if known else F.lit(None).cast("long")).alias("id_hash"),
    )


def _signature_schema(prepared: DataFrame) -> T.StructType:
    passed = [f for f in prepared.schema.fields if f.name not in ("text", "is_long")]
    counts = [T.StructField(n, T.LongType()) for n in ("bytes", "chars", "shingles", "whole", "state")]
    return T.StructType(
        [*passed, *counts, T.StructField("bands", T.BinaryType()), T.StructField("tiny", T.BinaryType())]
    )


def fixed_binary(values: npt.NDArray[np.generic]) -> pa.Array:
    """An Arrow binary array from the rows of a 2-d array."""
    rows = np.ascontiguousarray(values)
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(rows.dtype.itemsize * rows.shape[1])
    return pa.Array.from_buffers(pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(rows)])


def source_of(values: pa.Array) -> pa.Array:
    """The lower-cased host of each URL; what is no URL stands for itself."""
    host = pc.struct_field(pc.extract_regex(values, _HOST), "host")
    return pc.if_else(pc.fill_null(pc.not_equal(host, ""), False), pc.utf8_lower(host), values)


def sketch_batches(
    batches: Iterator[pa.RecordBatch], width: int, seed: int, slots: npt.NDArray[np.int64]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if "is_long" in batch.schema.names:
            if pc.any(batch["is_long"]).as_py():  # to filter is to copy all texts
                batch = batch.filter(pc.invert(batch["is_long"]))
            batch = batch.drop_columns(["is_long"])
        text = batch["text"]
        sketches = sketch(text, width=width, seed=seed)
        keys = np.empty((len(text), slots.shape[0]), np.uint64)
        band_keys(sketches.signatures, slots, keys)
        size = pc.fill_null(pc.binary_length(text), 0)
        state = np.where(sketches.shingles > 0, FINE, NO_WORD)
        state = np.where(np.asarray(size) == 0, EMPTY, state)
        state = np.where(np.asarray(text.is_null()), NULL, state)
        passed = {name: batch[name] for name in batch.schema.names if name != "text"}
        if "source" in passed:
            passed["source"] = source_of(passed["source"])
        yield pa.RecordBatch.from_pydict(
            {
                **passed,
                "bytes": size.cast(pa.int64()),
                "chars": pc.fill_null(pc.utf8_length(text), 0).cast(pa.int64()),
                "shingles": sketches.shingles,
                "whole": sketches.whole.view(np.int64),
                "state": state.astype(np.int64),
                "bands": fixed_binary(keys),
                "tiny": fixed_binary(sketches.signatures.astype(np.uint8)),
            }
        )


def schema(documents: DataFrame, settings: Settings) -> T.StructType:
    """The columns of the signature rows of these documents."""
    return _signature_schema(_prepared(documents, settings))


def write_signatures(
    documents: DataFrame, settings: Settings, folder: str, average_text_bytes: float, expected: int
) -> Tally:
    """Write the signature rows of `documents` (KEY and the input's columns) to `folder`, as Parquet.

    A second scan follows for texts of LONG_TEXT bytes and more, only where the first one met any: where it wrote
    fewer rows than `expected`, the number of documents.
    """
    spark = documents.sparkSession
    prepared = _prepared(documents, settings)
    is_long = F.octet_length("text") >= LONG_TEXT
    short = prepared.withColumn("is_long", F.coalesce(is_long, F.lit(False))).withColumn(
        "text", F.when(~F.col("is_long"), F.col("text"))
    )
    with spark_conf(spark, batch_settings(average_text_bytes)):
        tally = _write(short, settings, folder, "errorifexists")
    if tally.documents < expected:
        with spark_conf(spark, one_by_one()):
            tally += _write(prepared.where(is_long), settings, folder, "append")
    return tally


def _write(prepared: DataFrame, settings: Settings, folder: str, mode: str) -> Tally:
    work = partial(sketch_batches, width=settings.shingle_words, seed=settings.seed, slots=settings.banding.slots)
    seen = Observation()
    rows = prepared.mapInArrow(work, _signature_schema(prepared)).observe(
        seen,
        F.count(F.lit(1)).alias("documents"),
        F.coalesce(F.sum("bytes"), F.lit(0)).alias("text_bytes"),
        *(
            F.coalesce(F.sum((F.col("state") == state).cast("long")), F.lit(0)).alias(name)
            for state, name in ((NULL, "null_text"), (EMPTY, "empty_text"), (NO_WORD, "no_words"))
        ),
    )
    # Signatures are random bits: compressing them costs time and gains nothing.
    rows.write.mode(mode).option("compression", "uncompressed").parquet(folder)
    return Tally(**seen.get)
