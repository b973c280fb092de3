"""Serialized HTML to its text, cut at the borders of blocks: compiled, one pass over the bytes, linear in them.

The bytes are those of a tree that a parser has written out in UTF-8: each element is closed in its place, attributes
stand in double quotes, and text has `&amp;`, `&lt;`, `&gt;` and `&nbsp;` for what would be read as something else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types

from sparkprep.dedup.kernels import KEPT

_BLOCK, _KEPT_LINES, _RAW, _LINK, _BREAK, _UNSEEN = 1, 2, 3, 4, 5, 6
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
_KINDS = {
    **dict.fromkeys(_BLOCK_NAMES, _BLOCK),
    **dict.fromkeys(("pre", "listing"), _KEPT_LINES),
    **dict.fromkeys(("xmp", "plaintext"), _RAW),
    "a": _LINK,
    **dict.fromkeys(("br", "hr"), _BREAK),
    **dict.fromkeys(_UNSEEN_NAMES, _UNSEEN),
}
NAMES = ("", *_KINDS)
"""The elements that mean something here, by number; 0 is none of them."""


class Scan(NamedTuple):
    """The blocks of a page, and the elements with text in them, both in document order.

    text: UTF-8 of one block after the other. starts: (blocks + 1,) where they lie in it. blocks: (4, blocks) int32 of
    the element, the characters, those of them in links, and those of Chinese, Japanese and Korean. elements: (6,
    elements) int32 of the name, by its number in NAMES, the element around it, the first and the end of the blocks
    inside, and where its attributes lie; element 0 is around all.
    """

    text: bytes
    starts: npt.NDArray[np.int32]
    blocks: npt.NDArray[np.int32]
    elements: npt.NDArray[np.int32]


def scan(html: bytes) -> Scan:
    """Return the blocks of serialized HTML, with single blanks, or with their lines inside `pre`.

    A block of `<br>` alone, or of blanks, is none. Of several empty lines one stays.
    """
    data = np.frombuffer(html, np.uint8)
    most = np.count_nonzero(data == _OPENS) + 2
    text = np.empty(len(html) + 2, np.uint8)
    starts, blocks = np.zeros(most, np.int32), np.empty((4, most), np.int32)
    elements, stack = np.zeros((6, most), np.int32), np.empty((4, most), np.int32)
    state = np.zeros(4, np.int64)
    state[_ELEMENTS] = 1
    _scan(data, *_TABLE, text, starts, blocks, elements, stack, state)
    count = int(state[_COUNT])
    elements[3, 0] = elements[3, stack[3, : state[_NUMBERED]]] = count
    starts = starts[: count + 1]
    return Scan(text[: starts[-1]].tobytes(), starts, blocks[:, :count], elements[:, : int(state[_ELEMENTS])])


_DEPTH, _NUMBERED, _COUNT, _ELEMENTS = range(4)
"""What the state of a pass tells: how many elements are open, how many of them are numbered; blocks and elements."""
_SLOTS = 512
_MULTIPLIER = 257


def _hash(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value * _MULTIPLIER + byte) % (1 << 64)
    return value


def _table() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return by slot the hashes of names, their kinds and numbers; a name lies in its hash's slot, or a later one."""
    hashes, kinds, numbers = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint8), np.zeros(_SLOTS, np.uint8)
    for number, (name, kind) in enumerate(_KINDS.items(), 1):
        slot = _hash(name) % _SLOTS
        while kinds[slot]:
            slot = (slot + 1) % _SLOTS
        hashes[slot], kinds[slot], numbers[slot] = _hash(name), kind, number
    return hashes, kinds, numbers


_TABLE = _table()

_OPENS, _SLASH, _LINE_END = ord("<"), ord("/"), ord("\n")

_TAG = types.UniTuple(types.int64, 5)
_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_MATRIX = types.int32[:, ::1]
_STATE = types.int64[::1]


@njit(types.int64(_U8, types.int64, types.int64, types.int64), cache=KEPT)
def _after_closing(data: npt.NDArray[np.uint8], at: int, begin: int, end: int) -> int:
    """Return where the first `</name>` from `at` on has ended, or the end of all; the name is data[begin:end]."""
    length = end - begin
    while at + length + 3 <= len(data):
        if data[at] == 60 and data[at + 1] == 47 and data[at + 2 + length] == 62:
            same = 0
            while same < length and data[at + 2 + same] == data[begin + same]:
                same += 1
            if same == length:
                return at + length + 3
        at += 1
    return len(data)


@njit(types.int64(_U8, types.int64), cache=KEPT)
def _after_comment(data: npt.NDArray[np.uint8], at: int) -> int:
    """Return where the first `-->` from `at` on has ended, or the end of all."""
    while at + 3 <= len(data):
        if data[at] == 45 and data[at + 1] == 45 and data[at + 2] == 62:
            return at + 3
        at += 1
    return len(data)


