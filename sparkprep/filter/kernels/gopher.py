"""Gopher's rules (Rae et al. 2021, arXiv:2112.11446, appendix A1), as datatrove asks them.

Each function fills `values` with what it measures and returns the number of the first rule that fails, or -1. limits
and values float64, active uint8: one for each rule of the set, in the order of `sparkprep.filter.rules`.
"""

import numpy as np
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.filter.kernels.characters import LETTER, NO_WORD
from sparkprep.filter.kernels.texts import (
    characters_said_before,
    most_frequent,
    ratio,
    said_before,
    split_at_runs,
    split_lines,
    stripped,
)
from sparkprep.filter.kernels.words import DOT, ELLIPSIS, HYPHEN, range_hash

BULLET, HASH = 0x2022, 0x23
EMPTY, PARAGRAPHS, PARAGRAPH_CHARS, LINES, LINE_CHARS, TOP_2_GRAM, DUPLICATE_5_GRAMS = 0, 1, 2, 3, 4, 5, 8
(
    MIN_WORDS,
    MAX_WORDS,
    MIN_WORD_LENGTH,
    MAX_WORD_LENGTH,
    HASHES,
    ELLIPSES,
    BULLET_LINES,
    ELLIPSIS_LINES,
    ALPHA_WORDS,
    STOP_WORDS,
) = range(10)


@njit(cache=KEPT)
def is_above(rule, value, limits, active, values):
    """Note what a rule measures; return whether that is above its limit."""
    values[rule] = value
    return active[rule] and value > limits[rule]


@njit(cache=KEPT)
def is_below(rule, value, limits, active, values):
    """Note what a rule measures; return whether that is below its limit."""
    values[rule] = value
    return active[rule] and value < limits[rule]


@njit(cache=KEPT)
def repeated_lines(room, n, limits, active, values):
    """Ask the rules of repetition that look at paragraphs and lines of a text of n code points."""
    if n == 0:
        return EMPTY if active[EMPTY] else -1
    start, end = stripped(room.points, room.table, 0, n)
    parts = split_at_runs(room.points, start, end, 2, room.starts, room.ends)
    repeated, chars = said_before(room.hashes, room.powers, room.starts, room.ends, parts, room.keys)
    if is_above(PARAGRAPHS, ratio(repeated, parts), limits, active, values):
        return PARAGRAPHS
    if is_above(PARAGRAPH_CHARS, ratio(chars, n), limits, active, values):
        return PARAGRAPH_CHARS
    parts = split_at_runs(room.points, 0, n, 1, room.starts, room.ends)
    repeated, chars = said_before(room.hashes, room.powers, room.starts, room.ends, parts, room.keys)
    if is_above(LINES, ratio(repeated, parts), limits, active, values):
        return LINES
    if is_above(LINE_CHARS, ratio(chars, n), limits, active, values):
        return LINE_CHARS
    return -1


@njit(cache=KEPT)
def repeated_words(room, n, words, limits, active, values):
    """Ask the rules of repetition that look at runs of words, of which a text of n code points has so many."""
    for width in range(2, 5):
        rule = TOP_2_GRAM + width - 2
        if active[rule] and words >= width:
            chars = most_frequent(room.prefix, room.powers, room.words, words, width, room.keys, room.counts)
            if is_above(rule, ratio(chars, n), limits, active, values):
                return rule
    for width in range(5, 11):
        rule = DUPLICATE_5_GRAMS + width - 5
        if active[rule]:
            chars = characters_said_before(room.prefix, room.powers, room.words, words, width, room.keys)
            if is_above(rule, ratio(chars, n), limits, active, values):
                return rule
    return -1


@njit(cache=KEPT)
def quality(room, n, words, stop_words, limits, active, values):
    """Ask the rules of quality. stop_words: the hashes of at most 64 words, uint64."""
    counted = chars = alpha = 0
    met = np.uint64(0)
    for word in range(words):
        start, end = room.words[word], room.words[word + 1]
        has_letter = is_word = False
        for at in range(start, end):
            has_letter = has_letter or bool(room.flags[at] & LETTER)
            is_word = is_word or not room.flags[at] & NO_WORD
        alpha += has_letter
        if is_word:
            counted += 1
            chars += end - start
        if has_letter:
            h = range_hash(room.prefix, room.powers, start, end)
            for place in range(stop_words.size):
                if stop_words[place] == h:
                    met |= np.uint64(1) << np.uint64(place)
    if is_below(MIN_WORDS, counted, limits, active, values):
        return MIN_WORDS
    if is_above(MAX_WORDS, counted, limits, active, values):
        return MAX_WORDS
    mean = ratio(chars, counted)
    if is_below(MIN_WORD_LENGTH, mean, limits, active, values):
        return MIN_WORD_LENGTH
    if is_above(MAX_WORD_LENGTH, mean, limits, active, values):
        return MAX_WORD_LENGTH
    hashes, ellipses = symbols(room.points, n)
    if is_above(HASHES, ratio(hashes, words), limits, active, values):
        return HASHES
    if is_above(ELLIPSES, ratio(ellipses, words), limits, active, values):
        return ELLIPSES
    lines, bullets, cut = line_marks(room, n)
    if is_above(BULLET_LINES, ratio(bullets, lines), limits, active, values):
        return BULLET_LINES
    if is_above(ELLIPSIS_LINES, ratio(cut, lines), limits, active, values):
        return ELLIPSIS_LINES
    if is_below(ALPHA_WORDS, ratio(alpha, words), limits, active, values):
        return ALPHA_WORDS
    stops = 0
    for place in range(stop_words.size):
        stops += np.int64(met >> np.uint64(place) & np.uint64(1))
    if is_below(STOP_WORDS, stops, limits, active, values):
        return STOP_WORDS
    return -1


@njit(cache=KEPT)
def symbols(points, n):
    """Return how many # a text has, and how many ellipses: "…", and "..." of which none overlaps another."""
    hashes = ellipses = at = 0
    while at < n:
        if points[at] == HASH:
            hashes += 1
        elif points[at] == ELLIPSIS:
            ellipses += 1
        elif at + 2 < n and points[at] == DOT and points[at + 1] == DOT and points[at + 2] == DOT:
            ellipses += 1
            at += 2
        at += 1
    return hashes, ellipses


@njit(cache=KEPT)
def line_marks(room, n):
    """Return the lines of a text, those that begin with a bullet, and those that end in an ellipsis."""
    lines = split_lines(room.points, n, room.table, room.starts, room.ends)
    bullets = cut = 0
    for line in range(lines):
        start, end = stripped(room.points, room.table, room.starts[line], room.ends[line])
        if start == end:
            continue
        bullets += room.points[start] == BULLET or room.points[start] == HYPHEN
        cut += ends_in_ellipsis(room.points, start, end)
    return lines, bullets, cut


@njit(cache=KEPT)
def ends_in_ellipsis(points, start, end):
    """Return whether points[start:end] end in "…" or "..."."""
    last = points[end - 1]
    if last == ELLIPSIS:
        return True
    return end - start >= 3 and last == DOT and points[end - 2] == DOT and points[end - 3] == DOT
