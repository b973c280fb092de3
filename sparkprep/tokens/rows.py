"""Documents -> token rows: one row of id, tokens and count for each document (Spark stage).

`tokens` are uint16 in little-endian bytes, half the size of Spark's smallest list of numbers that holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkprep.documents.batches import LONG_TEXT, scan_twice
from sparkprep.documents.keys import identifier, quoted
from sparkprep.io.arrow import runs_to_binary
from sparkprep.io.paths import spark_target
from sparkprep.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class TokenCounts:
    """Over all documents; `empty` are those without a token."""

    documents: int
    tokens: int
    text_bytes: int
    empty: int

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def tokenize_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn rows of (id, text, bytes) into rows of (id, tokens, count, bytes)."""
    tokenizer = Tokenizer()
    for batch in batches:
        ids, offsets = tokenizer.encode(batch["text"])
        yield pa.RecordBatch.from_pydict(
            {
                "id": batch["id"],
                "tokens": runs_to_binary(ids.astype("<u2", copy=False), offsets),
                "count": np.diff(offsets),
                "bytes": batch["bytes"],
            }
        )


def write_token_rows(
    documents: DataFrame, text_column: str, id_column: str, folder: str, mean_text_bytes: float, expected: int
) -> TokenCounts:
    """Write the token rows of `documents` to `folder`, as snappy Parquet, and count them.

    mean_text_bytes: the largest of any row group. expected: the number of documents. Texts of LONG_TEXT bytes and more
    are left to a second scan (`scan_twice`).
    """
    text = F.col(quoted(text_column))
    size = F.coalesce(F.octet_length(text), F.lit(0)).cast("long")
    rows = documents.select(
        identifier(documents, id_column, text_column).alias("id"), text.alias("text"), size.alias("bytes")
    )
    return scan_twice(
        documents.sparkSession,
        mean_text_bytes,
        expected,
        lambda: _write(rows.where(F.col("bytes") < LONG_TEXT), folder, "errorifexists"),
        lambda: _write(rows.where(F.col("bytes") >= LONG_TEXT), folder, "append"),
    )


def _write(rows: DataFrame, folder: str, mode: str) -> TokenCounts:
    kind = rows.schema["id"].dataType
    schema = T.StructType(
        [
            T.StructField("id", kind),
            T.StructField("tokens", T.BinaryType()),
            T.StructField("count", T.LongType()),
            T.StructField("bytes", T.LongType()),
        ]
    )
    counts = Observation()

    def total(name: str, value: str) -> Column:
        return F.coalesce(F.sum(F.expr(value)), F.lit(0)).cast("long").alias(name)

    observed = rows.mapInArrow(tokenize_batches, schema).observe(
        counts,
        F.count(F.lit(1)).alias("documents"),
        total("tokens", "count"),
        total("text_bytes", "bytes"),
        total("empty", "cast(count = 0 as long)"),
    )
    # Of tokens, none repeats as a whole: a dictionary of them would only be built and thrown away.
    options = {"compression": "snappy", "parquet.enable.dictionary#tokens": "false"}
    observed.drop("bytes").write.mode(mode).options(**options).parquet(spark_target(folder))
    return TokenCounts(**counts.get)
