"""What happened to a command line before it came here: a PDF's dashes and quotes, a shell's blanks and patterns."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import takewhile

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u00ab\u00bb"
_TO_HYPHENS = str.maketrans(dict.fromkeys(_DASHES, "-"))


def hint(word: str, flags: Sequence[str] = ()) -> str:
    """Return `; ` and how a word that was refused seems to have come about, or nothing where it tells nothing.

    flags: those that there are, to tell a long dash that was one hyphen from one that was two.
    """
    if not word:
        return "; an empty value was given, as from a variable that is not set"
    bare = word.strip(" \t\r\n\\")
    if not bare:
        return (
            "; it is a blank: a backslash that ends a line must be the line's last character, without a blank (or a "
            "carriage return of Windows) behind it"
        )
    if set(word) & set(_DASHES):
        return f"; its dash is a typographic one, as in a PDF; type {_with_hyphens(word, flags)}"
    if set(word) & set(_QUOTES):
        return "; its quotation marks are typographic ones, as in a PDF; type straight ones: ' or \""
    if word != word.strip():
        return f"; a blank belongs to it: take away the one behind the backslash; type {bare}"
    return ""


def is_wrapped(word: str) -> bool:
    """Return whether a word is blank, or begins or ends with a typographic quotation mark or dash, as no path does."""
    return not word.strip() or bool({word[0], word[-1]} & set(_QUOTES + _DASHES))


def pattern_of(words: Sequence[str]) -> str:
    """Return a pattern, in quotes, from which a shell may have made these words: what they share and their ending."""
    start = _shared(words)
    end = _shared([word[len(start) :][::-1] for word in words])[::-1]
    return f"'{start}*{end[end.find('.') :] if '.' in end else ''}'"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean KNOWN?` with what is most like a word (flag, verb, value), or nothing where none is."""
    lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return f"; did you mean {lower[near[0]]}?" if near else ""


def _shared(words: Sequence[str]) -> str:
    """Return the characters with which all of them begin."""
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))
    return "".join(column[0] for column in columns)


def _with_hyphens(word: str, flags: Sequence[str]) -> str:
    plain = word.translate(_TO_HYPHENS)
    if word[0] not in _DASHES or plain in flags:
        return plain
    return f"-{plain}" if f"-{plain}" in flags else plain
