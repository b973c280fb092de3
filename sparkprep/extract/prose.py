"""How much of each block of a page is prose, and how much is links, and the sums of these over elements."""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sparkprep.extract.blocks import Blocks

Counts = npt.NDArray[np.int64]
"""A number for each block."""

FEW_WORDS = 30
"""Characters below which a block is no sentence."""
OF_PROSE = 4
"""What a character of prose counts; in a block of a few words, such as a price or a date, it counts once."""
_TIMES_DENSE = 3
"""Characters of an alphabet that say as much as one of Chinese, Japanese or Korean."""
_SEPARATOR = re.compile(" [|>/·•»›] ")
_LONGEST_ROW = 200
_TIMES_LEAST_LINKED = 6
"""One in so many characters of a row of links is in a link, at least."""
_COPYRIGHT = re.compile(r"©|\([Cc]\) \d{4}|[Cc]opyright (?:©|\([Cc]\)|\d{4})|版权所有|版權所有".encode())
_BEGINS = np.zeros(256, np.bool_)
_BEGINS[[each.encode()[0] for each in "©(Cc版"]] = True
"""Bytes by which a notice of copyright may begin."""
_LONGEST_NOTICE = 500
"""Characters from which a block is an article on copyright rather than a notice of it."""


class Measures:
    """What the blocks of a page measure.

    page: whose. chars and linked: the characters of each block, and those of them in links, scaled to an alphabet's;
    what separates links in a row counts as one. notices: the numbers of the blocks that begin as a notice of copyright.
    """

    def __init__(self, page: Blocks) -> None:
        self.page = page
        self.chars, self.linked, dense = page.scan.blocks[1:4].astype(np.int64)
        is_mixed = (_TIMES_LEAST_LINKED * self.linked >= self.chars) & (2 * self.linked <= self.chars)
        for block in is_mixed.nonzero()[0].tolist():
            if page.chars[block] < _LONGEST_ROW:
                marks = len(_SEPARATOR.findall(page.text_of(block)))
                self.linked[block] = min(self.linked[block] + marks * len(" | "), page.chars[block])
        if dense.any():
            chars = self.chars
            self.chars = chars + (_TIMES_DENSE - 1) * dense
            self.linked = self.linked * self.chars // np.maximum(chars, 1)
        self.notices = _notices(page)

    @cached_property
    def prose(self) -> Counts:
        """What stands outside links, in blocks that are not mostly links and no notices, each character by what it
        counts.
        """
        times = 1 + (OF_PROSE - 1) * (self.chars >= FEW_WORDS)
        prose: Counts = (self.chars - self.linked) * times * (2 * self.linked <= self.chars)
        prose[self.notices] = 0
        return prose


def _notices(page: Blocks) -> list[int]:
    """Return the blocks that begin as a notice of copyright."""
    begins = np.frombuffer(page.text, np.uint8)[page.scan.starts[:-1]]
    return [
        block
        for block in _BEGINS[begins].nonzero()[0].tolist()
        if page.chars[block] < _LONGEST_NOTICE and _COPYRIGHT.match(page.text, page.starts[block])
    ]


class Sums:
    """Of each element the sum over the blocks in it, which stand one after another."""

    def __init__(self, page: Blocks, values: Counts) -> None:
        self.before: Counts = np.zeros(len(values) + 1, np.int64)
        """Block -> the sum over all before it."""
        np.cumsum(values, out=self.before[1:])
        self._page = page

    def __getitem__(self, element: int) -> int:
        page = self._page
        return int(self.before[page.end[element]] - self.before[page.first[element]])

    def all(self) -> Counts:
        """Return those of all elements, by their numbers."""
        first, end = self._page.scan.elements[2:4]
        sums: Counts = self.before[end] - self.before[first]
        return sums
