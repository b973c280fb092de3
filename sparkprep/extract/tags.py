"""The elements that mean something to a text, and the tags by which serialized HTML opens and closes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from sparkprep.dedup.kernels import KEPT
from sparkprep.extract.attributes import FORMULA, HIDDEN, NUMBER
from sparkprep.extract.serialized import (
    BYTES,
    MULTIPLIER,
    SLOTS,
    after_closing,
    after_comment,
    tag_at,
)

BLOCK, KEPT_LINES, RAW, LINK, BREAK, UNSEEN, CODE, BOX, IMAGE, EMPTY = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
_BLOCK_NAMES = (
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"),
    *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("header", "hgroup", "legend", "li", "main", "menu", "nav", "ol", "p", "search", "section"),
    *("summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
)
_UNSEEN_NAMES = (
    "script",
    "style",
    "noscript",
    "annotation",
    "annotation-xml",
    "template",
    "datalist",
    "noframes",
    "noembed",
)
"""What a browser shows no text of."""
_BOX_NAMES = ("svg", "iframe", "object", "canvas", "audio", "video", "select", "textarea", "button")
"""What is shown as a box, with text of its controls alone if any."""
_IMAGE_NAMES = ("img", "input", "embed")
"""Boxes that have no end."""
_EMPTY_NAMES = (
    "area",
    "base",
    "basefont",
    "bgsound",
    "col",
    "frame",
    "keygen",
    "link",
    "meta",
    "param",
    "source",
    "track",
    "wbr",
)
"""What else has no end."""
KINDS = {
    **dict.fromkeys(_BLOCK_NAMES, BLOCK),
    **dict.fromkeys(("pre", "listing"), KEPT_LINES),
    **dict.fromkeys(("xmp", "plaintext"), RAW),
    "a": LINK,
    **dict.fromkeys(("br", "hr"), BREAK),
    **dict.fromkeys(_UNSEEN_NAMES, UNSEEN),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), CODE),
    **dict.fromkeys(_BOX_NAMES, BOX),
    **dict.fromkeys(_IMAGE_NAMES, IMAGE),
    **dict.fromkeys(_EMPTY_NAMES, EMPTY),
}
NAMES = ("", *KINDS)
"""The elements that mean something here, by number; 0 is none of them."""
TELLING = frozenset(("ul", "ol", "dl", "dir", "li", "table", "tr", "td", "th"))
"""Those by which a block is written otherwise than a paragraph."""


def _hash(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value * MULTIPLIER + byte) % (1 << 64)
    return value


def _table() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return by slot the hashes of names, their kinds and numbers; a name lies in its hash's slot, or a later one."""
    hashes, kinds, numbers = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.uint8), np.zeros(SLOTS, np.uint8)
    for number, (name, kind) in enumerate(KINDS.items(), 1):
        slot = _hash(name) % SLOTS
        while kinds[slot]:
            slot = (slot + 1) % SLOTS
        hashes[slot], kinds[slot], numbers[slot] = _hash(name), kind, number
    return hashes, kinds, numbers


TAG_TABLE = _table()

_SLASH = ord("/")

PLACE = types.UniTuple(types.int64, 5)
"""Of a tag its kind, the number of its name, where its attributes begin and end, and whether these may say how text is
shown."""


@njit(
    types.Tuple((PLACE, types.boolean, types.int64, types.int64))(
        BYTES, types.int64, types.uint64[::1], types.uint8[::1], types.uint8[::1]
    ),
    cache=KEPT,
)
def read_tag(data, at, hashes, kinds, numbers):
    """Return what begins at "<": kind, name and place of attributes; whether it closes an element; where to go on
    behind it and what of it is not seen, `at` where this is no tag, -1 where it has no end; and until where text is
    raw, 0 where it is not."""
    if data[at + 1] == 33 and data[at + 2] == 45 and data[at + 3] == 45:
        return (UNSEEN, 0, at, at, 0), False, after_comment(data, at + 4), 0
    kind, number, first, after, close, says = tag_at(data, at, hashes, kinds, numbers)
    if after == first or close < 0:
        return (0, 0, at, at, 0), False, at if after == first else -1, 0
    is_closing, then, raw_until = data[at + 1] == _SLASH, close + 1, 0
    if kind in (UNSEEN, BOX) and not is_closing:
        then = after_closing(data, then, first, after)
    elif kind == RAW and not is_closing:
        raw_until = after_closing(data, then, first, after) - (after - first) - 3
    return (kind, number, after, close, says), is_closing, then, raw_until


