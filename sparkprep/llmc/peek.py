"""What is in a token shard: statistics, documents, text that a terminal can bear.

Everything goes through the tokens in blocks, so that memory stays bounded whatever the shard's size: 16 bytes for each
token of a block, and what differs between documents (at most the distinct lengths, some ten thousand).

Documents are numbered by the end-of-text tokens that begin them, from 1. Where a shard begins in the middle of a
document, its rest is document 0.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkprep.console import safe_text
from sparkprep.tokenizer import vocabulary
from sparkprep.tokenizer.vocabulary import END_OF_TEXT, VOCABULARY_SIZE

Tokens = npt.NDArray[np.uint16]

BLOCK = 1 << 21
"""Tokens looked at together."""

_DECODED = 1 << 14  # tokens turned into one piece of text
_IDS = 1 << 16
_KEPT = "\n\t"  # of control characters, in a text of several lines


@dataclass(frozen=True)
class Lengths:
    """Tokens of the documents that begin in a shard, without their end-of-text; the last may be cut by its end."""

    least: int
    median: float
    mean: float
    most: int


@dataclass(frozen=True)
class Statistics:
    """What was counted in a shard.

    tokens: all of them. documents: end-of-text tokens. continued: tokens before the first of these, which belong to a
    document of the shard before. lengths: None without a document. counts: int64 of shape (65536,), how often each id
    stands there.
    """

    tokens: int
    documents: int
    continued: int
    lengths: Lengths | None
    counts: npt.NDArray[np.int64]

    @property
    def unknown(self) -> int:
        """How many tokens are none of GPT-2's 50,257."""
        return int(self.counts[VOCABULARY_SIZE:].sum())

    def most_common(self, limit: int) -> list[tuple[int, int]]:
        """Return (id, count) of the most common ids, at most `limit`; of the same count, the lesser id first."""
        order = np.argsort(-self.counts, kind="stable")[:limit]
        return [(int(i), int(self.counts[i])) for i in order if self.counts[i]]


@dataclass(frozen=True)
class Document:
    """Where a document lies in a shard: its text is tokens[start:end], without the end-of-text before it."""

    number: int
    start: int
    end: int

    @property
    def name(self) -> str:
        return f"document {self.number}" if self.number else "document 0 (continued)"


def statistics(tokens: Tokens) -> Statistics:
    """Count what is in a shard's tokens, uint16 of shape (n,)."""
    counts = np.zeros(_IDS, np.int64)
    lengths: Counter[int] = Counter()
    continued, last = len(tokens), -1
    for start in range(0, len(tokens), BLOCK):
        block = tokens[start : start + BLOCK]
        counts += np.bincount(block, minlength=_IDS)
        borders = start + np.flatnonzero(block == END_OF_TEXT)
        if len(borders):
            if last < 0:
                continued = int(borders[0])
            ended = np.diff(borders) if last < 0 else np.diff(borders, prepend=last)
            values, times = np.unique(ended - 1, return_counts=True)
            lengths.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
            last = int(borders[-1])
    if last >= 0:
        lengths[len(tokens) - last - 1] += 1
    return Statistics(len(tokens), int(counts[END_OF_TEXT]), continued, _summary(lengths), counts)


def documents(tokens: Tokens) -> Iterator[Document]:
    """Yield the documents of a shard in order, as they are asked for."""
    number, start = 0, 0
    for borders in _borders(tokens):
        for border in borders.tolist():
            if number or border:
                yield Document(number, start, border)
            number, start = number + 1, border + 1
    if number or len(tokens):
        yield Document(number, start, len(tokens))


def document(tokens: Tokens, number: int) -> Document | None:
    """Return the document of this number, or None where the shard has none of it."""
    ends = [0] if number == 0 else []  # its first token, then where it ends
    seen = 0
    for borders in _borders(tokens):
        while len(ends) < 2 and seen < (border := number + len(ends)) <= seen + len(borders):
            ends.append(int(borders[border - seen - 1]) + (not ends))
        if len(ends) == 2:
            break
        seen += len(borders)
    if not ends:
        return None
    start, end = ends[0], ends[1] if len(ends) == 2 else len(tokens)
    return None if number == 0 and end == 0 else Document(number, start, end)


def first_unknown(tokens: Tokens) -> tuple[int, int] | None:
    """Return (position, id) of the first token that is none of GPT-2's, or None."""
    for start in range(0, len(tokens), BLOCK):
        block = tokens[start : start + BLOCK]
        if block.max() >= VOCABULARY_SIZE:
            at = int(np.argmax(block >= VOCABULARY_SIZE))
            return start + at, int(block[at])
    return None


def text(tokens: Tokens) -> Iterator[str]:
    """Yield the tokens' text in pieces, as a terminal may show it (`console.safe_text`).

    Bytes that are no UTF-8 come as U+FFFD, ids beyond the vocabulary as <|id|>.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character may spread over tokens, and over pieces
    words = vocabulary.all_tokens()
    for start in range(0, len(tokens), _DECODED):
        ids = tokens[start : start + _DECODED].tolist()
        piece = b"".join(words[i] if i < len(words) else b"<|%d|>" % i for i in ids)
        yield safe_text(decoder.decode(piece), keep=_KEPT)
    yield decoder.decode(b"", True)


def beginning(tokens: Tokens, characters: int) -> tuple[str, bool]:
    """Return (the text's first characters as a terminal may show them, whether there is more of it)."""
    # A character has up to four bytes, and no token is empty: so these tokens hold enough, and one character to spare.
    enough = 4 * (characters + 1)
    shown = "".join(text(tokens[:enough]))
    return shown[:characters], len(shown) > characters or len(tokens) > enough


def token_text(token: bytes) -> str:
    """Return a token's bytes in quotes, its blanks to be seen; what is no UTF-8 as \\x and two digits."""
    decoded = token.decode("utf-8", "backslashreplace")
    return '"' + safe_text(decoded) + '"'


def word(token: int) -> str:
    """Return an id as `token_text` of its bytes, or <|id|> beyond the vocabulary."""
    words = vocabulary.all_tokens()
    return token_text(words[token]) if token < len(words) else f"<|{token}|>"


def _borders(tokens: Tokens) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the positions of end-of-text, one array for each block."""
    for start in range(0, len(tokens), BLOCK):
        yield start + np.flatnonzero(tokens[start : start + BLOCK] == END_OF_TEXT)


def _summary(lengths: Counter[int]) -> Lengths | None:
    """Return the summary of lengths of which each is given with its count."""
    if not lengths:
        return None
    values = np.array(sorted(lengths), np.int64)
    times = np.array([lengths[value] for value in values.tolist()], np.int64)
    up_to = np.cumsum(times)
    total = int(up_to[-1])
    lower, upper = (values[np.searchsorted(up_to, rank, "right")] for rank in ((total - 1) // 2, total // 2))
    mean = float((values * times).sum()) / total
    return Lengths(int(values[0]), (int(lower) + int(upper)) / 2, mean, int(values[-1]))
