"""Texts to words and sentences: one pass over the code points, without a Python string for any word.

A word is what spaCy's English calls a token, but for white space: what stands between white space, without the
punctuation at its beginning and end (each mark a word of its own), cut at hyphens, commas, slashes and the like between
letters; contractions are two words, and an abbreviation keeps its dot, an address its slashes. A sentence ends with a
word that is a terminal mark, and with all marks that follow it before any wider gap than one blank.

The characters of a text that are no white space stand one after another in `chars`, int32; a word is a range there.
`prefix`, uint64 (characters + 1,), are hashes of all beginnings of `chars`, polynomials modulo 2**64, so that the hash
of any range, of a word as of a run of words without the blanks between, is one multiplication.
"""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.hashing import K0, K1, K2, fold
from sparkprep.filter.kernels import characters, english
from sparkprep.filter.kernels.characters import (
    CURRENCY,
    DIGIT,
    EDGE,
    LETTER,
    LOWER,
    PUNCTUATION,
    QUOTE,
    SPACE,
    SYMBOL,
    TERMINAL,
    UPPER,
)

I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]

WIDE = 1 << 13
"""Beside a character's own flags, at the beginning of a word: more than one blank stands before it."""
LONGEST = 12
"""Characters of the longest special word."""
LONGEST_JOINED = 5
NOT_SPECIAL = -1
_SLOTS = 4096
_LONGEST_LABEL = 64
"""Characters of a part of a host's name."""

DOT, COMMA, COLON, SLASH, HYPHEN, TILDE, PLUS, UNDERSCORE = 0x2E, 0x2C, 0x3A, 0x2F, 0x2D, 0x7E, 0x2B, 0x5F
EN_DASH, EM_DASH, APOSTROPHE, CLOSING_QUOTE, ELLIPSIS = 0x2013, 0x2014, 0x27, 0x2019, 0x2026
PERCENT, EQUALS, SECTION, AT, DOLLAR, DEGREE = 0x25, 0x3D, 0xA7, 0x40, 0x24, 0xB0
UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa "
    "mbar mb MB kb KB gb GB tb TB T G M K %"
)
"""What is a word of its own behind a digit."""
_LONGEST_UNIT = 4


class Specials(NamedTuple):
    """Open addressing tables by hash: of words whose pieces are known, and of units."""

    keys: U64
    cuts: I32
    """where the second piece begins, and above bit 8 the third; 0 for none"""
    units: U64


@njit(cache=KEPT)
def character_hash(char):
    """Return the hash of one code point."""
    return fold(np.uint64(char) ^ K1, K2)


@njit(cache=KEPT)
def hash_of(chars):
    """Return the hash of a whole array of code points, as `range_hash` has it."""
    h = np.uint64(0)
    for char in chars:
        h = h * K0 + character_hash(char)
    return h


@njit(cache=KEPT)
def powers_of(n):
    """Return K0**0, ..., K0**n, uint64."""
    out = np.empty(n + 1, np.uint64)
    out[0] = np.uint64(1)
    for i in range(n):
        out[i + 1] = out[i] * K0
    return out


@njit(cache=KEPT)
def range_hash(prefix, powers, start, end):
    """Return the hash of the characters from `start` up to `end`."""
    return prefix[end] - prefix[start] * powers[end - start]


@njit(cache=KEPT)
def place_of(keys, key):
    """Return the slot of a key in an open addressing table of a power of two slots, or the free one where it would be.

    A free slot holds 0.
    """
    mask = keys.size - 1
    slot = np.int64(key >> np.uint64(40)) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@cache
def specials() -> Specials:
    """Return the tables of English."""
    found = Specials(np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.int32), np.zeros(_SLOTS, np.uint64))
    for word, pieces in english.special_words().items():
        key = np.uint64(hash_of(_points(word)))
        slot = place_of(found.keys, key)
        ends = np.cumsum([len(piece) for piece in pieces])[:-1].tolist()
        found.keys[slot], found.cuts[slot] = key, sum(end << 8 * place for place, end in enumerate(ends))
    for unit in UNITS.split():
        key = np.uint64(hash_of(_points(unit)))
        found.units[place_of(found.units, key)] = key
    return found


def _points(text: str) -> I32:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32).copy()


@njit(cache=KEPT)
def cuts_of(prefix, powers, start, end, specials):
    """Return how a special word is cut, 0 where it is not; NOT_SPECIAL for any other range."""
    if end - start > LONGEST:
        return NOT_SPECIAL
    key = range_hash(prefix, powers, start, end)
    slot = place_of(specials.keys, key)
    return np.int64(specials.cuts[slot]) if specials.keys[slot] == key else NOT_SPECIAL


