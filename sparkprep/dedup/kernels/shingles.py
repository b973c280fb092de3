"""Text bytes to shingle hashes: compiled kernels on UTF-8 buffers, without a Python string per word.

A text is lower-cased and cut into words, the runs of Unicode letters and numbers, exactly as
`re.findall(r"[^\\W_]+", text.lower())` does in Python 3.11. A shingle is `width` consecutive words. A text of fewer
words is one shingle, all of it; a text without any word has none. Where more than half of the letters belong to a
script that is written without blanks (Han, kana, Thai, Lao, Khmer, Myanmar) the unit is the letter or number instead
of the word.

Each word is hashed once; a shingle's hash is a polynomial of its words' hashes modulo 2**64, mixed at the end, so
that the shingle's text never exists. Two different shingles share a 64-bit hash with a probability of about 2**-64.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.hashing import K0, K1, K2, K3, K4, fold, load64, trailing_zeros
from sparkprep.dedup.kernels.unicode import CASED, IGNORABLE, LETTER, LOWER_MASK, NO_SPACES, WORD, table
from sparkprep.dedup.kernels.utf8 import decode

U64 = np.uint64
HIGH = U64(0x8080808080808080)
REST = U64(0x7F7F7F7F7F7F7F7F)
LOWER_BIT = U64(0x2020202020202020)
# Added to 7-bit bytes, these set the high bit of a byte that is at least / more than the bound.
FROM_A, PAST_Z = U64(0x1F1F1F1F1F1F1F1F), U64(0x0505050505050505)
FROM_0, PAST_9 = U64(0x5050505050505050), U64(0x4646464646464646)
BYTE, ONE, ZERO, THREE = U64(0x80), U64(1), U64(0), U64(3)

CAPITAL_SIGMA, FINAL_SIGMA, DOTTED_I = 0x3A3, 0x3C2, 0x130
CHARACTER_SEED = U64(0x243F6A8885A308D3)  # keeps characters apart from words of one character


@njit(cache=KEPT, inline="always")
def eight_bytes(data, pos, end):
    """Return the 8 bytes from `pos` on, little-endian; those from `end` on read as zero."""
    if pos + 8 <= data.size:
        x = load64(data, pos)
        if pos + 8 > end:
            x &= (ONE << U64(8 * (end - pos))) - ONE
        return x
    x = ZERO
    for i in range(end - pos):
        x |= U64(data[pos + i]) << U64(8 * i)
    return x


@njit(cache=KEPT)
def sigma_is_final(data, start, pos, end, table):
    """Return whether the capital sigma at `pos` ends its word: a cased letter before, none after, others ignored."""
    after = pos + 2
    while after < end:
        code = decode(data, after, end)
        entry = table[code & 0x1FFFFF] if code >= 0 else 0
        if not entry & IGNORABLE:
            if entry & CASED:
                return False
            break
        after += code >> 32
    before = pos
    while before > start:
        until = before
        before -= 1
        while before > start and data[before] & 0xC0 == 0x80:
            before -= 1
        code = decode(data, before, end)
        is_valid = code >= 0 and before + (code >> 32) == until  # else a stray byte lies between
        entry = table[code & 0x1FFFFF] if is_valid else 0
        if not entry & IGNORABLE:
            return bool(entry & CASED)
    return False


@njit(cache=KEPT)
def any_word(data, start, pos, stop, end, table):
    """Read one word by code points, up to `stop` at most, of the text data[start:end].

    Returns (hash, next position, whether there was one, its unspaced letters). The hash is that of the word's
    lower-cased UTF-8 bytes, 8 at a time, as `words_of` takes them.
    """
    h, chunk, filled = K0, ZERO, 0
    is_word, unspaced = False, 0
    while pos < stop:
        code = decode(data, pos, end)
        if code < 0:
            pos += 1
            break
        cp = code & 0x1FFFFF
        entry = np.int64(table[cp])
        if not entry & WORD:
            pos += code >> 32
            break
        is_word = True
        if entry & NO_SPACES:
            unspaced += 1
        low = entry & LOWER_MASK
        if cp == CAPITAL_SIGMA and sigma_is_final(data, start, pos, end, table):
            low = FINAL_SIGMA
        size = 1 if low < 0x80 else 2 if low < 0x800 else 3 if low < 0x10000 else 4
        for i in range(size):
            if size == 1:
                byte = low
            elif i == 0:
                byte = (0xF00 >> size) & 0xFF | low >> 6 * (size - 1)
            else:
                byte = 0x80 | low >> 6 * (size - 1 - i) & 0x3F
            chunk |= U64(byte) << U64(8 * filled)
            filled += 1
            if filled == 8:
                h, chunk, filled = fold(h ^ chunk, K1), ZERO, 0
        pos += code >> 32
        if cp == DOTTED_I:  # its lower case is "i" and a combining dot, which ends the word
            break
    if filled:
        h = fold(h ^ chunk, K1)
    return h, pos, is_word, unspaced


@njit(cache=KEPT)
def words_of(data, start, end, table, out):
    """Fill `out`, uint64 of (bytes + 1) // 2, with word hashes of data[start:end]; return (words, unspaced letters)."""
    pos, n, unspaced = start, 0, 0
    while pos < end:
        x = eight_bytes(data, pos, end)
        high = x & HIGH
        seven = x & REST
        low = seven | LOWER_BIT
        word = (((low + FROM_A) & ~(low + PAST_Z)) | ((seven + FROM_0) & ~(seven + PAST_9))) & HIGH & ~high
        if not word & BYTE:
            if high & BYTE:
                h, pos, is_word, more = any_word(data, start, pos, end, end, table)
                unspaced += more
                if is_word:
                    out[n] = h
                    n += 1
            else:
                pos += np.int64(trailing_zeros(word | high) >> THREE)
            continue
        first, h = pos, K0
        while True:
            stop = ~word & HIGH
            size = trailing_zeros(stop) >> THREE
            if size < 8:
                if size:
                    h = fold(h ^ (low & ((ONE << (size << THREE)) - ONE)), K1)
                pos += np.int64(size)
                break
            h = fold(h ^ low, K1)
            pos += 8
            if pos >= end:
                break
            x = eight_bytes(data, pos, end)
            high = x & HIGH
            seven = x & REST
            low = seven | LOWER_BIT
            word = (((low + FROM_A) & ~(low + PAST_Z)) | ((seven + FROM_0) & ~(seven + PAST_9))) & HIGH & ~high
        if pos < end and data[pos] >= 0x80:  # not plain ASCII after all: read the word again
            h, pos, _, more = any_word(data, start, first, end, end, table)
            unspaced += more
        else:
            pos += 1
        out[n] = h
        n += 1
    return n, unspaced


