"""Word-level difference of two texts, in bounded time whatever the texts are."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["equal", "delete", "insert", "skip", "open"]

MAX_WORDS = 8_000
"""Words of each text that are compared; two such texts take at most about 0.2 s and 10 MB."""

# Scripts written without spaces: each character counts as a word, or one change would mark a whole paragraph.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True)
class Span:
    """Consecutive words that share one fate.

    `kind`: "equal" (in both), "delete" (only in the removed text), "insert" (only in the kept text),
    "skip" (equal words left out of the display), "open" (one-sided words at a cut, where nothing can be said).
    `words` are the words themselves, `text` the same for display: white space folded to single blanks.
    """

    kind: Kind
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class WordDiff:
    """The spans in reading order, and how many words each text has against how many were compared."""

    spans: tuple[Span, ...]
    removed_words: int
    kept_words: int
    removed_compared: int
    kept_compared: int

    @property
    def cut(self) -> bool:
        return self.removed_compared < self.removed_words or self.kept_compared < self.kept_words


def words(text: str) -> list[str]:
    """Split at white space; punctuation stays with its word; unspaced scripts give one word per character."""
    return _WORD.findall(text)


def end_of_words(text: str, most: int) -> int | None:
    """Return where the first so many words of a text end; None where it has no more words."""
    end = 0
    for number, match in enumerate(_WORD.finditer(text)):
        if number == most:
            return end
        end = match.end()
    return None


def diff(removed: str, kept: str, max_words: int = MAX_WORDS) -> WordDiff:
    """Return a longest common subsequence of the two texts' first `max_words` words, as spans.

    The "equal" and "delete" spans joined are the removed text's words, "equal" and "insert" the kept text's.
    Equal spans of one or two words between larger changes are given up and shown as changed on both sides, which
    reads better than a stray "the" in the middle of a replaced sentence.
    """
    removed_words, removed_gaps = _split(removed)
    kept_words, kept_gaps = _split(kept)
    old, new = removed_words[:max_words], kept_words[:max_words]
    matches = _matches(old, new)
    spans = []
    for same, old_part, new_part in _without_crumbs(_blocks(matches, len(old), len(new))):
        if same:
            spans.append(_span("equal", kept_words, kept_gaps, new_part))
            continue
        if old_part:
            spans.append(_span("delete", removed_words, removed_gaps, old_part))
        if new_part:
            spans.append(_span("insert", kept_words, kept_gaps, new_part))
    return WordDiff(tuple(spans), len(removed_words), len(kept_words), len(old), len(new))


def collapse(spans: Sequence[Span], context: int = 12, least: int = 20, open_end: bool = False) -> tuple[Span, ...]:
    """Replace the inside of long equal spans by a "skip" span, leaving `context` words beside each change.

    Fewer than `least` words are not worth a skip mark and stay.
    With `open_end` the texts were cut before they ended: one-sided words at the very end are then no difference but
    the shift of the cut, and become an "open" span.
    """
    out: list[Span] = []
    last = len(spans) - 1
    for i, span in enumerate(spans):
        if span.kind != "equal":
            one_sided = i == last and (i == 0 or spans[i - 1].kind == "equal")
            out.append(Span("open", span.words, span.text) if open_end and one_sided else span)
            continue
        head = context if i > 0 or last == 0 else 0  # without any change the beginning shows what text it is
        tail = context if i < last else 0
        if len(span.words) <= head + tail + least - 1:
            out.append(span)
            continue
        end = len(span.words) - tail
        if head:
            out.append(_part(span, "equal", 0, head))
        out.append(_part(span, "skip", head, end))
        if tail:
            out.append(_part(span, "equal", end, len(span.words)))
    return tuple(out)


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return the words, and after each the blank that separates it from the next: " " or ""."""
    matches = list(_WORD.finditer(text))
    gaps = [" " if m.end() < len(text) and text[m.end()].isspace() else "" for m in matches]
    return [m.group() for m in matches], gaps


def _span(kind: Kind, all_words: Sequence[str], gaps: Sequence[str], part: range) -> Span:
    text = "".join(all_words[i] + gaps[i] for i in part).rstrip(" ")
    return Span(kind, tuple(all_words[part.start : part.stop]), text)


def _part(span: Span, kind: Kind, start: int, stop: int) -> Span:
    """Return a slice of a span; its text is cut by walking over the words, since words hold no blanks."""
    begin = end = position = 0
    for i, word in enumerate(span.words[:stop]):
        position += span.text[position : position + 1] == " "
        begin = position if i == start else begin
        position = end = position + len(word)
    return Span(kind, span.words[start:stop], span.text[begin:end])


def _matches(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return the index pairs of a longest common subsequence, ascending.

    Bit-parallel dynamic programming (Hyyro 2004): one row of the table is one integer, so the cost is
    len(new) operations on integers of len(old) bits for any content; difflib's worst case is cubic.
    """
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    where: dict[str, int] = {}
    for i, word in enumerate(a):
        where[word] = where.get(word, 0) | 1 << i
    row = full = (1 << len(a)) - 1
    rows = []  # a zero bit i in rows[j]: the subsequence of a[:i+1] and b[:j+1] is longer than that of a[:i]
    for word in b:
        common = row & where.get(word, 0)
        row = ((row + common) | (row - common)) & full
        rows.append(row)
    middle = []
    i, j = len(a), len(b)
    while i and j:
        if rows[j - 1] >> (i - 1) & 1:
            i -= 1
        else:
            j -= 1
            if not j or rows[j - 1] >> (i - 1) & 1:
                i -= 1
                middle.append((head + i, head + j))
    middle.reverse()
    front = [(i, i) for i in range(head)]
    back = [(len(old) - k, len(new) - k) for k in range(tail, 0, -1)]
    return front + middle + back


Block = tuple[bool, range, range]


def _blocks(matches: Iterable[tuple[int, int]], n_old: int, n_new: int) -> list[Block]:
    """Return alternating (equal?, range in old, range in new), equal blocks as long as they can be; none is empty."""
    blocks: list[Block] = []
    i = j = 0
    for x, y in [*matches, (n_old, n_new)]:
        if x > i or y > j:
            blocks.append((False, range(i, x), range(j, y)))
        if x == n_old and y == n_new:  # the sentinel; a true match has both indices below the ends
            break
        if blocks and blocks[-1][0]:
            _, old_part, new_part = blocks.pop()
            blocks.append((True, range(old_part.start, x + 1), range(new_part.start, y + 1)))
        else:
            blocks.append((True, range(x, x + 1), range(y, y + 1)))
        i, j = x + 1, y + 1
    return blocks


def _without_crumbs(blocks: Sequence[Block], crumb: int = 2) -> list[Block]:
    """Merge change + equal crumb + change where the crumb is shorter than the changes on either side."""
    out: list[Block] = []
    for k, block in enumerate(blocks):
        same, old_part, new_part = block
        if not same and len(out) >= 2:
            length = len(out[-1][1])
            before, after = out[-2], block
            if length <= crumb and length < min(_width(before), _width(after)):
                out[-2:] = [(False, range(before[1].start, old_part.stop), range(before[2].start, new_part.stop))]
                continue
        out.append(blocks[k])
    return out


def _width(block: Block) -> int:
    return max(len(block[1]), len(block[2]))