@njit(types.int64(_U8, types.int64), cache=KEPT)
def _end_of_tag(data: npt.NDArray[np.uint8], at: int) -> int:
    """Return where the ">" of a tag lies, or -1 where it has none. at: behind its name.

    A value begins with `="`: names of attributes may have quotes in them too.
    """
    while at < len(data):
        if data[at] == 62:
            return at
        if data[at] == 34 and data[at - 1] == 61:
            at += 1
            while at < len(data) and data[at] != 34:
                at += 1
        at += 1
    return -1


@njit(types.int64(_U8, types.int64), cache=KEPT)
def _blank(data: npt.NDArray[np.uint8], at: int) -> int:
    """Return how many bytes of blank space lie here: those of one character, or 0."""
    byte = data[at]
    if byte < 128:
        return 1 if byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31 else 0
    if at + 1 >= len(data):
        return 0
    second = data[at + 1]
    if byte == 0xC2:
        return 2 if second == 0x85 or second == 0xA0 else 0
    if at + 2 >= len(data):
        return 0
    third = data[at + 2]
    if byte == 0xE2:
        general = second == 0x80 and (0x80 <= third <= 0x8A or 0xA8 <= third <= 0xA9 or third == 0xAF)
        return 3 if general or (second == 0x81 and third == 0x9F) else 0
    if byte == 0xE3:
        return 3 if second == 0x80 and third == 0x80 else 0
    return 3 if byte == 0xE1 and second == 0x9A and third == 0x80 else 0