@njit(cache=KEPT)
def characters_of(data, start, end, table, out):
    """Fill `out` with hashes of the letters and numbers of data[start:end]; return (how many, letters of them)."""
    pos, n, letters = start, 0, 0
    while pos < end:
        code = decode(data, pos, end)
        if code < 0:
            pos += 1
            continue
        cp = code & 0x1FFFFF
        entry = np.int64(table[cp])
        if entry & WORD:
            low = entry & LOWER_MASK
            if cp == CAPITAL_SIGMA and sigma_is_final(data, start, pos, end, table):
                low = FINAL_SIGMA
            out[n] = fold(U64(low) ^ CHARACTER_SEED, K1)
            n += 1
            if entry & LETTER:
                letters += 1
        pos += code >> 32
    return n, letters


@njit(cache=KEPT)
def document_shingles(data, start, end, table, width, buffer):
    """Fill `buffer` with the shingle hashes of one document, in text order, repeats included.

    `buffer` is uint64 of at least end - start + 1. Returns (shingles, hash of the whole sequence of words); equal
    normalised texts, and but for 64-bit collisions only they, have equal hashes of the sequence.
    """
    n, unspaced = words_of(data, start, end, table, buffer)
    if unspaced:
        units, letters = characters_of(data, start, end, table, buffer)
        if 2 * unspaced > letters:
            n = units
        else:
            n, unspaced = words_of(data, start, end, table, buffer)
    if n == 0:
        return 0, ZERO
    size = min(n, width)
    poly, leave = ZERO, ONE
    for i in range(size):
        poly = poly * K2 + buffer[i]
        leave *= K2
    # The hash takes the place of the word that leaves the window: one buffer serves both. The hash of the text is a
    # sum of terms that each know their place, so that the terms need not wait for one another.
    mix, text_hash = K4 ^ U64(size), U64(n)
    for i in range(n - size):
        h = fold(poly ^ K3, mix)
        poly = poly * K2 + (buffer[i + size] - buffer[i] * leave)
        buffer[i] = h
        text_hash += fold(h + U64(i), K0)
    buffer[n - size] = fold(poly ^ K3, mix)
    text_hash += fold(buffer[n - size] + U64(n - size), K0)
    return n - size + 1, text_hash


@njit(cache=KEPT)
def common(a, b):
    """Return the number of values that two sorted arrays without repeats share."""
    i, j, n = 0, 0, 0
    while i < a.size and j < b.size:
        x, y = a[i], b[j]
        n += x == y
        i += x <= y
        j += y <= x
    return n


@njit(cache=KEPT)
def jaccard_of_sets(a, b):
    """Return the Jaccard similarity of two sets, sorted arrays without repeats and not both empty."""
    shared = common(a, b)
    return shared / (a.size + b.size - shared)


def shingle_set(text: str, width: int = 5) -> npt.NDArray[np.uint64]:
    """Return the sorted distinct shingle hashes of one text; for tests and small uses.

    >>> shingle_set("The cat sat on the mat.").size
    2
    """
    data = np.frombuffer(text.encode(), np.uint8)
    buffer = np.empty(data.size + 1, np.uint64)
    n, _ = document_shingles(data, 0, data.size, table(), width, buffer)
    return np.unique(buffer[:n])


def jaccard(a: str, b: str, width: int = 5) -> float:
    """Return the Jaccard similarity of two texts' shingle sets, 0.0 where either has no shingle."""
    x, y = shingle_set(a, width), shingle_set(b, width)
    return float(jaccard_of_sets(x, y)) if x.size and y.size else 0.0