@njit(cache=KEPT)
def length_before(chars, flags, a, b):
    """Return how many characters are cut off at the beginning of chars[a:b]."""
    first = chars[a]
    if first == DOT:
        end = a + 1
        while end < b and chars[end] == DOT:
            end += 1
        return end - a if end - a > 1 else 0
    if flags[a] & (EDGE | CURRENCY) or first in (PERCENT, EQUALS, SECTION):
        return 1
    if first == PLUS and not (a + 1 < b and 0x30 <= chars[a + 1] <= 0x39):
        return 1
    if a + 1 < b and chars[a + 1] == DOLLAR and first in (0x43, 0x41):  # C$, A$
        return 2
    if a + 2 < b and chars[a + 2] == DOLLAR and first == 0x55 and chars[a + 1] == 0x53:  # US$
        return 3
    return 0


@njit(cache=KEPT)
def length_behind(chars, flags, prefix, powers, a, b, specials):
    """Return how many characters are cut off at the end of chars[a:b]: the most that any rule says."""
    last = chars[b - 1]
    if last == DOT:
        start = b - 1
        while start > a and chars[start - 1] == DOT:
            start -= 1
        if b - start > 1:
            return b - start
        if b - 1 == a:
            return 0
        before, flag = chars[b - 2], flags[b - 2]
        if 0x30 <= before <= 0x39 or before in (PERCENT, 0xB2, HYPHEN, PLUS):
            return 1
        if flag & EDGE and not flag & SYMBOL and before not in (EN_DASH, EM_DASH):
            return 1
        if flag & LETTER and not flag & UPPER:
            return 1
        if b - 2 > a and is_upper(flag) and is_upper(flags[b - 3]):
            return 1
        return 1 if b - 3 >= a and chars[b - 3] == DEGREE and before in (0x46, 0x66, 0x43, 0x63, 0x4B, 0x6B) else 0
    if b - 1 > a and last in (0x73, 0x53) and chars[b - 2] in (APOSTROPHE, CLOSING_QUOTE):
        return 2
    for size in range(_LONGEST_UNIT, 0, -1):
        if b - size > a and 0x30 <= chars[b - size - 1] <= 0x39:
            key = range_hash(prefix, powers, b - size, b)
            if specials.units[place_of(specials.units, key)] == key:
                return size
    if flags[b - 1] & EDGE:
        return 1
    if b - 1 > a and 0x30 <= chars[b - 2] <= 0x39 and (last == PLUS or flags[b - 1] & CURRENCY):
        return 1
    return 0


@njit(cache=KEPT)
def is_upper(flag):
    """Return whether a character may begin a sentence: a letter that is not lower case."""
    return bool(flag & LETTER) and not flag & LOWER


@njit(cache=KEPT)
def length_between(chars, flags, a, at, b):
    """Return how many characters from `at` on stand between two words in chars[a:b]; 0 where a word goes on."""
    char, flag = chars[at], flags[at]
    if char == DOT and at + 1 < b and chars[at + 1] == DOT:
        end = at + 2
        while end < b and chars[end] == DOT:
            end += 1
        return end - at
    if char == ELLIPSIS or flag & SYMBOL:
        return 1
    if at == a or at + 1 >= b:
        return 0
    before, after = flags[at - 1], flags[at + 1]
    is_digit = 0x30 <= chars[at - 1] <= 0x39
    if is_digit and char in (PLUS, HYPHEN, 0x2A, 0x5E) and (0x30 <= chars[at + 1] <= 0x39 or chars[at + 1] == HYPHEN):
        return 1
    is_letter = bool(before & LETTER)
    if char == DOT:
        return int(
            ((is_letter and not before & UPPER) or bool(before & QUOTE)) and (is_upper(after) or bool(after & QUOTE))
        )
    if char == COMMA:
        return int(is_letter and bool(after & LETTER))
    if not (is_letter or is_digit):
        return 0
    if char in (HYPHEN, EN_DASH, EM_DASH, TILDE):
        end = at + 1
        while char in (HYPHEN, EM_DASH) and end < b and chars[end] == char and end - at < 3:
            end += 1
        if end - at == 3 and char == EM_DASH:
            end -= 1
        return end - at if end < b and flags[end] & LETTER else 0
    if char in (COLON, 0x3C, 0x3E, EQUALS, SLASH):
        return int(bool(after & LETTER))
    return 0


