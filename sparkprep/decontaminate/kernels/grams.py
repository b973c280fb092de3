"""The n-grams of evaluation sets: a table of them, and which of them stand in a text.

An n-gram is found by a 64-bit hash and then compared word by word, so that no two are ever taken for one. Most of a
text is never hashed: a run of `size` words that is in the table holds a shorter one, an anchor, at a multiple of
`size - ANCHOR + 1` words from the text's beginning; where that is none of the benchmarks', no n-gram lies over it, and
where it is one, so are those at the words beside it, or there is no n-gram either.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sparkprep.decontaminate.kernels.words import lowered_words, word_hashes
from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.hashing import K2, K3, K4, fold

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U64 = np.uint64
NONE = -1
"""Stands for no n-gram."""
ANCHOR = 4
"""Words of an anchor, where n-grams are as long."""
BITS = 16
"""Of the set of anchors for each of them: one in 16 that are none of the benchmarks' is taken for one."""


class Grams(NamedTuple):
    """The distinct n-grams of evaluation sets, numbered in the order in which they are met: what kernels search for."""

    text: npt.NDArray[np.uint8]
    """the words of the texts that hold them, lower-cased, each with a blank behind it"""
    starts: I32
    """(words + 1,) where each word begins in `text`, and its end"""
    first: I32
    """(n-grams,) the first word of each"""
    sizes: npt.NDArray[np.uint8]
    """(n-grams,) the words of each"""
    lengths: I64
    """the different sizes there are, ascending"""
    keys: npt.NDArray[np.uint64]
    """(slots,) hashes, by open addressing; a power of two of slots"""
    numbers: I32
    """(slots,) the n-gram of each slot, NONE where it is free"""
    anchors: npt.NDArray[np.uint64]
    """a set of bits, a power of two of them"""
    anchor: int
    """words of an anchor"""


@njit(cache=KEPT)
def run_key(words, first, size):
    """Return the hash of `size` words from the word `first` on; words: their hashes."""
    poly = U64(0)
    for i in range(first, first + size):
        poly = poly * K2 + words[i]
    return fold(poly ^ K3, K4 ^ U64(size))


@njit(cache=KEPT)
def equal_runs(text, starts, first, other_text, other_starts, other, size):
    """Return whether `size` words of one text are those of another: both as `lowered_words` makes them."""
    begin, length = starts[first], starts[first + size] - starts[first]
    other_begin = other_starts[other]
    if other_starts[other + size] - other_begin != length:
        return False
    same = 0
    while same < length and text[begin + same] == other_text[other_begin + same]:
        same += 1
    return same == length


@njit(cache=KEPT)
def slot_of(grams, key, text, starts, first, size):
    """Return the slot of the n-gram that `size` words of a text are, or the free one where it would be."""
    mask = grams.keys.size - 1
    slot = np.int64(key >> U64(1)) & mask
    while grams.numbers[slot] != NONE:
        if grams.keys[slot] == key:
            number = grams.numbers[slot]
            known = grams.first[number]
            if grams.sizes[number] == size and equal_runs(grams.text, grams.starts, known, text, starts, first, size):
                return slot
        slot = (slot + 1) & mask
    return slot


@njit(cache=KEPT)
def has_key(grams, key):
    """Return whether an n-gram of this hash is in the table; it may be another than the one that was hashed."""
    mask = grams.keys.size - 1
    slot = np.int64(key >> U64(1)) & mask
    while grams.numbers[slot] != NONE:
        if grams.keys[slot] == key:
            return True
        slot = (slot + 1) & mask
    return False


@njit(cache=KEPT)
def anchor_bit(anchors, key):
    """Return (place in `anchors`, mask) of the bit of an anchor."""
    bit = key & U64(64 * anchors.size - 1)
    return np.int64(bit >> U64(6)), U64(1) << (bit & U64(63))


