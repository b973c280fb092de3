"""Sets of document keys as bit masks that every node can hold: one row of 16 bytes for each 64 documents.

A join with a long list of keys would make Spark shuffle the texts once the list outgrows a broadcast; a mask of the
same documents is much smaller.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkprep.documents.keys import KEY
from sparkprep.spark import tables

_WORD, _BITS = "__mask_word", "__mask_bits"
SCHEMA = f"{_WORD} long, {_BITS} long"


class KeySet:
    """A mask read back on the driver: 16 bytes for each 64 documents that have a member among them."""

    def __init__(self, path: str) -> None:
        words, bits = tables.columns(path, [_WORD, _BITS])
        order = np.argsort(words)
        self._words, self._bits = words[order].astype(np.int64), bits[order].astype(np.int64).view(np.uint64)

    def contains(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the keys are members."""
        if not self._words.size:
            return np.zeros(len(keys), np.bool_)
        place = np.minimum(np.searchsorted(self._words, keys >> 6), self._words.size - 1)
        bit = (self._bits[place] >> (keys & 63).astype(np.uint64)) & np.uint64(1)
        found: npt.NDArray[np.bool_] = (self._words[place] == keys >> 6) & (bit == 1)
        return found


def write(path: str, keys: npt.NDArray[np.int64]) -> None:
    """Write the set of keys as a mask file."""
    keys = np.unique(keys)
    words = keys >> 6
    starts = np.flatnonzero(np.append(True, words[1:] != words[:-1])) if keys.size else np.empty(0, np.int64)
    bits = np.uint64(1) << (keys & 63).astype(np.uint64)
    masks = np.bitwise_or.reduceat(bits, starts) if keys.size else bits
    tables.write(path, pa.table({_WORD: words[starts], _BITS: masks.view(np.int64)}))


def aggregate(keys: DataFrame) -> DataFrame:
    """The same mask computed on the cluster from a DataFrame with a column of keys, repeats allowed."""
    bit = F.expr(f"shiftleft(1L, cast({KEY} & 63 as int))").alias("bit")
    return (
        keys.select(F.expr(f"shiftright({KEY}, 6)").alias(_WORD), bit)
        .groupBy(_WORD)
        .agg(F.expr("bit_or(bit)").alias(_BITS))
    )


def read(spark: SparkSession, path: str) -> DataFrame:
    """The mask written by `write`, or an `aggregate` written as Parquet."""
    return tables.read(spark, SCHEMA, path)


def _flagged(documents: DataFrame, mask: DataFrame, how: str) -> DataFrame:
    return documents.join(F.broadcast(mask), F.expr(f"shiftright({KEY}, 6)") == F.col(_WORD), how)


def inside(documents: DataFrame, mask: DataFrame) -> DataFrame:
    """The rows whose key is in the set."""
    bit = F.expr(f"shiftright({_BITS}, cast({KEY} & 63 as int)) & 1")
    return _flagged(documents, mask, "inner").where(bit == 1).drop(_WORD, _BITS)


def outside(documents: DataFrame, mask: DataFrame) -> DataFrame:
    """The rows whose key is not in the set."""
    bit = F.expr(f"shiftright(coalesce({_BITS}, 0L), cast({KEY} & 63 as int)) & 1")
    return _flagged(documents, mask, "left").where(bit == 0).drop(_WORD, _BITS)
