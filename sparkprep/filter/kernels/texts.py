"""Texts as code points, and what repeats in them: paragraphs, lines, runs of words.

Whatever is said before is found by 64-bit hashes of the code points: two different lines of a text share one with a
probability of about 2**-64.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.hashing import K0, K3, K4, fold
from sparkprep.dedup.kernels.utf8 import decode
from sparkprep.filter.kernels import characters
from sparkprep.filter.kernels.characters import LINE_END, SPACE
from sparkprep.filter.kernels.words import (
    I32,
    U64,
    Specials,
    character_hash,
    place_of,
    powers_of,
    range_hash,
    specials,
)

NEW_LINE, CARRIAGE_RETURN, REPLACEMENT = 0x0A, 0x0D, 0xFFFD


class Room(NamedTuple):
    """What the kernels read and fill for one text after another. Sizes: for the longest one, in code points."""

    table: npt.NDArray[np.uint16]
    powers: U64
    specials: Specials
    points: I32
    hashes: U64
    """of the beginnings of `points`"""
    chars: I32
    flags: npt.NDArray[np.uint16]
    prefix: U64
    words: I32
    """where each word begins in `chars`"""
    starts: I32
    """of paragraphs or lines in `points`"""
    ends: I32
    tail: I32
    keys: U64
    """of a set of what was said before"""
    counts: I32
    """for each key, or for each of the distinct runs of words"""
    other: I32
    """code points of a text that is made from `points`"""


def room_for(longest: int) -> Room:
    """Return room for texts of up to so many bytes."""
    size = longest + 2
    slots = 1 << (2 * size).bit_length()
    i32 = [np.empty(size, np.int32) for _ in range(7)]
    points, chars, words, starts, ends, tail, other = i32
    return Room(
        characters.table(),
        powers_of(size),
        specials(),
        points,
        np.empty(size + 1, np.uint64),
        chars,
        np.empty(size, np.uint16),
        np.empty(size + 1, np.uint64),
        words,
        starts,
        ends,
        tail,
        np.empty(slots, np.uint64),
        np.empty(slots, np.int32),
        other,
    )


@njit(cache=KEPT)
def decode_text(data, start, end, points):
    """Fill `points` with the code points of UTF-8 bytes, U+FFFD for a byte that is none; return how many there are."""
    n = 0
    while start < end:
        byte = data[start]
        if byte < 0x80:
            points[n] = byte
            start += 1
        else:
            code = decode(data, start, end)
            if code < 0:
                points[n] = REPLACEMENT
                start += 1
            else:
                points[n] = code & 0x1FFFFF
                start += code >> 32
        n += 1
    return n


@njit(cache=KEPT)
def hash_beginnings(points, n, hashes):
    """Fill `hashes`, uint64 (n + 1,), with the hashes of the first 0, 1, ..., n code points."""
    hashes[0] = 0
    for i in range(n):
        hashes[i + 1] = hashes[i] * K0 + character_hash(points[i])


@njit(cache=KEPT)
def stripped(points, table, start, end):
    """Return where points[start:end] begin and end without the white space at either side, as str.strip() says."""
    while start < end and table[points[start]] & SPACE:
        start += 1
    while end > start and table[points[end - 1]] & SPACE:
        end -= 1
    return start, end


@njit(cache=KEPT)
def split_at_runs(points, start, end, least, starts, ends):
    """Cut points[start:end] at runs of `least` line feeds or more; fill starts and ends and return how many parts."""
    parts, begin, at = 0, start, start
    while at < end:
        run = at
        while run < end and points[run] == NEW_LINE:
            run += 1
        if run - at >= least:
            starts[parts], ends[parts], parts = begin, at, parts + 1
            begin = run
        at = max(run, at + 1)
    starts[parts], ends[parts] = begin, end
    return parts + 1


@njit(cache=KEPT)
def split_lines(points, n, table, starts, ends):
    """Cut a text as str.splitlines() does; fill starts and ends and return how many lines there are."""
    lines = begin = at = 0
    while at < n:
        if table[points[at]] & LINE_END:
            starts[lines], ends[lines], lines = begin, at, lines + 1
            at += 2 if points[at] == CARRIAGE_RETURN and at + 1 < n and points[at + 1] == NEW_LINE else 1
            begin = at
        else:
            at += 1
    if begin < n:
        starts[lines], ends[lines], lines = begin, n, lines + 1
    return lines


@njit(cache=KEPT)
def split_not_blank(points, n, table, starts, ends):
    """Cut a text at each line feed, and leave out the parts that are blank; return how many are left."""
    lines = begin = 0
    is_blank = True
    for at in range(n + 1):
        if at == n or points[at] == NEW_LINE:
            if not is_blank:
                starts[lines], ends[lines], lines = begin, at, lines + 1
            begin, is_blank = at + 1, True
        elif is_blank and not table[points[at]] & SPACE:
            is_blank = False
    return lines


@njit(cache=KEPT)
def emptied(keys, items):
    """Return a set without a value, a power of two of slots at the beginning of `keys`, with room for so many."""
    size = 8
    while size < 2 * items:
        size *= 2
    found = keys[:size]
    found[:] = 0
    return found


@njit(cache=KEPT)
def key_of(h, length):
    """Return the key of a range by its hash and length: not 0, which stands for a free slot."""
    return fold(h ^ K3, K4 + np.uint64(length)) | np.uint64(1)


@njit(cache=KEPT)
def said_before(hashes, powers, starts, ends, parts, keys):
    """Return how many of the parts of a text stand in it before, and their characters."""
    repeated = characters_of_them = 0
    seen = emptied(keys, parts)
    for part in range(parts):
        length = ends[part] - starts[part]
        key = key_of(range_hash(hashes, powers, starts[part], ends[part]), length)
        slot = place_of(seen, key)
        if seen[slot] == key:
            repeated += 1
            characters_of_them += length
        seen[slot] = key
    return repeated, characters_of_them


@njit(cache=KEPT)
def most_frequent(prefix, powers, words, n, width, keys, counts):
    """Return the characters of all occurrences of the most frequent run of `width` words, blanks between them counted.

    Of several that are as frequent, the one that stands first. 0 where there are fewer words.
    """
    runs = n - width + 1
    if runs <= 0:
        return 0
    seen = emptied(keys, runs)
    most = best = 0
    # The count of a run that is met again is known at its first place: counts holds it by slot.
    for run in range(runs):
        key = words_key(prefix, powers, words, run, width)
        slot = place_of(seen, key)
        if seen[slot] == key:
            counts[slot] += 1
        else:
            seen[slot] = key
            counts[slot] = 1
        most = max(most, counts[slot])
    for run in range(runs):
        if counts[place_of(seen, words_key(prefix, powers, words, run, width))] == most:
            best = run
            break
    return most * (words[best + width] - words[best] + width - 1)


@njit(cache=KEPT)
def words_key(prefix, powers, words, run, width):
    """Return the key of `width` words from the word `run` on, as they are cut: "ab c" is another than "a bc"."""
    h = np.uint64(width)
    for word in range(run, run + width):
        h = fold(h ^ range_hash(prefix, powers, words[word], words[word + 1]), K4) + K3
    return h | np.uint64(1)


@njit(cache=KEPT)
def characters_said_before(prefix, powers, words, n, width, keys):
    """Return the characters of runs of `width` words that were said before, of which none overlaps another.

    Runs are equal where their characters are, wherever these are cut into words.
    """
    seen = emptied(keys, max(0, n - width + 1))
    repeated = word = 0
    while word < n - width + 1:
        start, end = words[word], words[word + width]
        key = key_of(range_hash(prefix, powers, start, end), end - start)
        slot = place_of(seen, key)
        if seen[slot] == key:
            repeated += end - start
            word += width
        else:
            seen[slot] = key
            word += 1
    return repeated


@njit(cache=KEPT)
def ratio(part, whole):
    """Return part / whole, NaN where there is no whole: no comparison with it is true."""
    return part / whole if whole else np.nan
