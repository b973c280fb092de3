"""Documents -> one small row each: signature bands, hashes, sizes and what the keep order needs.

The texts are read here, once; every later stage but the exact check works on these rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from sparkprep.dedup.columns import BANDS, TextState, signatures_schema
from sparkprep.dedup.kernels.band_keys import band_keys
from sparkprep.dedup.kernels.bands import Banding
from sparkprep.dedup.kernels.rank import id_hashes, rank_bytes
from sparkprep.dedup.kernels.sketch import sketch
from sparkprep.dedup.kernels.utf8 import characters
from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY, text_digests
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.io.arrow import matrix_to_binary, plain, to_bytes
from sparkprep.spark.tables import Once, Table

_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"


@dataclass(frozen=True)
class Tally:
    """Counts over all documents."""

    text_bytes: int = 0
    null_text: int = 0
    empty_text: int = 0
    no_words: int = 0


@dataclass(frozen=True)
class Columns:
    """Which columns of the input the signature rows are made from.

    id: None where the text's SHA-256 names a document. keep: None where the keep order is no column's. source: None
    where there is nothing to count removals by.
    """

    text: str
    id: str | None
    keep: str | None
    source: str | None

    @property
    def names(self) -> list[str]:
        """The columns to read, each once."""
        return list(dict.fromkeys(name for name in (self.text, self.id, self.keep, self.source) if name))


def source_of(values: pa.Array) -> pa.Array:
    """Return the lower-cased host of each URL of a string array; what is no URL stands for itself."""
    host = pc.struct_field(pc.extract_regex(values, _HOST), "host")
    return pc.if_else(pc.fill_null(pc.not_equal(host, ""), False), pc.utf8_lower(host), values)


def _as_string(values: pa.Array) -> pa.Array:
    return plain(values).cast(pa.string(), safe=False)  # bytes may be no UTF-8


def _keys_of(signatures: npt.NDArray[np.unsignedinteger], banding: Banding) -> pa.Array:
    keys = np.empty((len(signatures), banding.bands), np.uint64)
    band_keys(signatures, banding.slots, keys)
    return matrix_to_binary(keys)


def signature_rows(
    batch: pa.RecordBatch,
    first_key: int,
    columns: Columns,
    settings: Settings,
    bandings: Mapping[str, Banding] | None = None,
) -> pa.RecordBatch:
    """Return the signature rows of a batch of documents, whose keys run from `first_key` (`signatures_schema`).

    bandings: which columns of band keys they have; by default BANDS alone, by the banding of the settings.
    """
    bandings = bandings or {BANDS: settings.banding}
    texts = plain(batch[columns.text])
    texts = _as_string(texts) if pa.types.is_null(texts.type) else texts
    sketches = sketch(texts, width=settings.shingle_words, seed=settings.seed)
    size = pc.fill_null(pc.binary_length(texts), 0)
    state = np.where(sketches.shingles > 0, TextState.WITH_WORDS, TextState.WITHOUT_WORDS)
    state = np.where(np.asarray(size) == 0, TextState.EMPTY, state)
    state = np.where(np.asarray(texts.is_null()), TextState.NULL, state)
    length = pa.array(characters(texts))
    ids = batch[columns.id] if columns.id else text_digests(texts)
    first = {"longest": length, "first": None}.get(settings.keep, batch[columns.keep] if columns.keep else None)
    descending = settings.keep == "longest" or settings.keep.startswith("-")
    none = pa.nulls(len(texts))
    return pa.RecordBatch.from_pydict(
        {
            KEY: np.arange(first_key, first_key + len(texts)),
            "id": to_bytes(ids),
            "rank": rank_bytes(ids, first, descending=descending),
            "source": source_of(_as_string(batch[columns.source])) if columns.source else none.cast(pa.string()),
            "id_hash": id_hashes(ids) if columns.id else none.cast(pa.int64()),
            "bytes": size.cast(pa.int64()),
            "chars": length,
            "shingles": sketches.shingles,
            "text_hash": sketches.text_hash.view(np.int64),
            "state": state.astype(np.int64),
            **{name: _keys_of(sketches.signatures, banding) for name, banding in bandings.items()},
            "tiny": matrix_to_binary(sketches.signatures.astype(np.uint8)),
        },
        signatures_schema(bandings),
    )


def write_signatures(
    spark: SparkSession,
    documents: Documents,
    columns: Columns,
    settings: Settings,
    signatures: Table,
    bandings: Mapping[str, Banding] | None = None,
    once: Once | None = None,
) -> Tally:
    """Write the signature rows of all documents, a part for each piece, and count what the documents are.

    bandings: as for `signature_rows`. once: as for `Table.write_tasks`.
    """

    def task(number: int) -> Iterator[pa.RecordBatch]:
        key = documents.pieces[number].first_key
        for batch in documents.batches(number, columns.names):
            yield signature_rows(batch, key, columns, settings, bandings)
            key += batch.num_rows

    counts = signatures.write_tasks(spark, range(len(documents.pieces)), task, count_rows, once)
    return Tally(**counts)


def count_rows(rows: pa.RecordBatch) -> dict[str, int]:
    """Return the counts of `Tally` over signature rows."""
    states = np.bincount(np.asarray(rows["state"]), minlength=len(TextState))
    return {
        "text_bytes": pc.sum(rows["bytes"]).as_py() or 0,
        "null_text": states[TextState.NULL],
        "empty_text": states[TextState.EMPTY],
        "no_words": states[TextState.WITHOUT_WORDS],
    }
