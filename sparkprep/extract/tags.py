"""The elements that mean something to a text, and the tags by which serialized HTML opens and closes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from sparkprep.dedup.kernels import KEPT
from sparkprep.extract.serialized import (
    BYTES,
    MULTIPLIER,
    SLOTS,
    after_closing,
    after_comment,
    tag_at,
)

BLOCK, KEPT_LINES, RAW, LINK, BREAK, UNSEEN, CODE = 1, 2, 3, 4, 5, 6, 7
_BLOCK_NAMES = (
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"),
    *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("header", "hgroup", "legend", "li", "main", "menu", "nav", "ol", "p", "search", "section"),
    *("summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
)
_UNSEEN_NAMES = (
    *("script", "style", "noscript", "svg", "annotation", "annotation-xml", "template", "iframe", "object", "canvas"),
    *("audio", "video", "select", "textarea", "button", "datalist", "noframes", "noembed"),
)
"""What a browser shows no text of, or text of its controls alone."""
KINDS = {
    **dict.fromkeys(_BLOCK_NAMES, BLOCK),
    **dict.fromkeys(("pre", "listing"), KEPT_LINES),
    **dict.fromkeys(("xmp", "plaintext"), RAW),
    "a": LINK,
    **dict.fromkeys(("br", "hr"), BREAK),
    **dict.fromkeys(_UNSEEN_NAMES, UNSEEN),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), CODE),
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

PLACE = types.UniTuple(types.int64, 4)
"""Of a tag its kind, the number of its name, and where its attributes begin and end."""


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
        return (UNSEEN, 0, at, at), False, after_comment(data, at + 4), 0
    kind, number, first, after, close = tag_at(data, at, hashes, kinds, numbers)
    if after == first or close < 0:
        return (0, 0, at, at), False, at if after == first else -1, 0
    is_closing, then, raw_until = data[at + 1] == _SLASH, close + 1, 0
    if kind == UNSEEN and not is_closing:
        then = after_closing(data, then, first, after)
    elif kind == RAW and not is_closing:
        raw_until = after_closing(data, then, first, after) - (after - first) - 3
    return (kind, number, after, close), is_closing, then, raw_until
