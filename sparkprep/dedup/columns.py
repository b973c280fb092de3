"""The columns of every table that one stage of a run writes and another reads, and what the numbers in them mean."""

from __future__ import annotations

from enum import IntEnum

from pyspark.sql import types as T

from sparkprep.dedup.keep import keep_column
from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY, MASK_BITS, MASK_WORD


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


CANDIDATES = "kind int, a long, b long"
MASK = f"{MASK_WORD} long, {MASK_BITS} long"
PAIRS = "a long, b long"
"""Keys of two documents, a < b."""
SIMILAR_PAIRS = f"{PAIRS}, jaccard double"
COPIES = "first long, copy long"
"""`first` is the least key with the normalised text of `copy`."""
BEST_OF_COPIES = f"first long, {KEY} long, best long"
"""For each document with an exact copy, the one of them that comes first in the keep order."""
GROUPS = f"{KEY} long, group long, partners array<long>"
"""The documents of a group are brought together; each is compared with its partners, lesser keys of the same group."""
SIZED_GROUPS = f"{GROUPS}, size long"
"""`size`: bytes of the longest text in the group."""
LINKS = "u long, v long"
DECISIONS = f"{KEY} long, kept_key long, jaccard double"
"""A removed document and the kept one that it is removed for; jaccard is nan where no edge joins them."""
REMOVED_COLUMNS = ("id", "kept_id", "jaccard", "rule")
"""The columns of the result's removed/."""


def signature_schema(documents: T.StructType, settings: Settings) -> T.StructType:
    """Return the columns of the signature rows.

    Of the input come `id`, `keep` where the keep order is that of a column, and `source` where there is such a column.
    row_hash: of all columns. id_hash: null where there is no identifier. bytes, chars: of the text. shingles: their
    number, repeats counted. text_hash: of the normalised text. state: `TextState`. bands: uint64 (bands,), the keys of
    the document's buckets. tiny: uint8 (slots,), the signature's low bytes.
    """
    types = {column.name: column.dataType for column in documents.fields}
    keep = keep_column(settings)
    columns: dict[str, T.DataType] = {KEY: T.LongType(), "id": types.get(settings.id_column, T.StringType())}
    if keep:
        columns["keep"] = types[keep]
    if settings.source_column in types:
        columns["source"] = T.StringType()
    numbers = ("row_hash", "id_hash", "bytes", "chars", "shingles", "text_hash", "state")
    columns |= {name: T.LongType() for name in numbers}
    columns |= {"bands": T.BinaryType(), "tiny": T.BinaryType()}
    return T.StructType([T.StructField(name, kind) for name, kind in columns.items()])


def removed_schema(id_type: T.DataType) -> T.StructType:
    """Return the columns of what is known of a removed document: DECISIONS, the rule, and both identifiers."""
    keys = [T.StructField(KEY, T.LongType()), T.StructField("kept_key", T.LongType())]
    ids = [T.StructField("id", id_type), T.StructField("kept_id", id_type)]
    return T.StructType([*keys, *ids, T.StructField("jaccard", T.DoubleType()), T.StructField("rule", T.StringType())])
