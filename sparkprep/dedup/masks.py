"""Sets of document keys as bit masks that every node can hold: one row of 16 bytes for each 64 documents.

A join with a long list of keys would make Spark shuffle the texts once the list outgrows a broadcast; a mask of the
same documents is much smaller.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkprep.dedup.kernels.arrays import run_starts
from sparkprep.documents.keys import KEY, MASK_BITS, MASK_WORD
from sparkprep.spark.tables import Table


class KeySet:
    """A mask read back on the driver: 16 bytes for each 64 documents that have a member among them."""

    def __init__(self, mask: Table) -> None:
        words, bits = mask.columns([MASK_WORD, MASK_BITS])
        order = np.argsort(words)
        self._words, self._bits = words[order].astype(np.int64), bits[order].astype(np.int64).view(np.uint64)

    def contains(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which of the keys, int64 (n,), are members: bool (n,)."""
        if not self._words.size:
            return np.zeros(len(keys), np.bool_)
        place = np.minimum(np.searchsorted(self._words, keys >> 6), self._words.size - 1)
        bit = (self._bits[place] >> (keys & 63).astype(np.uint64)) & np.uint64(1)
        member: npt.NDArray[np.bool_] = (self._words[place] == keys >> 6) & (bit == 1)
        return member


def of_keys(keys: npt.NDArray[np.int64]) -> pa.Table:
    """Return the mask of a set of keys, int64 (n,) in any order, repeats allowed."""
    keys = np.unique(keys)
    words = keys >> 6
    starts = run_starts(words)
    bits = np.uint64(1) << (keys & 63).astype(np.uint64)
    masks = np.bitwise_or.reduceat(bits, starts) if keys.size else bits
    return pa.table({MASK_WORD: words[starts], MASK_BITS: masks.view(np.int64)})


def aggregate(keys: DataFrame) -> DataFrame:
    """Return the same mask, computed on the cluster from the column KEY of a DataFrame, repeats allowed."""
    bit = F.expr(f"shiftleft(1L, cast({KEY} & 63 as int))").alias("bit")
    return (
        keys.select(F.expr(f"shiftright({KEY}, 6)").alias(MASK_WORD), bit)
        .groupBy(MASK_WORD)
        .agg(F.expr("bit_or(bit)").alias(MASK_BITS))
    )


def _join_mask(documents: DataFrame, mask: DataFrame, how: str) -> DataFrame:
    return documents.join(F.broadcast(mask), F.expr(f"shiftright({KEY}, 6)") == F.col(MASK_WORD), how)


def inside(documents: DataFrame, mask: DataFrame) -> DataFrame:
    """Return the rows whose key is in the set."""
    bit = F.expr(f"shiftright({MASK_BITS}, cast({KEY} & 63 as int)) & 1")
    return _join_mask(documents, mask, "inner").where(bit == 1).drop(MASK_WORD, MASK_BITS)


def outside(documents: DataFrame, mask: DataFrame) -> DataFrame:
    """Return the rows whose key is not in the set."""
    bit = F.expr(f"shiftright(coalesce({MASK_BITS}, 0L), cast({KEY} & 63 as int)) & 1")
    return _join_mask(documents, mask, "left").where(bit == 0).drop(MASK_WORD, MASK_BITS)