@njit(cache=KEPT)
def is_of_host(char):
    """Return whether a character may begin or end a part of a host's name."""
    return 0x61 <= char <= 0x7A or 0x41 <= char <= 0x5A or 0x30 <= char <= 0x39 or 0xA1 <= char <= 0xFFFF


@njit(cache=KEPT)
def is_host_on(chars, flags, a, b):
    """Return whether chars[a:b] is a host's name, with a port or not, and what may follow: HOST[:PORT][/...]."""
    at = a
    labels = 0
    while at < b:
        start = at
        while at < b and (is_of_host(chars[at]) or (at > start and chars[at] in (HYPHEN, UNDERSCORE))):
            at += 1
        if at < b and chars[at] == DOT and 0 < at - start <= _LONGEST_LABEL and is_of_host(chars[at - 1]):
            labels += 1
            at += 1
            continue
        # What begins with the last dot: two or more letters that are not capitals, then perhaps a port and a path.
        if not labels:
            return False
        at = start
        while at < b and flags[at] & LETTER and not flags[at] & UPPER:
            at += 1
        if not 2 <= at - start <= 63:
            return False
        if at < b and chars[at] == COLON:
            port = at + 1
            while port < b and flags[port] & DIGIT:
                port += 1
            if 2 <= port - at - 1 <= 5:
                at = port
        return at == b or chars[at] in (SLASH, 0x3F, 0x23)
    return False


@njit(cache=KEPT)
def is_address(chars, flags, a, b):
    """Return whether chars[a:b] is an address: [SCHEME://][USER@]HOST[:PORT][/PATH]."""
    has_dot = False
    for at in range(a, b):
        has_dot = has_dot or chars[at] == DOT
    if not has_dot:
        return False
    begin = a
    at = a
    while at < b and (flags[at] & (LETTER | DIGIT) or chars[at] in (UNDERSCORE, PLUS, HYPHEN, DOT)):
        at += 1
    if at - a >= 2 and at + 2 < b and chars[at] == COLON and chars[at + 1] == SLASH and chars[at + 2] == SLASH:
        begin = at + 3
    if is_host_on(chars, flags, begin, b):
        return True
    at = b - 2
    while at > begin and not (chars[at] == AT and is_host_on(chars, flags, at + 1, b)):
        at -= 1
    return at > begin


@njit(cache=KEPT)
def chunk_words(chars, flags, prefix, powers, a, b, specials, starts, n, tail):
    """Cut chars[a:b], which stand between white space, into words; fill `starts` from n on and return the new n.

    tail: int32 room for as many numbers as there are characters.
    """
    first, end = n, b
    cuts, waiting = NOT_SPECIAL, 0
    while a < b:
        cuts = cuts_of(prefix, powers, a, b, specials)
        if cuts >= 0:
            break
        before = length_before(chars, flags, a, b)
        if before and a + before < b and cuts_of(prefix, powers, a + before, b, specials) >= 0:
            starts[n], n, a = a, n + 1, a + before
            continue
        behind = length_behind(chars, flags, prefix, powers, a + before, b, specials) if a + before < b else 0
        if behind and a < b - behind and cuts_of(prefix, powers, a, b - behind, specials) >= 0:
            b -= behind
            tail[waiting], waiting = b, waiting + 1
            continue
        if not before and not behind:
            break
        if before:
            starts[n], n, a = a, n + 1, a + before
        if behind:
            b -= behind
            tail[waiting], waiting = b, waiting + 1
    if a < b:
        starts[n], n = a, n + 1
        if cuts > 0:
            starts[n], n = a + (cuts & 0xFF), n + 1
            if cuts >> 8:
                starts[n], n = a + (cuts >> 8), n + 1
        elif cuts < 0 and not is_address(chars, flags, a, b):
            at = a + 1
            begin = a
            while at < b:
                size = length_between(chars, flags, a, at, b)
                if not size:
                    at += 1
                    continue
                if at > begin:
                    starts[n], n = at, n + 1
                at += size
                begin = at
                if at < b:
                    starts[n], n = at, n + 1
    while waiting:
        waiting -= 1
        starts[n], n = tail[waiting], n + 1
    starts[n] = end
    return n if n - first < 2 else joined(prefix, powers, specials, starts, first, n)


