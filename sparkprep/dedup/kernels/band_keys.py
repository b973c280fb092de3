"""Signatures to the keys of the buckets that a document goes into, one for each band."""

import numpy as np
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.hashing import K1, K4, fold

BAND_BITS = 10
"""The low bits of a band key hold the number of its band."""


@njit(cache=KEPT)
def band_keys(signatures, slots, keys):
    """Fill keys, uint64 (n, bands), from signatures, unsigned (n, t), by the banding's slots, int64 (bands, rows).

    A key holds the hash of the band's slots and, in its low BAND_BITS bits, the band's number, so that different
    bands never meet in a bucket.
    """
    low = (np.uint64(1) << np.uint64(BAND_BITS)) - np.uint64(1)
    for d in range(signatures.shape[0]):
        for b in range(slots.shape[0]):
            h = K4 + np.uint64(b)
            for r in range(slots.shape[1]):
                h = fold(h ^ np.uint64(signatures[d, slots[b, r]]), K1)
            keys[d, b] = (h & ~low) | np.uint64(b)
