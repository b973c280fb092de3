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

from sparkprep.dedup.columns import TextState
from sparkprep.dedup.keep import keep_column
from sparkprep.dedup.kernels.band_keys import band_keys
from sparkprep.dedup.kernels.sketch import sketch
from sparkprep.dedup.settings import Settings
from sparkprep.documents.batches import LONG_TEXT, scan_twice
from sparkprep.documents.keys import KEY, identifier, quoted
from sparkprep.io.arrow import matrix_to_binary
from sparkprep.spark.tables import Table

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
    """Return a hash of all columns; xxhash64 knows no maps, so they go in as JSON."""

    def hashable(field: T.StructField) -> Column:
        column = F.col(quoted(field.name))
        return F.to_json(column) if "map<" in field.dataType.simpleString() else column

    return F.xxhash64(*(hashable(f) for f in documents.schema.fields if f.name != KEY))


def _without_nan(documents: DataFrame, name: str) -> Column:
    """Return a column with its NaN as null: Spark and Arrow disagree about where NaN belongs in an order."""
    column = F.col(quoted(name))
    if isinstance(documents.schema[name].dataType, T.FloatType | T.DoubleType):
        return F.when(~F.isnan(column), column)
    return column


def _columns(documents: DataFrame, settings: Settings) -> DataFrame:
    """Select what leaves the JVM for the sketching: `text`, and the columns of signature rows that are the input's."""
    has_ids = settings.id_column in documents.columns
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
        (F.when(name.isNotNull(), F.xxhash64(name)) if has_ids else F.lit(None).cast("long")).alias("id_hash"),
    )


def source_of(values: pa.Array) -> pa.Array:
    """Return the lower-cased host of each URL of a string array; what is no URL stands for itself."""
    host = pc.struct_field(pc.extract_regex(values, _HOST), "host")
    return pc.if_else(pc.fill_null(pc.not_equal(host, ""), False), pc.utf8_lower(host), values)


def sketch_batches(
    batches: Iterator[pa.RecordBatch], width: int, seed: int, slots: npt.NDArray[np.int64]
) -> Iterator[pa.RecordBatch]:
    """Turn rows of `_columns` into signature rows (`workspace.signature_schema`).

    width: words of a shingle. slots: int64 (bands, rows), the banding. Rows whose column `is_long`, where there is one,
    is true are left out.
    """
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
        state = np.where(sketches.shingles > 0, TextState.WITH_WORDS, TextState.WITHOUT_WORDS)
        state = np.where(np.asarray(size) == 0, TextState.EMPTY, state)
        state = np.where(np.asarray(text.is_null()), TextState.NULL, state)
        others = {name: batch[name] for name in batch.schema.names if name != "text"}
        if "source" in others:
            others["source"] = source_of(others["source"])
        yield pa.RecordBatch.from_pydict(
            {
                **others,
                "bytes": size.cast(pa.int64()),
                "chars": pc.fill_null(pc.utf8_length(text), 0).cast(pa.int64()),
                "shingles": sketches.shingles,
                "text_hash": sketches.text_hash.view(np.int64),
                "state": state.astype(np.int64),
                "bands": matrix_to_binary(keys),
                "tiny": matrix_to_binary(sketches.signatures.astype(np.uint8)),
            }
        )


def write_signatures(
    documents: DataFrame, settings: Settings, signatures: Table, average_text_bytes: float, expected: int
) -> Tally:
    """Write the signature rows of `documents` (KEY and the input's columns) to the table, and count them.

    expected: the number of documents. average_text_bytes: of the row group where it is greatest. Texts of LONG_TEXT
    bytes and more are left to a second scan (`scan_twice`).
    """
    columns = _columns(documents, settings)
    is_long = F.octet_length("text") >= LONG_TEXT
    short = columns.withColumn("is_long", F.coalesce(is_long, F.lit(False))).withColumn(
        "text", F.when(~F.col("is_long"), F.col("text"))
    )
    return scan_twice(
        documents.sparkSession,
        average_text_bytes,
        expected,
        lambda: _write(short, settings, signatures, "errorifexists"),
        lambda: _write(columns.where(is_long), settings, signatures, "append"),
    )


def _write(columns: DataFrame, settings: Settings, signatures: Table, mode: str) -> Tally:
    work = partial(sketch_batches, width=settings.shingle_words, seed=settings.seed, slots=settings.banding.slots)
    counts = Observation()
    rows = columns.mapInArrow(work, signatures.schema).observe(
        counts,
        F.count(F.lit(1)).alias("documents"),
        F.coalesce(F.sum("bytes"), F.lit(0)).alias("text_bytes"),
        *(
            F.coalesce(F.sum((F.col("state") == state).cast("long")), F.lit(0)).alias(name)
            for state, name in (
                (TextState.NULL.value, "null_text"),
                (TextState.EMPTY.value, "empty_text"),
                (TextState.WITHOUT_WORDS.value, "no_words"),
            )
        ),
    )
    # Signatures are random bits: compressing them costs time and gains nothing.
    signatures.write(rows, mode, compression="uncompressed")
    return Tally(**counts.get)