@njit(types.UniTuple(types.int64, 2)(_U8, types.int64), cache=KEPT)
def _reference(data: npt.NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return the character that a reference stands for, and its bytes; "&" itself where there is none."""
    left = len(data) - at
    if left >= 4 and data[at + 2] == 116 and data[at + 3] == 59:
        if data[at + 1] == 108:
            return 60, 4
        if data[at + 1] == 103:
            return 62, 4
    if left >= 5 and data[at + 1] == 97 and data[at + 2] == 109 and data[at + 3] == 112 and data[at + 4] == 59:
        return 38, 5
    if left >= 6 and data[at + 1] == 110 and data[at + 2] == 98 and data[at + 3] == 115 and data[at + 4] == 112:
        return 32, 6
    return 38, 1


@njit(types.UniTuple(types.int64, 3)(_U8, types.int64), cache=KEPT, inline="always")
def _character(data: npt.NDArray[np.uint8], at: int) -> tuple[int, int, int]:
    """Return the byte that lies here or a reference stands for, whether it begins blank space, and the bytes to go on.

    Of a character of several bytes the first is returned, and one of them is gone on: those that follow stand for
    themselves.
    """
    byte = data[at]
    if 38 < byte < 128:
        return byte, 0, 1
    if byte == 38:
        character, length = _reference(data, at)
        return character, character == 32, length
    length = _blank(data, at)
    return byte, length > 0, max(length, 1)


@njit(types.boolean(_U8, types.int64), cache=KEPT)
def _is_dense(data: npt.NDArray[np.uint8], at: int) -> bool:
    """Return whether a character of kana, Han or Hangul begins here: U+3040 to U+9FFF, U+AC00 to U+D7A3."""
    byte = data[at]
    if byte < 0xE3 or byte > 0xED or at + 1 >= len(data):
        return False
    if byte == 0xE3:
        return bool(data[at + 1] >= 0x81)
    if byte == 0xEA:
        return bool(data[at + 1] >= 0xB0)
    return bool(byte != 0xED or data[at + 1] <= 0x9E)


@njit(_TAG(_U8, types.int64, types.uint64[::1], types.uint8[::1], types.uint8[::1]), cache=KEPT)
def _tag(data, at, hashes, kinds, numbers):
    """Return of the tag that begins at `at` its kind, the number of its name, where that begins and ends, and where the
    tag's ">" lies: -1 where there is none, and the name's beginning is its end where this is no tag."""
    first = at + 1 + (data[at + 1] == _SLASH)
    after = first
    value = np.uint64(0)
    while after < len(data) and (
        97 <= data[after] <= 122 or (after > first and (48 <= data[after] <= 57 or data[after] == 45))
    ):
        value = value * np.uint64(_MULTIPLIER) + np.uint64(data[after])
        after += 1
    if after == first:
        return 0, 0, first, after, -1
    slot = np.int64(value % np.uint64(_SLOTS))
    while kinds[slot] and hashes[slot] != value:
        slot = (slot + 1) % _SLOTS
    return kinds[slot], numbers[slot], first, after, _end_of_tag(data, after)


@njit(types.void(_MATRIX, _MATRIX, _STATE, types.int32[::1], _MATRIX, types.int64[::1]), cache=KEPT)
def _end_block(elements, stack, state, starts, blocks, block):
    """Write a block, and give the open elements around it their rows, those that have none. block: where its text ends,
    its characters, those in links, and the dense ones."""
    depth, count = state[_DEPTH], state[_COUNT]
    for level in range(state[_NUMBERED], depth):
        inside = state[_ELEMENTS]
        elements[0, inside] = stack[0, level]
        elements[1, inside] = stack[3, level - 1] if level else 0
        elements[2, inside] = count
        elements[4, inside], elements[5, inside] = stack[1, level], stack[2, level]
        stack[3, level] = inside
        state[_ELEMENTS] += 1
    state[_NUMBERED] = depth
    blocks[0, count] = stack[3, depth - 1] if depth else 0
    blocks[1, count], blocks[2, count], blocks[3, count] = block[1], min(block[2], block[1]), block[3]
    starts[count + 1] = block[0]
    state[_COUNT] += 1


@njit(types.void(_MATRIX, _MATRIX, _STATE, types.int64, types.boolean, types.int64, types.int64), cache=KEPT)
def _open_or_close(elements, stack, state, number, is_closing, after, end):
    """Open an element, whose attributes lie between `after` and `end`, or close the innermost where it is this one."""
    depth = state[_DEPTH]
    if not is_closing:
        stack[0, depth], stack[1, depth], stack[2, depth] = number, after, end
        state[_DEPTH] += 1
    elif depth and stack[0, depth - 1] == number:
        state[_DEPTH] = depth - 1
        if state[_NUMBERED] == depth:
            elements[3, stack[3, depth - 1]] = state[_COUNT]
            state[_NUMBERED] = depth - 1


@njit(
    types.void(
        _U8, types.uint64[::1], types.uint8[::1], types.uint8[::1], types.uint8[::1], types.int32[::1],
        _MATRIX, _MATRIX, _MATRIX, _STATE,
    ),
    cache=KEPT,
)  # fmt: skip
def _scan(data, hashes, kinds, numbers, text, starts, blocks, elements, stack, state):
    """Fill what `Scan` has; how many blocks and elements there are is in `state`.

    stack: of the open elements the name, where the attributes lie, and the number, which an element has once there is
    text in it. Text up to `solid` is sure; what lies between that and `out`, blanks and line ends, is so when more text
    comes in the same block.
    """
    at = begin = out = solid = chars = solid_chars = linked = dense = breaks = keeps_lines = raw_until = 0
    in_link = was_linked = tags_end = is_end = False
    while not is_end:
        is_end = at == len(data)
        kind, number, after, is_closing = _BLOCK if is_end else 0, 0, 0, False
        if at + 3 < len(data) and data[at] == _OPENS and at >= raw_until and not tags_end:
            if data[at + 1] == 33 and data[at + 2] == 45 and data[at + 3] == 45:
                at = _after_comment(data, at + 4)
                continue
            kind, number, first, after, close = _tag(data, at, hashes, kinds, numbers)
            is_closing = data[at + 1] == _SLASH
            if after > first and close < 0:
                kind, tags_end = 0, True  # nor has any that follows an end
            elif after > first:
                at = close + 1
                if kind == _UNSEEN and not is_closing:
                    at = _after_closing(data, at, first, after)
                elif kind == _RAW and not is_closing:
                    raw_until = _after_closing(data, at, first, after) - (after - first) - 3
                elif kind == _LINK:
                    in_link = not is_closing
                if kind in (0, _UNSEEN, _LINK):
                    continue
        if kind in (_BLOCK, _KEPT_LINES, _RAW):
            if solid > begin:
                _end_block(elements, stack, state, starts, blocks, np.array([solid, solid_chars, linked, dense]))
            begin, out, was_linked = solid, solid, False
            chars = solid_chars = linked = dense = breaks = 0
            if not is_end:
                depth = state[_DEPTH]
                _open_or_close(elements, stack, state, number, is_closing, after, at - 1)
                keeps_lines += (state[_DEPTH] - depth) * (kind != _BLOCK)
            continue
        byte, blank, length = (_LINE_END, 1, 0) if kind == _BREAK else _character(data, at)
        at += length
        if kind == _BREAK or (keeps_lines and byte == _LINE_END):
            breaks += solid > begin
            out, chars = solid + min(breaks, 2), solid_chars + min(breaks, 2)
            text[solid:out] = _LINE_END
        elif not blank:
            text[out] = byte
            out += 1
            if byte & 0xC0 != 0x80:
                chars += 1
                if in_link:
                    linked += chars - solid_chars if was_linked else 1
                was_linked = in_link
                dense += byte >= 0xE3 and _is_dense(data, at - 1)
            solid, solid_chars, breaks = out, chars, 0
        elif keeps_lines or (solid > begin and out == solid):
            text[out] = byte if keeps_lines and byte == 9 else 32
            out, chars = out + 1, chars + 1
