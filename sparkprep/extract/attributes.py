"""What the attributes of an element say of how its text is shown: compiled, one pass over them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from sparkprep.dedup.kernels import KEPT
from sparkprep.extract.serialized import BYTES, MULTIPLIER, place_behind

HIDDEN, KEEPS_LINES, OWN_LINE, NUMBER, CODE_LINE, FORMULA = 1, 2, 4, 8, 16, 32
"""Nobody sees it; its lines and blanks are kept; it is shown as a block; it holds the numbers of lines, if anything; it
is a line of code; it is a formula as KaTeX draws it."""
_MARKS = {
    **dict.fromkeys(("linenos", "lineno", "linenodiv", "linenumber", "linenumbers", "linenr", "linenum"), NUMBER),
    **dict.fromkeys(("line-number", "line-numbers", "line-num", "line-no", "line_number", "line_numbers"), NUMBER),
    **dict.fromkeys(
        ("ln", "lnt", "lntd", "lnr", "gutter", "rouge-gutter", "blob-num", "lines-num", "diff-line-num"), NUMBER
    ),
    **dict.fromkeys(("crayon-num", "crayon-nums", "hljs-ln-numbers", "hljs-ln-n", "code-line-number"), NUMBER),
    **dict.fromkeys(("react-syntax-highlighter-line-number", "line-numbers-rows"), NUMBER),
    **dict.fromkeys(("blob-code", "blob-code-inner", "js-file-line", "lines-code", "code-line"), CODE_LINE),
    "katex-html": FORMULA,
}
"""Classes by which highlighters and forges mark up code, and KaTeX formulas -> what they say."""
_SLOTS = 128


def _table() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return by slot the hashes of classes and what they say; a class lies in its hash's slot, or a later one."""
    hashes, marks = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint8)
    for name, mark in _MARKS.items():
        value = 0
        for byte in name.encode():
            value = (value * MULTIPLIER + byte) % (1 << 64)
        slot = value % _SLOTS
        while marks[slot]:
            slot = (slot + 1) % _SLOTS
        hashes[slot], marks[slot] = value, mark
    return hashes, marks


_HASHES, _MARK = _table()
_BEGINS = np.zeros(256, np.bool_)
"""Bytes by which one of these classes begins."""
_BEGINS[[ord(letter) for name in _MARKS for letter in (name[0], name[0].upper())]] = True
_WHITE_SPACE, _DISPLAY, _VISIBILITY = (
    np.frombuffer(name, np.uint8) for name in (b"white-space", b"display", b"visibility")
)
"""Followed by pre, pre-wrap, pre-line or break-spaces; by none, or block, flex, grid or table; by hidden."""
_SHORTEST_STYLE = len("display:none")
_LONGEST_CLASS = max(map(len, _MARKS))
_RANGE = (BYTES, types.int64, types.int64)


@njit(types.int64(*_RANGE), cache=KEPT)
def _by_style(data: npt.NDArray[np.uint8], begin: int, end: int) -> int:
    """Return what a style says that lies between two places, and is followed by a quote."""
    shown = 0
    at = place_behind(data, begin, end, _DISPLAY)
    if at >= 0:
        first = data[at] | 32
        if first == 98 or first == 102 or first == 103 or first == 116:
            shown |= OWN_LINE
        elif first == 110 and data[at + 1] | 32 == 111:
            shown |= HIDDEN
    at = place_behind(data, begin, end, _VISIBILITY)
    if at >= 0 and data[at] | 32 == 104:
        shown |= HIDDEN
    at = place_behind(data, begin, end, _WHITE_SPACE)
    if at >= 0 and (data[at] | 32 == 112 or data[at] | 32 == 98) and data[at + 1] | 32 == 114:
        shown |= KEEPS_LINES
    return shown


@njit(types.int64(*_RANGE), cache=KEPT)
def _by_class(data: npt.NDArray[np.uint8], at: int, end: int) -> int:
    """Return what the classes say whose names lie between two places."""
    shown = 0
    while at < end:
        begin, value = at, np.uint64(0)
        if not _BEGINS[data[at]]:
            while at < end and data[at] > 32:
                at += 1
            at += 1
            continue
        while at < end and data[at] > 32:
            byte = data[at] + 32 * (65 <= data[at] <= 90)
            value = value * np.uint64(MULTIPLIER) + np.uint64(byte)
            at += 1
        if 2 <= at - begin <= _LONGEST_CLASS:
            slot = np.int64(value % np.uint64(_SLOTS))
            while _MARK[slot] and _HASHES[slot] != value:
                slot = (slot + 1) % _SLOTS
            shown |= _MARK[slot]
        at += 1
    return shown


@njit(types.int64(*_RANGE), cache=KEPT)
def shown_by(data: npt.NDArray[np.uint8], at: int, end: int) -> int:
    """Return what attributes say that lie between two places: HIDDEN, KEEPS_LINES, ..., added up.

    Each stands behind a blank, its value in quotes. Known are `style`, `class`, `hidden`, `aria-hidden`,
    `data-line-number`, and `type`, which may hide an input.
    """
    shown = 0
    while at < end:
        if data[at] != 34 or data[at - 1] != 61:
            at += 1
            continue
        begin = close = at + 1
        while close < end and data[close] != 34:
            close += 1
        last, first = data[at - 2], data[at - 7]  # of what is before the "="
        if last == 115 and first == 32 and data[at - 6] == 99 and data[at - 3] == 115:
            shown |= _by_class(data, begin, close)
        elif last == 101 and first == 32 and data[at - 6] == 115 and close - begin >= _SHORTEST_STYLE:
            shown |= _by_style(data, begin, close)
        elif last == 110 and first == 104 and data[at - 8] == 32:
            shown |= HIDDEN * (data[begin] != 102)  # hidden, unless it is "false"
        elif last == 110 and first == 104 and at > 13 and data[at - 13] == 32 and data[at - 12] == 97:
            shown |= HIDDEN * (data[begin] == 116)  # aria-hidden="true"
        elif last == 101 and data[at - 6] == 32 and data[at - 5] == 116 and close - begin == 6:
            shown |= HIDDEN * (data[begin] == 104)  # type="hidden"
        elif last == 114 and at > 18 and data[at - 18] == 32 and data[at - 17] == 100 and data[at - 12] == 108:
            shown |= NUMBER  # data-line-number
        at = close + 1
    return shown