@njit(cache=KEPT)
def fill(grams, hashes, texts, questions, width, least, of_gram, of_question):
    """Put the n-grams of texts into an empty table; return (n-grams, pairs of n-gram and question).

    hashes: uint64, of the words that `grams.starts` tells of. texts: int64 (texts, 2), the words where each begins and
    ends; questions: int32 (texts,), ascending. Of a text of fewer than `width` words, and of `least` or more, all of it
    is one. Filled besides: of_gram, of_question: int32, the pairs, each once.
    """
    count = pairs = 0
    last = np.full(grams.first.size, NONE, np.int32)
    for t in range(len(texts)):
        begin, end = texts[t]
        size = min(width, end - begin)
        if size < min(width, least):
            continue
        for first in range(begin, end - grams.anchor + 1):
            place, mask = anchor_bit(grams.anchors, run_key(hashes, first, grams.anchor))
            grams.anchors[place] |= mask
        for first in range(begin, end - size + 1):
            key = run_key(hashes, first, size)
            slot = slot_of(grams, key, grams.text, grams.starts, first, size)
            number = grams.numbers[slot]
            if number == NONE:
                number = count
                grams.keys[slot], grams.numbers[slot] = key, number
                grams.first[number], grams.sizes[number] = first, size
                count += 1
            if last[number] != questions[t]:
                last[number] = questions[t]
                of_gram[pairs], of_question[pairs] = number, questions[t]
                pairs += 1
    return count, pairs


@njit(cache=KEPT)
def is_anchor(words, at, grams):
    """Return whether the words from `at` on seem to be an anchor of the benchmarks': never wrongly not."""
    place, mask = anchor_bit(grams.anchors, run_key(words, at, grams.anchor))
    return grams.anchors[place] & mask != 0


@njit(cache=KEPT)
def may_hold(words, n, grams):
    """Return whether one of the n-grams seems to stand among the first n hashes of `words`: never wrongly not."""
    if grams.lengths.size == 0:
        return False
    # Where a run of `size` words begins, and on the `size - anchor` words behind it, an anchor must begin.
    last, further = n - grams.anchor, grams.lengths[-1] - grams.anchor
    step = grams.lengths[0] - grams.anchor + 1
    for at in range(0, last + 1, step):
        if not is_anchor(words, at, grams):
            continue
        left = right = at
        while left > max(0, at - further) and is_anchor(words, left - 1, grams):
            left -= 1
        while right < min(last, at + further) and is_anchor(words, right + 1, grams):
            right += 1
        if right - left + 1 < step:
            continue
        for size in grams.lengths:
            rest = size - grams.anchor
            for first in range(max(left, at - rest), min(at, right - rest) + 1):
                if has_key(grams, run_key(words, first, size)):
                    return True
    return False


@njit(cache=KEPT)
def scan(data, offsets, table, grams, found):
    """Tell which texts of a column seem to hold one of the n-grams: fill found, uint8 (n,), with 1 or 0.

    data uint8 and offsets int64 (n + 1) as in Arrow.
    """
    longest = 0
    for d in range(found.size):
        longest = max(longest, offsets[d + 1] - offsets[d])
    words = np.empty((longest + 1) // 2, np.uint64)
    for d in range(found.size):
        n = word_hashes(data, offsets[d], offsets[d + 1], table, words)
        found[d] = may_hold(words, n, grams)


@njit(cache=KEPT)
def hits_of(data, start, end, table, grams):
    """Return (first words, numbers, text, starts, places) of all n-grams that stand in data[start:end].

    first words, numbers: int64, of each place where an n-gram stands, and which it is; the others as `lowered_words`.
    """
    words = np.empty((end - start + 1) // 2, np.uint64)
    n = word_hashes(data, start, end, table, words)
    text, starts, places = lowered_words(data, start, end, table)
    firsts, numbers, count = np.empty(64, np.int64), np.empty(64, np.int64), 0
    for first in range(n):
        for size in grams.lengths:
            if first + size > n:
                break
            key = run_key(words, first, size)
            if not has_key(grams, key):
                continue
            number = grams.numbers[slot_of(grams, key, text, starts, first, size)]
            if number == NONE:
                continue
            if count == firsts.size:
                firsts = np.concatenate((firsts, np.empty_like(firsts)))
                numbers = np.concatenate((numbers, np.empty_like(numbers)))
            firsts[count], numbers[count] = first, number
            count += 1
    return firsts[:count].copy(), numbers[:count].copy(), text, starts, places
