"""Texts of an Arrow column -> by which rule each goes, and what the rules measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.utf8 import encode_text
from sparkprep.filter.kernels import c4, fineweb, gopher
from sparkprep.filter.kernels.texts import decode_text, hash_beginnings, room_for
from sparkprep.filter.kernels.words import text_words
from sparkprep.filter.rules import C4, FINEWEB, GOPHER_QUALITY, GOPHER_REPETITION, RULES, SETS, Bound, first_of
from sparkprep.io.arrow import runs_to_binary, text_buffers

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
I16 = npt.NDArray[np.int16]

NONE = -1
"""Stands for no rule."""
REPETITION, QUALITY, OF_C4, OF_FINEWEB = (SETS.index(name) for name in (GOPHER_REPETITION, GOPHER_QUALITY, C4, FINEWEB))


class Questions(NamedTuple):
    """What is asked of each text: plain numbers, which go to tasks and into kernels."""

    sets: I64
    """places in SETS, in the order in which they are asked"""
    first: I64
    """where the rules of each set begin among RULES, and behind the last one, their number"""
    limits: F64
    """the threshold of each rule"""
    active: npt.NDArray[np.uint8]
    """which rules are asked"""
    bounds: npt.NDArray[np.uint8]
    stop_words: npt.NDArray[np.uint64]
    short_line: int
    removes_lines: bool
    """whether what C4 leaves of a text is its text from then on"""


FIRST: I64 = np.array([*(first_of(name) for name in SETS), len(RULES)], np.int64)
BOUNDS = np.array([Bound.ALWAYS if rule.of_lines else rule.bound for rule in RULES], np.uint8)


HAS_THRESHOLD: npt.NDArray[np.bool_] = BOUNDS != Bound.ALWAYS


@dataclass(frozen=True)
class Judgement:
    """What was decided on n texts. rules are places in RULES, NONE for no rule."""

    rule: I16
    """(n,) by which a text goes"""
    measured: F64
    """(n, rules) what each rule measured; NaN where it measures nothing, or was not asked since one before it failed"""
    counts: I64
    """(rules,) lines, or citations, that went by C4's rules of lines"""
    texts: pa.Array | None
    """(n,) binary: what C4 left of each text; None where it was not to change any"""

    @property
    def value(self) -> F64:
        """(n,) what the rule measured by which a text goes; NaN for one that stays"""
        decided = self.measured[np.arange(len(self.rule)), self.rule]
        return np.where(self.rule >= 0, decided, np.nan)

    def distances(self, questions: Questions) -> F64:
        """Return how far each text lies from each threshold, (n, rules), as a share of that.

        Of a text that goes, that of the rule by which it goes alone; NaN where there is none.
        """
        asked = HAS_THRESHOLD & questions.active.astype(np.bool_)
        decides = self.rule[:, None] == np.arange(len(RULES))
        told = asked & (decides | (self.rule[:, None] < 0))
        far = np.abs(self.measured - questions.limits) / np.maximum(np.abs(questions.limits), 1e-9)
        return np.where(told, far, np.nan)


@njit(cache=KEPT)
def judge_text(room, n, questions, values, counts):
    """Ask the rules of a text of n code points in room.points; return (rule or NONE, its code points after C4).

    Filled: values float64 (rules,), NaN where a rule was not asked.
    """
    values[:] = np.nan
    words = -1
    is_hashed = False
    for which in questions.sets:
        first, end = questions.first[which], questions.first[which + 1]
        limits, active, found = questions.limits[first:end], questions.active[first:end], values[first:end]
        if which == OF_C4:
            rule, rest = c4.clean(room, n, limits, active, found, counts[first:end])
            if rule >= 0:
                return first + rule, n
            words = -1  # the room of its words was used for sentences
            if questions.removes_lines:
                room.points[:rest] = room.other[:rest]
                n = rest
                is_hashed = False
            continue
        if not is_hashed:
            hash_beginnings(room.points, n, room.hashes)
            is_hashed = True
        rule = -1
        if which == REPETITION:
            rule = gopher.repeated_lines(room, n, limits, active, found)
        elif which == OF_FINEWEB:
            rule = fineweb.lines_of(room, n, questions.short_line, limits, active, found)
        if rule >= 0:
            return first + rule, n
        if words < 0:
            words, _ = text_words(
                room.points,
                n,
                room.table,
                room.powers,
                room.specials,
                room.chars,
                room.flags,
                room.prefix,
                room.words,
                room.tail,
            )
        if which == REPETITION:
            rule = gopher.repeated_words(room, n, words, limits, active, found)
        elif which == QUALITY:
            rule = gopher.quality(room, n, words, questions.stop_words, limits, active, found)
        else:
            rule = fineweb.list_of(room, n, words, limits, active, found)
        if rule >= 0:
            return first + rule, n
    return NONE, n


@njit(cache=KEPT)
def judge_texts(data, offsets, room, questions, rules, measured, counts, out, ends):
    """Judge a column of UTF-8 texts; fill rules int16 (n,), measured float64 (n, rules), and counts.

    out: uint8 for the texts that C4 has changed, as many bytes as there are, or none; ends int64 (n,) in it.
    """
    at = 0
    for d in range(rules.size):
        n = decode_text(data, offsets[d], offsets[d + 1], room.points)
        rules[d], n = judge_text(room, n, questions, measured[d], counts)
        if rules[d] < 0 and out.size:
            at = encode_text(room.points, n, out, at)
        ends[d] = at


def judge(texts: pa.Array, questions: Questions) -> Judgement:
    """Judge an Arrow array of texts; a null is a text without a character."""
    data, offsets, _ = text_buffers(texts)
    n = len(texts)
    room = room_for(int(np.diff(offsets).max(initial=0)))
    found = np.empty(n, np.int16), np.empty((n, len(RULES))), np.zeros(len(RULES), np.int64)
    changes = questions.removes_lines and OF_C4 in questions.sets
    # A text is never longer than it was; a byte that is no UTF-8 becomes three, though.
    out = np.empty(3 * int(offsets[-1] - offsets[0]) + 1 if changes else 0, np.uint8)
    ends = np.empty(n, np.int64)
    judge_texts(data, offsets, room, questions, *found, out, ends)
    rewritten = None
    if changes:
        rewritten = runs_to_binary(out[: ends[-1] if n else 0], np.concatenate([[0], ends]))
    return Judgement(*found, rewritten)
