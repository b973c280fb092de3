"""Documents -> token rows: one row of id, tokens and count for each document, a part for each piece of the documents.

`tokens` are uint16 in little-endian bytes, half the size of the smallest list of numbers that every reader knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from sparkprep.documents.keys import text_digests
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.io.arrow import plain, plain_type, runs_to_binary
from sparkprep.pages.drawing import LENGTH_STEPS
from sparkprep.spark.stages import Stages
from sparkprep.spark.tables import Form, PartFile, Table
from sparkprep.tokenizer.tokenizer import Tokenizer

TOKEN_ROWS = Form("snappy", plain=("tokens",))
"""Of tokens, none repeats as a whole: a dictionary of them would only be built and thrown away."""
_BYTES = "bytes"
_LENGTH = "length "
"""Before the number of a bin, in what a task tells: documents in it."""
_ENGINE = "engine "
"""Before the name of an engine, in what a task tells: documents encoded by it."""


@dataclass(frozen=True)
class TokenCounts:
    """Over all documents; `empty` are those without a token. lengths: documents by tokens, in bins that end at
    LENGTH_STEPS."""

    documents: int = 0
    tokens: int = 0
    text_bytes: int = 0
    empty: int = 0
    lengths: tuple[int, ...] = (0,) * (len(LENGTH_STEPS) + 1)


def write_token_rows(
    spark: SparkSession, documents: Documents, id_column: str | None, folder: str, stages: Stages
) -> tuple[TokenCounts, list[PartFile], str]:
    """Write the token rows of the documents to a folder, as snappy Parquet; return what they hold, the files, and by
    which engine the tasks encoded: "fastokens", "tiktoken", or both where workers differ.

    id_column: names a document, and keeps its plain type; None: the SHA-256 of the text does.
    """
    kind = pa.string() if id_column is None else plain_type(documents.schema.field(id_column).type)
    schema = pa.schema([("id", kind), ("tokens", pa.binary()), ("count", pa.int64())])
    table = Table(folder, schema, TOKEN_ROWS)

    def task(number: int) -> Iterator[pa.RecordBatch]:
        return token_rows(documents, number, id_column)

    notes = stages.notes("tokenize", [table])
    sums = table.write_tasks(spark, range(len(documents.pieces)), task, _count, notes.once)
    if not table.rows:
        table.save_empty()
    stages.sweep([table])
    engines = sorted(name.removeprefix(_ENGINE) for name in sums if name.startswith(_ENGINE))
    lengths = tuple(sums.pop(f"{_LENGTH}{number}", 0) for number in range(len(LENGTH_STEPS) + 1))
    counts = {name: number for name, number in sums.items() if not name.startswith(_ENGINE)}
    return TokenCounts(**counts, lengths=lengths), table.files, " and ".join(engines)


def token_rows(documents: Documents, number: int, id_column: str | None) -> Iterator[pa.RecordBatch]:
    """Yield rows of (id, tokens, count, bytes of the text) of the documents of a piece."""
    tokenizer, text_column = Tokenizer(), documents.summary.text_column
    columns = list(dict.fromkeys([text_column, id_column or text_column]))
    for batch in documents.batches(number, columns):
        texts = plain(batch.column(text_column))
        if pa.types.is_null(texts.type):
            texts = texts.cast(pa.string())
        ids, offsets = tokenizer.encode(texts)
        yield pa.RecordBatch.from_pydict(
            {
                "id": text_digests(texts) if id_column is None else plain(batch.column(id_column)),
                "tokens": runs_to_binary(ids.astype("<u2", copy=False), offsets),
                "count": np.diff(offsets),
                _BYTES: pc.fill_null(pc.binary_length(texts), 0),
            }
        )


def _count(rows: pa.RecordBatch) -> dict[str, int]:
    counts = np.asarray(rows.column("count"))
    text_bytes = pc.sum(rows.column(_BYTES)).as_py()
    told = {"documents": len(counts), "tokens": int(counts.sum()), "text_bytes": text_bytes or 0}
    bins = np.bincount(np.searchsorted(LENGTH_STEPS, counts, side="right"))
    lengths = {f"{_LENGTH}{number}": int(bins[number]) for number in np.flatnonzero(bins)}
    return {**told, "empty": int((counts == 0).sum()), **lengths, f"{_ENGINE}{Tokenizer().engine}": len(counts)}
