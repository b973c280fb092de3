"""Text bytes to words as n-grams count them: their hashes, and their lower-cased text with its places.

The words are those of the shingles, the runs of Unicode letters and numbers of the lower-cased text, but that every
letter of a script that is written without blanks (Han, kana, Thai, Lao, Khmer, Myanmar) is a word of its own: by the
letter, not by the text around it, so that a question is the same words wherever it stands.
"""

import numpy as np
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.shingles import (
    CAPITAL_SIGMA,
    DOTTED_I,
    FINAL_SIGMA,
    any_word,
    sigma_is_final,
    words_of,
)
from sparkprep.dedup.kernels.unicode import LOWER_MASK, NO_SPACES, WORD
from sparkprep.dedup.kernels.utf8 import decode, encode_text

BLANK = 0x20


@njit(cache=KEPT)
def word_end(data, pos, end, table):
    """Return where the word that begins at `pos` ends; `pos` itself where none begins there."""
    first = pos
    while pos < end:
        code = decode(data, pos, end)
        entry = table[code & 0x1FFFFF] if code >= 0 else 0
        if not entry & WORD:
            break
        if entry & NO_SPACES:
            return pos + (code >> 32) if pos == first else pos
        pos += code >> 32
        if code & 0x1FFFFF == DOTTED_I:  # its lower case ends with a combining dot, which is no letter
            break
    return pos


@njit(cache=KEPT)
def next_word(data, pos, end, table):
    """Return (where the next word begins from `pos` on, where it ends); (end, end) behind the last one."""
    while pos < end:
        stop = word_end(data, pos, end, table)
        if stop > pos:
            return pos, stop
        code = decode(data, pos, end)
        pos += code >> 32 if code >= 0 else 1
    return end, end


@njit(cache=KEPT)
def word_hashes(data, start, end, table, out):
    """Fill `out`, uint64 of (bytes + 1) // 2, with the hashes of the words of data[start:end]; return how many."""
    n, unspaced = words_of(data, start, end, table, out)
    if not unspaced:
        return n
    n, (pos, stop) = 0, next_word(data, start, end, table)
    while pos < end:
        out[n] = any_word(data, start, pos, stop, end, table)[0]
        n += 1
        pos, stop = next_word(data, stop, end, table)
    return n


@njit(cache=KEPT)
def lowered_words(data, start, end, table):
    """Return (text, starts, places) of the words of data[start:end].

    text: uint8, the lower-cased words, each with a blank behind it. starts: int64 (words + 1,) of each in `text`, and
    its end. places: int64 (words, 2), where each word begins and ends in data[start:end].
    """
    most = (end - start + 1) // 2
    starts, places = np.empty(most + 1, np.int64), np.empty((most, 2), np.int64)
    text = np.empty(2 * (end - start) + 1, np.uint8)  # a lower-cased letter takes half as many bytes again at the most
    points = np.empty(end - start, np.int32)
    n = at = 0
    pos, stop = next_word(data, start, end, table)
    while pos < end:
        starts[n], places[n, 0], places[n, 1] = at, pos - start, stop - start
        k = 0
        while pos < stop:
            code = decode(data, pos, end)
            cp = code & 0x1FFFFF
            is_final = cp == CAPITAL_SIGMA and sigma_is_final(data, start, pos, end, table)
            points[k] = FINAL_SIGMA if is_final else table[cp] & LOWER_MASK
            k += 1
            pos += code >> 32
        at = encode_text(points, k, text, at)
        text[at] = BLANK
        at += 1
        n += 1
        pos, stop = next_word(data, stop, end, table)
    starts[n] = at
    return text[:at].copy(), starts[: n + 1].copy(), places[:n].copy()
