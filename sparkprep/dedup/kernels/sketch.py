"""Shingle hashes to signatures: Fast Similarity Sketching (Dahlgaard, Knudsen, Thorup, FOCS 2017).

A signature has t = 128 slots. In round i = 0, 1, ..., t-1 every shingle x goes to slot h_i(x) mod t with the value
(i, h_i(x)); in round i = t, ..., 2t-1 every shingle goes to slot i - t. A slot keeps its least value, and the rounds
end as soon as every slot is filled: usually after one or two, so that a document of n shingles costs O(n + t log t)
rather than the O(n t) of k-permutation MinHash. Two documents agree in a slot with a probability equal to the Jaccard
similarity of their shingle sets, and for short texts the estimate varies less than MinHash's.

A value is one uint64, the round in the top byte and 56 bits of the hash below it, so that "least" is plain comparison.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.bands import SLOTS
from sparkprep.dedup.kernels.hashing import fold, splitmix
from sparkprep.dedup.kernels.shingles import document_shingles
from sparkprep.dedup.kernels.unicode import table
from sparkprep.io.arrow import text_buffers

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
U64 = np.uint64
MANY = 4096  # so many distinct shingles fill all slots in the first round but for a chance of 1e-12


@njit(cache=KEPT)
def fast_similarity_sketch(shingles, n, seed, signature):
    """Fill `signature`, uint64 of a power of two of slots up to 128, from the first n > 0 values of `shingles`.

    Repeats among the shingles do not matter. `shingles` may be put in another order.
    """
    slots = signature.size
    low = U64(slots - 1)
    signature[:] = EMPTY
    key = splitmix(seed)
    other = splitmix(key) | U64(1)
    for i in range(n):
        h = fold(shingles[i] ^ key, other)
        slot = h & low
        signature[slot] = min(signature[slot], h >> U64(8))
    if n > MANY and (signature == EMPTY).any():  # few distinct shingles, said over and over
        shingles[:n].sort()
        kept = 1
        for i in range(1, n):
            if shingles[i] != shingles[i - 1]:
                shingles[kept] = shingles[i]
                kept += 1
        n = kept
    full = np.empty(slots, np.bool_)
    for turn in range(1, 2 * slots):
        empty = 0
        for s in range(slots):
            full[s] = signature[s] != EMPTY
            empty += not full[s]
        if not empty:
            return
        key = splitmix(seed + U64(turn))
        other = splitmix(key) | U64(1)
        if turn >= slots and full[turn - slots]:
            continue
        for i in range(n):
            h = fold(shingles[i] ^ key, other)
            slot = np.int64(h & low) if turn < slots else turn - slots
            if not full[slot]:
                signature[slot] = min(signature[slot], U64(turn) << U64(56) | h >> U64(8))


@njit(cache=KEPT)
def sketch_documents(data, offsets, valid, lookup, width, seed, signatures, shingles, text_hash):
    """Fill in the signatures of a column of UTF-8 texts.

    data uint8 and offsets int64 (n + 1) as in Arrow; valid uint8 (n), 0 for a null text. Filled: signatures uint64
    (n, slots), all EMPTY where a document has no shingle; shingles int64 (n), repeats counted; text_hash uint64 (n), of
    the normalised text.
    """
    longest = 0
    for d in range(valid.size):
        longest = max(longest, offsets[d + 1] - offsets[d])
    # A word and the blank after it take two bytes at the least, a character outside ASCII two or more; one byte each is
    # the worst that text written without blanks can do. Pages that are not touched cost nothing.
    buffer = np.empty(longest + 1, np.uint64)
    for d in range(valid.size):
        shingles[d], text_hash[d] = 0, 0
        if valid[d]:
            shingles[d], text_hash[d] = document_shingles(data, offsets[d], offsets[d + 1], lookup, width, buffer)
        if shingles[d]:
            fast_similarity_sketch(buffer, shingles[d], seed, signatures[d])
        else:
            signatures[d, :] = EMPTY


@dataclass(frozen=True)
class Sketches:
    """What is known of n documents after reading their texts once."""

    signatures: npt.NDArray[np.uint64] = field(repr=False)
    """(n, slots)"""
    shingles: npt.NDArray[np.int64]
    """(n,) number of shingles, repeats counted; 0 for a text without a word"""
    text_hash: npt.NDArray[np.uint64]
    """(n,) hash of the normalised text"""


def sketch(texts: pa.Array, *, width: int = 5, seed: int = 1, slots: int = SLOTS) -> Sketches:
    """Sketch an Arrow array of texts.

    A signature works in datasketch as it stands (64-bit values need its `affine64` scheme):

    >>> from datasketch import MinHash, MinHashLSH
    >>> signatures = sketch(pa.array(["a rose is a rose is a rose", "A rose is a rose, is a rose!"])).signatures
    >>> a, b = (MinHash(num_perm=128, hashvalues=s, scheme="affine64") for s in signatures)
    >>> a.jaccard(b)
    1.0
    >>> lsh = MinHashLSH(threshold=0.8, num_perm=128)
    >>> lsh.insert("a", a)
    >>> lsh.query(b)
    ['a']
    """
    data, offsets, valid = text_buffers(texts)
    n = len(texts)
    result = Sketches(np.empty((n, slots), np.uint64), np.empty(n, np.int64), np.empty(n, np.uint64))
    sketch_documents(
        data, offsets, valid, table(), width, np.uint64(seed), result.signatures, result.shingles, result.text_hash
    )
    return result