_MATH, _MATH_END, _SPAN_END = (np.frombuffer(text, np.uint8) for text in (b"<math", b"</math>", b"</span>"))
_DEEPEST_NUMBERS = 8
"""Elements of a name inside one another, up to which numbers of lines are looked for in them."""


@njit(types.boolean(BYTES, types.int64, BYTES), cache=KEPT)
def lies_at(data, at, what):
    """Return whether some bytes lie at a place."""
    if at < 0 or at + len(what) > len(data):
        return False
    for n in range(len(what)):  # noqa: SIM110  (Numba)
        if data[at + n] != what[n]:
            return False
    return True


@njit(types.boolean(BYTES, types.int64), cache=KEPT)
def is_formula(data, at):
    """Return whether a formula in MathML begins behind a tag, with blanks before it."""
    while at < len(data) and data[at] <= 32:
        at += 1
    return lies_at(data, at, _MATH)


@njit(types.boolean(BYTES, types.int64), cache=KEPT)
def _follows_formula(data, at):
    """Return whether a formula in MathML has ended before a place, in a span, but for blanks."""
    for what in (_SPAN_END, _MATH_END):
        while at > 0 and data[at - 1] <= 32:
            at -= 1
        at -= len(what)
        if not lies_at(data, at, what):
            return False
    return True


@njit(
    types.int64(
        BYTES, types.int64, types.int64, types.int64, types.boolean,
        types.uint64[::1], types.uint8[::1], types.uint8[::1],
    ),
    cache=KEPT,
)  # fmt: skip
def _closing_of(data, at, first, after, has_numbers, hashes, kinds, numbers):
    """Return where the tag lies that closes an element, or the end of all; -1 where only numbers of lines may be in it
    and something else is. at: behind the opening tag; first, after: where its name lies."""
    depth = 1
    while at < len(data):
        if data[at] != 60 or at + 3 >= len(data):
            is_number = data[at] <= 32 or 48 <= data[at] <= 58 or data[at] == 46
            if has_numbers and not is_number:
                return -1
            at += 1
            continue
        tag, is_closing, then, _ = read_tag(data, at, hashes, kinds, numbers)
        name = at + 1 + is_closing
        if then > at and tag[2] - name == after - first and lies_at(data, name, data[first:after]):
            depth += -1 if is_closing else 1
            if depth == 0:
                return at
            if has_numbers and depth > _DEEPEST_NUMBERS:
                return -1
        at = max(then, at + 1)
    return len(data)


@njit(
    types.int64(
        BYTES, types.int64, PLACE, types.int64, types.int64, types.boolean,
        types.uint64[::1], types.uint8[::1], types.uint8[::1],
    ),
    cache=KEPT,
)  # fmt: skip
def passed_over(data, at, tag, then, shown, is_code, hashes, kinds, numbers):
    """Return where to go on behind the opening tag of what has an end: `then`, or before the closing tag where it lies
    in a line and is hidden, or where it holds numbers of lines and nothing else, as a block or in code.

    Of a formula one form is kept: a hidden element that holds it in MathML, or what KaTeX has drawn, where none has.
    """
    is_block = tag[0] == BLOCK or tag[0] == KEPT_LINES
    is_drawn = shown & FORMULA and not _follows_formula(data, at)
    if shown & HIDDEN and not is_block and not is_drawn and not is_formula(data, then):
        return _closing_of(data, then, at + 1, tag[2], False, hashes, kinds, numbers)
    if shown & NUMBER and (is_block or is_code):
        return max(then, _closing_of(data, then, at + 1, tag[2], True, hashes, kinds, numbers))
    return then