@njit(cache=KEPT)
def joined(prefix, powers, specials, starts, first, n):
    """Make words that together are a special one, as an emoticon whose marks were cut off, one again; return the new n.

    The words first..n - 1 touch one another, and starts[n] is where the last one ends.
    """
    kept = at = first
    while at < n:
        starts[kept] = starts[at]
        together = 1
        for count in range(min(LONGEST_JOINED, n - at), 1, -1):
            if cuts_of(prefix, powers, starts[at], starts[at + count], specials) == 0:
                together = count
                break
        kept, at = kept + 1, at + together
    starts[kept] = starts[n]
    return kept


@njit(cache=KEPT)
def text_words(points, length, table, powers, specials, chars, flags, prefix, starts, tail):
    """Cut the first `length` code points into words; return (words, characters that are no white space).

    Filled: chars int32, flags uint16, prefix uint64 (one more), starts int32: where each word begins in `chars`, and
    behind the last one, where that ends.
    """
    n = m = begin = 0
    blanks, is_blank = 0, False  # white space since the last character, and whether the first of it is " "
    prefix[0] = 0
    for i in range(length + 1):
        flag = table[points[i]] if i < length else np.uint16(SPACE)
        if not flag & SPACE:
            is_wide = m == begin and blanks > 0 and not (blanks == 1 and is_blank)
            chars[m], flags[m] = points[i], flag | WIDE if is_wide else flag
            prefix[m + 1] = prefix[m] * K0 + character_hash(points[i])
            m += 1
            blanks = 0
        else:
            if m > begin:
                n = chunk_words(chars, flags, prefix, powers, begin, m, specials, starts, n, tail)
                begin = m
            if blanks == 0:
                is_blank = i < length and points[i] == 0x20
            blanks += 1
    starts[n] = m
    return n, m


@njit(cache=KEPT)
def sentence_starts(chars, flags, starts, n, out):
    """Fill `out` with the numbers of the words that begin a sentence; return how many there are."""
    sentences, ended = 0, False
    for word in range(n):
        is_terminal = starts[word + 1] - starts[word] == 1 and flags[starts[word]] & TERMINAL
        if word == 0:
            out[sentences], sentences = word, sentences + 1
        elif ended and (
            flags[starts[word]] & WIDE or not (is_terminal or is_punctuation(flags, starts[word], starts[word + 1]))
        ):
            out[sentences], sentences = word, sentences + 1
            ended = False
        ended = ended or bool(is_terminal)
    return sentences


@njit(cache=KEPT)
def is_punctuation(flags, start, end):
    """Return whether all of a word's characters are punctuation."""
    while start < end and flags[start] & PUNCTUATION:
        start += 1
    return start == end


def hash_of_word(word: str) -> np.uint64:
    """Return the hash that a word has in any text."""
    return np.uint64(hash_of(_points(word)))


class Words(NamedTuple):
    """A text's words, for small uses. chars: its characters without white space; starts (words + 1,) in them."""

    chars: str
    starts: list[int]
    sentences: list[int]
    """numbers of the words that begin a sentence"""


def _words(text: str) -> Words:
    points = _points(text)
    size = points.size + 1
    chars, starts, tail, out = (np.empty(size, np.int32) for _ in range(4))
    flags, prefix = np.empty(size, np.uint16), np.empty(size + 1, np.uint64)
    n, m = text_words(
        points, points.size, characters.table(), powers_of(size), specials(), chars, flags, prefix, starts, tail
    )
    sentences = sentence_starts(chars, flags, starts, n, out)
    return Words("".join(map(chr, chars[:m].tolist())), starts[: n + 1].tolist(), out[:sentences].tolist())


def split_words(text: str) -> list[str]:
    """Return the words of a text, punctuation among them.

    >>> split_words("Dr. Roe can't e-mail (yet).")
    ['Dr.', 'Roe', 'ca', "n't", 'e', '-', 'mail', '(', 'yet', ')', '.']
    """
    found = _words(text)
    return [found.chars[start:end] for start, end in pairwise(found.starts)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return where each sentence begins and ends in a text, white space at either side left out.

    >>> [text[a:b] for text in ["He said 'No.' Then: nothing!"] for a, b in sentence_spans(text)]
    ["He said 'No.'", 'Then: nothing!']
    """
    found = _words(text)
    places = [place for place, char in enumerate(text) if not char.isspace()]
    edges = [*(found.starts[word] for word in found.sentences), len(places)]
    return [(places[start], places[end - 1] + 1) for start, end in pairwise(edges) if end > start]
