"""The part in which two long texts differ, so far as its words are compared, and what lies around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparkprep.dedup.report import diff
from sparkprep.dedup.report.diff import Span

MOST_CHARACTERS = 20_000
"""Of each text whose words are compared."""
CONTEXT = 2_000
"""Equal characters that stay beside what differs."""
_STEP = 1 << 16


@dataclass(frozen=True)
class Excerpt:
    """Parts of two texts that are compared. In each, `before` equal characters come first, and `after` last.

    beyond: of the first and the second text, how many characters between its part and the equal ones at the end are
    not looked at.
    """

    first: str
    second: str
    before: int = 0
    after: int = 0
    beyond: tuple[int, int] = (0, 0)


def differing(first: str, second: str) -> Excerpt:
    """Return what is compared of two texts: all of short ones, of others what lies between equal ends, from its start.

    At most MOST_CHARACTERS and `diff.MAX_WORDS` of each.
    """
    before = after = 0
    if max(len(first), len(second)) > MOST_CHARACTERS:
        head = _equal_characters(first, second)
        if head == len(first) == len(second):  # the beginning shows what text it is
            after = head - CONTEXT
        else:
            before = _back_to_blank(first, head - CONTEXT)
            most = min(len(first), len(second)) - head
            tail = _equal_characters(first[len(first) - most :][::-1], second[len(second) - most :][::-1])
            after = _back_to_blank(first[len(first) - tail :][::-1], tail - CONTEXT)
    middle = [text[before : len(text) - after] for text in (first, second)]
    compared = [_beginning(text) for text in middle]
    beyond = tuple(len(text) - len(part) for text, part in zip(middle, compared, strict=True))
    return Excerpt(compared[0], compared[1], before, after, (beyond[0], beyond[1]))


def spans_of(part: Excerpt) -> tuple[Sequence[Span], tuple[int, int]]:
    """Return the spans to be shown of the parts, and how many characters of each text behind them are not compared.

    Where the parts were cut, words of one alone at their very end are no difference, and belong to what is behind.
    """
    spans = diff.diff(part.first, part.second).spans
    shown = diff.collapse(spans, open_end=any(part.beyond))
    first, second = part.beyond
    if shown and shown[-1].kind == "open":
        more = len(shown[-1].text)
        first, second = (first + more, second) if spans[-1].kind == "delete" else (first, second + more)
        shown = shown[:-1]
    return shown, (first, second)


def _equal_characters(first: str, second: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    most = min(len(first), len(second))
    start = 0
    while start < most and first[start : start + _STEP] == second[start : start + _STEP]:
        start += _STEP
    low, high = min(start, most), min(start + _STEP, most)
    while low < high:
        middle = (low + high + 1) // 2
        if first[start:middle] == second[start:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _back_to_blank(text: str, place: int) -> int:
    """Return the nearest place at or before one, within CONTEXT, behind a blank, that no word be cut; 0 below 0."""
    if place <= 0:
        return 0
    return next((at for at in range(place, max(0, place - CONTEXT), -1) if text[at - 1].isspace()), place)


def _beginning(text: str) -> str:
    """Return so much of a text as is compared."""
    text = text[:MOST_CHARACTERS]
    end = diff.end_of_words(text, diff.MAX_WORDS)
    return text if end is None else text[:end]
