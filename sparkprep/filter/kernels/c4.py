"""C4's rules (Raffel et al. 2020, arXiv:1910.10683, section 2.2), as datatrove asks them: of lines, then of what stays.

limits, active and counts: one for each rule of the set, in the order of `sparkprep.filter.rules`.
"""

import numpy as np
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.filter.kernels.characters import DIGIT, SPACE
from sparkprep.filter.kernels.texts import NEW_LINE, split_lines, stripped
from sparkprep.filter.kernels.words import DOT, sentence_starts, text_words

(
    MAX_WORD_CHARS,
    CITATIONS,
    TERMINAL_PUNCTUATION,
    MIN_LINE_WORDS,
    LOREM_IPSUM,
    JAVASCRIPT,
    CURLY_BRACKET,
    POLICY,
    MIN_SENTENCES,
) = range(9)


def _points(*texts: str) -> tuple[np.ndarray, ...]:
    return tuple(np.array([ord(char) for char in text], np.int32) for text in texts)


OPEN, CLOSE, CURLY, KELVIN = 0x5B, 0x5D, 0x7B, 0x212A
TERMINAL = (0x2E, 0x3F, 0x21, 0x22, 0x27)
EDIT, CITATION_NEEDED = _points("[edit]", "[citation needed]")
LOREM, SCRIPT = _points("lorem ipsum", "javascript")
POLICIES = _points("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


@njit(cache=KEPT)
def lower(char):
    """Return a code point in lower case, as far as that is of ASCII: of others, only the sign of kelvin becomes so."""
    return char + 32 if 0x41 <= char <= 0x5A else np.int32(0x6B) if char == KELVIN else char


@njit(cache=KEPT)
def stands_at(points, at, end, phrase):
    """Return whether points[at:end], in lower case, begin with a phrase."""
    if end - at < phrase.size:
        return False
    same = 0
    while same < phrase.size and lower(points[at + same]) == phrase[same]:
        same += 1
    return same == phrase.size


@njit(cache=KEPT)
def phrases_in(points, start, end):
    """Return which stand in points[start:end]: lorem ipsum, JavaScript, {, a phrase of policies."""
    lorem = script = curly = policy = False
    for at in range(start, end):
        char = points[at]
        if char == CURLY:
            curly = True
            continue
        char = lower(char)
        if char == 0x6C:
            lorem = lorem or stands_at(points, at, end, LOREM)
        elif char == 0x6A:
            script = script or stands_at(points, at, end, SCRIPT)
        elif char in (0x74, 0x70, 0x63, 0x75) and not policy:
            policy = (
                stands_at(points, at, end, POLICIES[0])
                or stands_at(points, at, end, POLICIES[1])
                or stands_at(points, at, end, POLICIES[2])
                or stands_at(points, at, end, POLICIES[3])
                or stands_at(points, at, end, POLICIES[4])
                or stands_at(points, at, end, POLICIES[5])
            )
    return lorem, script, curly, policy


@njit(cache=KEPT)
def citation_at(points, flags, at, end):
    """Return the length of a citation that begins at points[at]: [], [12], [edit], [citation needed]; 0 for none."""
    after = at + 1
    while after < end and flags[points[after]] & DIGIT:
        after += 1
    if after < end and points[after] == CLOSE:
        return after + 1 - at
    for phrase in (EDIT, CITATION_NEEDED):
        if end - at >= phrase.size and (points[at : at + phrase.size] == phrase).all():
            return phrase.size
    return 0


@njit(cache=KEPT)
def words_between_blanks(points, table, start, end):
    """Return the words of points[start:end] as str.split() cuts them, and the characters of the longest one."""
    words = longest = length = 0
    for at in range(start, end):
        if table[points[at]] & SPACE:
            length = 0
        else:
            length += 1
            words += length == 1
            longest = max(longest, length)
    return words, longest


@njit(cache=KEPT)
def copied(room, start, end, out, at, without_citations):
    """Copy points[start:end] to out[at:], perhaps without citations; return the place behind, and how many went."""
    citations = 0
    while start < end:
        char = room.points[start]
        if char == OPEN and without_citations:
            length = citation_at(room.points, room.table, start, end)
            if length:
                citations += 1
                start += length
                continue
        out[at] = char
        at += 1
        start += 1
    return at, citations


@njit(cache=KEPT)
def ends_a_sentence(points, start, end):
    """Return whether points[start:end] end in a terminal mark, and not in an ellipsis of three dots."""
    if end == start or points[end - 1] not in TERMINAL:
        return False
    return not (end - start >= 3 and points[end - 1] == points[end - 2] == points[end - 3] == DOT)


@njit(cache=KEPT)
def clean(room, n, limits, active, values, counts):
    """Ask the rules of a text of n code points, and put what stays of it into room.other.

    Return the number of the rule by which the whole text goes, or -1, and the code points that stay of it. counts,
    int64: how many lines, or citations, went by each rule.
    """
    out = room.other
    lines = split_lines(room.points, n, room.table, room.starts, room.ends)
    at = sentences = kept = 0
    for line in range(lines):
        start, end = stripped(room.points, room.table, room.starts[line], room.ends[line])
        words, longest = words_between_blanks(room.points, room.table, start, end)
        if active[MAX_WORD_CHARS] and longest > limits[MAX_WORD_CHARS]:
            counts[MAX_WORD_CHARS] += 1
            continue
        begin = at + 1 if kept else at
        behind, citations = copied(room, start, end, out, begin, active[CITATIONS])
        if active[TERMINAL_PUNCTUATION] and not ends_a_sentence(out, begin, behind):
            counts[TERMINAL_PUNCTUATION] += 1
            continue
        if active[MIN_LINE_WORDS] and words < limits[MIN_LINE_WORDS]:
            counts[MIN_LINE_WORDS] += 1
            continue
        lorem, script, curly, policy = phrases_in(out, begin, behind)
        if lorem and active[LOREM_IPSUM]:
            return LOREM_IPSUM, 0
        if script and active[JAVASCRIPT]:
            counts[JAVASCRIPT] += 1
            continue
        if curly and active[CURLY_BRACKET]:
            return CURLY_BRACKET, 0
        if policy and active[POLICY]:
            counts[POLICY] += 1
            continue
        if active[MIN_SENTENCES]:
            sentences += sentences_in(room, out, begin, behind)
        if kept:
            out[at] = NEW_LINE
        at = behind
        kept += 1
        counts[CITATIONS] += citations
    values[MIN_SENTENCES] = sentences
    if active[MIN_SENTENCES] and sentences < limits[MIN_SENTENCES]:
        return MIN_SENTENCES, 0
    start, end = stripped(out, room.table, 0, at)
    if start:
        for i in range(start, end):
            out[i - start] = out[i]
    return -1, end - start


@njit(cache=KEPT)
def sentences_in(room, points, start, end):
    """Return the sentences of points[start:end]; one where there is no word."""
    words, _ = text_words(
        points[start:end],
        end - start,
        room.table,
        room.powers,
        room.specials,
        room.chars,
        room.flags,
        room.prefix,
        room.words,
        room.tail,
    )
    return max(1, sentence_starts(room.chars, room.flags, room.words, words, room.tail))
