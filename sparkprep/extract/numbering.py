"""The numbers of a list's items as a browser counts them, by `start`, `reversed`, `type` and `value` (HTML, 4.4.5)."""

from __future__ import annotations

import re

from sparkprep.extract.blocks import Blocks

_INTEGER = re.compile(r"\s*([+-]?\d{1,9})")
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x")),
    *((9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_LARGEST_ROMAN = 3_999


def marks_of(page: Blocks, around: int) -> dict[int, str]:
    """Return item -> its mark, as "3. ", of a numbered list. Items with text in them count, main text or not."""
    items = page.items_of(around)
    is_reversed = page.attribute(around, "reversed") is not None
    start = _integer(page.attribute(around, "start"))
    number = start if start is not None else len(items) if is_reversed else 1
    kind = page.attribute(around, "type") or "1"
    marks = {}
    for item in items:
        value = _integer(page.attribute(item, "value"))
        number = number if value is None else value
        marks[item] = f"{written(number, kind)}. "
        number += -1 if is_reversed else 1
    return marks


def _integer(text: str | None) -> int | None:
    found = _INTEGER.match(text or "")
    return int(found[1]) if found else None


def written(number: int, kind: str) -> str:
    """Return a number as an attribute `type` has it written: by digits, letters or Roman numerals.

    What has no letters, or no Roman numerals, is written by digits.

    >>> written(3, "1"), written(28, "a"), written(14, "I"), written(0, "A")
    ('3', 'ab', 'XIV', '0')
    """
    if kind in ("a", "A") and number > 0:
        letters = ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(ord(kind) + rest) + letters
        return letters
    if kind in ("i", "I") and 0 < number <= _LARGEST_ROMAN:
        letters = ""
        for value, letter in _ROMAN:
            letters += letter * (number // value)
            number %= value
        return letters if kind == "i" else letters.upper()
    return str(number)
