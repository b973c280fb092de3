"""The columns of every table that one stage of a run writes and another reads, and what the numbers in them mean."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import pyarrow as pa

from sparkprep.documents.keys import KEY


class TextState(IntEnum):
    """What the column `state` of the signature rows says of a document's text."""

    NULL = 0
    EMPTY = 1
    WITHOUT_WORDS = 2
    WITH_WORDS = 3


class RowKind(IntEnum):
    """What a row (kind, a, b) of the candidates tables says."""

    PAIR = 0
    """keys a < b are a candidate pair"""
    EXACT = 1
    """key b has the same normalised text as key a"""
    HOT = 2
    """key b lies in the oversized bucket a"""
    HOT_BUCKET = 3
    """the oversized bucket a has b documents"""
    SAME_ID = 4
    """b further documents bear the identifier of key a"""
    UNCOMPARED = 5
    """b pairs of the bucket a were not compared"""


def _columns(names: str, kind: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind) for name in names.split()]


def _keys(names: str) -> list[pa.Field]:
    return _columns(names, pa.int64())


CANDIDATES = pa.schema([pa.field("kind", pa.int32()), *_keys("a b")])
KEYS = pa.schema(_keys(KEY))
"""A set of documents, each key in the part of the piece that holds the document (`documents.addressed`)."""
PAIRS = pa.schema(_keys("a b"))
"""Keys of two documents, a < b."""
SIMILAR_PAIRS = PAIRS.append(pa.field("jaccard", pa.float64()))
COPIES = pa.schema(_keys("first copy"))
"""`first` is the least key with the normalised text of `copy`."""
BEST_OF_COPIES = pa.schema(_keys(f"first {KEY} best"))
"""For each document with an exact copy, the one of them that comes first in the keep order."""
GROUPS = pa.schema([*_keys(f"{KEY} group"), pa.field("partners", pa.list_(pa.int64()))])
"""The documents of a group are brought together; each is compared with its partners, lesser keys of the same group."""
SIZED_GROUPS = GROUPS.append(pa.field("size", pa.int64()))
"""`size`: bytes of the longest text in the group."""
TEXTS = pa.schema([*GROUPS, pa.field("text", pa.large_string()), pa.field("hashes", pa.large_binary())])
"""The groups with the texts of their documents, on the way to where they are compared.

Of a document of an index, whose text is not there, `hashes` are its distinct shingle hashes, uint64, ascending.
"""
LINKS = pa.schema(_keys("u v"))
DECISIONS = pa.schema([*_keys(f"{KEY} kept_key"), pa.field("jaccard", pa.float64())])
"""A removed document and the kept one that it is removed for; jaccard is nan where no edge joins them."""
REMOVED_KEYS = DECISIONS.append(pa.field("rule", pa.string()))
"""The documents that are removed in the end, and why, each in the part of its piece."""
ROW_HASHES = pa.schema(_keys(f"{KEY} row_hash"))
"""A hash of all columns of each document that another one equals in the keep order."""
REMOVED_COLUMNS = ("id", "kept_id", "jaccard", "rule")
"""The columns of the result's removed/."""

BANDS = "bands"
"""The column of band keys of a run with one threshold."""


def signatures_schema(bands: Iterable[str] = (BANDS,)) -> pa.Schema:
    """Return the schema of signature rows whose band keys lie in these columns."""
    return pa.schema(
        [
            *_keys(KEY),
            *_columns("id rank", pa.binary()),
            pa.field("source", pa.string()),
            *_keys("id_hash bytes chars shingles text_hash state"),
            *(pa.field(name, pa.binary()) for name in (*bands, "tiny")),
        ]
    )


SIGNATURES = signatures_schema()
"""The signature rows: one for each document, in the part of the document's piece.

id: the identifier's bytes (`io.arrow.to_bytes`). rank: bytes that sort as the keep order does, documents that are equal
in it alike (`kernels.rank`). source: the host of the document's URL, or what it has in the source column; null where
there is no such column. id_hash: null where there is no identifier. bytes, chars: of the text. shingles: their number,
repeats counted. text_hash: of the normalised text. state: `TextState`. bands: uint64 (bands,), the keys of the
document's buckets; where a run has several thresholds, there is a column for each different banding. tiny: uint8
(slots,), the signature's low bytes.
"""

NAMED_DECISIONS = pa.schema([*DECISIONS, pa.field("rule", pa.string()), *_columns("id kept_id", pa.binary())])
"""What is known of a removed document: DECISIONS, the rule, and both identifiers' bytes."""


KEPT_CRAWL = "kept_crawl"
"""The column of removed/ and audit/pairs, in a run with an index, that names the crawl of the kept document."""


def removed_schema(id_type: pa.DataType, has_crawls: bool = False) -> pa.Schema:
    """Return the schema of the result's removed/, REMOVED_COLUMNS, for identifiers of this type.

    has_crawls: whether KEPT_CRAWL is among them.
    """
    ids = [pa.field("id", id_type), pa.field("kept_id", id_type)]
    crawl = [pa.field(KEPT_CRAWL, pa.string())] if has_crawls else []
    return pa.schema([*ids, pa.field("jaccard", pa.float64()), pa.field("rule", pa.string()), *crawl])


MISS = "miss"
"""The rule of a pair of which both documents were kept."""


def pairs_schema(id_type: pa.DataType, has_crawls: bool = False) -> pa.Schema:
    """Return the schema of the result's audit/pairs: removed documents, and near misses, by their place in the input.

    row, kept_row: int64, the documents' places among all rows of the input, from 0. rule: "exact" or "near", of a
    document that was removed, or MISS, of two that both stay, `kept_row` being that which comes first in keep order. Of
    a document of an earlier crawl `kept_row` is a negative number, another for each.
    """
    return pa.schema([*_keys("row kept_row"), *removed_schema(id_type, has_crawls)])
