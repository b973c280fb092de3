"""What an index keeps of a document, and the number by which it names one: the only place that knows their columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparkprep.dedup.kernels.arrays import I64

KEPT, REMOVED, SHINGLES = "kept", "removed", "shingles"
"""The tables of a crawl."""
TABLES = (KEPT, REMOVED, SHINGLES)

ROWS = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("id", pa.binary()),
        pa.field("rank", pa.binary()),
        pa.field("row_hash", pa.int64()),
        pa.field("source", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("shingles", pa.int64()),
        pa.field("text_hash", pa.int64()),
        pa.field("bands", pa.binary()),
        pa.field("tiny", pa.binary()),
        pa.field("kept_place", pa.int64()),
        pa.field("jaccard", pa.float64()),
        pa.field("exact", pa.bool_()),
    ]
)
"""The rows of KEPT and REMOVED: a document with words, in the order of its piece.

number: of the document in its piece, from 0. row_hash: tells apart what has the same rank in a crawl, else 0.
kept_place, jaccard, exact: of a removed one, the place of the document that it was removed for, their similarity, and
whether they have one normalised text; null, null and false of a kept one. The others are those of the signature rows.
"""
SETS = pa.schema([pa.field("hashes", pa.large_binary())])
"""The rows of SHINGLES: of each document of a piece, its distinct shingle hashes, uint64, ascending."""

_NUMBER_BITS, _PIECE_BITS = 28, 18
MOST_CRAWLS = 1 << (63 - _NUMBER_BITS - _PIECE_BITS)
MOST_PIECES, MOST_ROWS = 1 << _PIECE_BITS, 1 << _NUMBER_BITS


def place(serial: int, piece: int) -> int:
    """Return the place of the first document of a piece; the next ones follow it.

    serial: the number of the crawl, which no other crawl of the index ever has.
    """
    return (serial << _PIECE_BITS | piece) << _NUMBER_BITS


def number_of_piece(place: int) -> int:
    """Return the number of the piece that a place lies in."""
    return place >> _NUMBER_BITS & (MOST_PIECES - 1)


def serial_of(places: I64) -> I64:
    """Return the serial number of the crawl of each place, int64 (n,)."""
    return places >> (_NUMBER_BITS + _PIECE_BITS)


class Places:
    """Places of documents as keys of a run and back; places and first_keys: of the first document of each piece."""

    def __init__(self, places: list[int], first_keys: list[int]) -> None:
        self._places, self._keys = np.array(places, np.int64), np.array(first_keys, np.int64)
        self._by_place, self._by_key = np.argsort(self._places), np.argsort(self._keys)

    def of_keys(self, keys: I64) -> I64:
        """Return the place of each key, int64 (n,)."""
        return _moved(keys, self._keys, self._places, self._by_key)

    def keys(self, places: I64) -> I64:
        """Return the key of each place, int64 (n,)."""
        return _moved(places, self._places, self._keys, self._by_place)


def _moved(values: I64, before: I64, after: I64, order: I64) -> I64:
    piece = order[np.searchsorted(before, values, side="right", sorter=order) - 1]
    moved: I64 = values - before[piece] + after[piece]
    return moved
