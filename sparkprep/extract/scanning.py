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
from sparkprep.extract.attributes import CODE_LINE, HIDDEN, KEEPS_LINES, OWN_LINE, shown_by
from sparkprep.extract.serialized import BYTES, after_closing, begins_word, character_at, is_dense
from sparkprep.extract.tags import (
    BLOCK,
    BOX,
    BREAK,
    CODE,
    EMPTY,
    IMAGE,
    KEPT_LINES,
    LINK,
    NAMES,
    PLACE,
    RAW,
    TAG_TABLE,
    TELLING,
    UNSEEN,
    is_formula,
    lies_at,
    passed_over,
    read_tag,
)


class Scan(NamedTuple):
    """The blocks of a page, and the elements with text in them, both in document order.

    text: UTF-8 of one block after the other. starts: (blocks + 1,) where they lie in it. blocks: (5, blocks) int32 of
    the element, the characters, those of them in links, those of Chinese, Japanese and Korean, and those in code.
    elements: (9, elements) int32 of the name, by its number in NAMES, the element around it, the first and the end
    of the blocks inside, where its attributes lie, the innermost of TELLING and the innermost item of a list, itself
    included, and how many items are around one another; 0 where there is none. Element 0 is around all.
    """

    text: bytes
    starts: npt.NDArray[np.int32]
    blocks: npt.NDArray[np.int32]
    elements: npt.NDArray[np.int32]


def scan(html: bytes) -> Scan:
    """Return the blocks of serialized HTML, with single blanks, or with their lines in `pre` and where a style says so.

    What begins a block elsewhere begins a line inside `pre`, where highlighters put each line into an element of its
    own, and a cell of a table is set off by a tab. `&nbsp;` stays a blank in code, which is indented by it. A block of
    `<br>` alone, or of blanks, is none. Of several empty lines one stays. What is hidden in a line is left out, as are
    the numbers of lines of code. An image or a control between two words parts them by a blank.
    """
    data = np.frombuffer(html, np.uint8)
    most = np.count_nonzero(data == _OPENS) + 2
    text = np.empty(len(html) + 2, np.uint8)
    starts, blocks = np.zeros(most, np.int32), np.empty((5, most), np.int32)
    elements, stack = np.zeros((9, most), np.int32), np.empty((5, most), np.int32)
    state = np.zeros(6, np.int64)
    state[_ELEMENTS] = 1
    _scan(data, *TAG_TABLE, text, starts, blocks, elements, stack, state)
    count = int(state[_COUNT])
    elements[3, 0] = elements[3, stack[3, : state[_NUMBERED]]] = count
    starts = starts[: count + 1]
    return Scan(text[: starts[-1]].tobytes(), starts, blocks[:, :count], elements[:, : int(state[_ELEMENTS])])


_DEPTH, _NUMBERED, _COUNT, _ELEMENTS, _RAW_UNTIL, _SHOWN_UNTIL = range(6)
"""What the state of a pass tells: how many elements are open, how many of them are numbered; blocks and elements; up to
where there are no tags, and where nothing is hidden."""

_OPENS, _LINE_END = ord("<"), ord("\n")
_TD, _TH, _TR, _LI, _DIV = map(NAMES.index, ("td", "th", "tr", "li", "div"))
_TELLS = np.array([name in TELLING for name in NAMES])
_NBSP = len("&nbsp;")
_MATRIX = types.int32[:, ::1]
_STATE = types.int64[::1]


@njit(
    types.void(
        _MATRIX, _MATRIX, _STATE, types.int32[::1], _MATRIX,
        types.int64, types.int64, types.int64, types.int64, types.int64,
    ),
    cache=KEPT,
)  # fmt: skip
def _end_block(elements, stack, state, starts, blocks, end, chars, linked, dense, coded):
    """Write a block, and give the open elements around it their rows, those that have none. end: of its text; chars,
    linked, dense, coded: its characters, and those of them of each kind."""
    depth, count = state[_DEPTH], state[_COUNT]
    for level in range(state[_NUMBERED], depth):
        inside = state[_ELEMENTS]
        number, above = stack[0, level], stack[3, level - 1] if level else 0
        elements[0, inside], elements[1, inside] = number, above
        elements[2, inside] = count
        elements[4, inside], elements[5, inside] = stack[1, level], stack[2, level]
        elements[6, inside] = inside if _TELLS[number] else elements[6, above]
        elements[7, inside] = inside if number == _LI else elements[7, above]
        elements[8, inside] = elements[8, above] + (number == _LI)
        stack[3, level] = inside
        state[_ELEMENTS] += 1
    state[_NUMBERED] = depth
    blocks[0, count] = stack[3, depth - 1] if depth else 0
    blocks[1, count], blocks[2, count], blocks[3, count] = chars, min(linked, chars), dense
    blocks[4, count] = min(coded, chars)
    starts[count + 1] = end
    state[_COUNT] += 1


_CODE_TAG, _TD_END, _DIV_END = (np.frombuffer(text, np.uint8) for text in (b"<code", b"</td>", b"</div>"))
_LONGEST_LINE = 2_000
"""Bytes of a line of code."""


@njit(types.boolean(BYTES, types.int64, types.int64), cache=KEPT)
def _is_line_of_code(data, begin, number):
    """Return whether a cell, or a `div`, whose tag ends before `begin` is a single line of code, and nothing else."""
    if (number != _TD and number != _DIV) or not lies_at(data, begin, _CODE_TAG):
        return False
    last = min(len(data), begin + _LONGEST_LINE)
    end = after_closing(data[:last], begin, begin + 1, begin + len(_CODE_TAG))
    for at in range(begin, end):
        if data[at] == _LINE_END:
            return False
    return lies_at(data, end, _DIV_END if number == _DIV else _TD_END)


@njit(types.UniTuple(types.int64, 3)(BYTES, _MATRIX, _MATRIX, _STATE, PLACE, types.boolean, types.int64), cache=KEPT)
def _open_or_close(data, elements, stack, state, tag, is_closing, shown):
    """Open an element, or close the innermost where it is this one; return by how many more elements lines are kept
    then, by how many more of `pre`, and by how many more lines of code."""
    kind, number, after, end, _ = tag
    depth = state[_DEPTH]
    if not is_closing:
        is_code = kind == BLOCK and shown & CODE_LINE != 0 and data[end + 1] != _LINE_END
        keeps_lines = kind != BLOCK or is_code or shown & KEEPS_LINES != 0 or _is_line_of_code(data, end + 1, number)
        if shown & HIDDEN and is_formula(data, end + 1):
            after = end  # what is hidden here is shown as an image
        stack[0, depth], stack[1, depth], stack[2, depth] = number, after, end
        stack[4, depth] = np.int64(keeps_lines) + np.int64(is_code)
        state[_DEPTH] += 1
        return np.int64(keeps_lines), np.int64(kind == KEPT_LINES), np.int64(is_code)
    if depth and stack[0, depth - 1] == number:
        state[_DEPTH] = depth - 1
        if state[_NUMBERED] == depth:
            elements[3, stack[3, depth - 1]] = state[_COUNT]
            state[_NUMBERED] = depth - 1
        keeps = stack[4, depth - 1]
        return -np.int64(keeps > 0), -np.int64(kind == KEPT_LINES), -np.int64(keeps > 1)
    return 0, 0, 0


@njit(
    types.Tuple((PLACE, types.boolean, types.int64, types.int64))(
        BYTES, types.int64, types.boolean, types.uint64[::1], types.uint8[::1], types.uint8[::1], _STATE
    ),
    cache=KEPT,
)
def _next_tag(data, at, is_code, hashes, kinds, numbers, state):
    """Return what begins at "<" as `read_tag` does, but what its attributes say, and where to go on behind it and what
    is passed over. Something hidden that is most of the page waits for a script that shows it."""
    tag, is_closing, then, raw = read_tag(data, at, hashes, kinds, numbers)
    state[_RAW_UNTIL] = max(raw, state[_RAW_UNTIL]) if then >= 0 else len(data)  # nor has any that follows an end
    if is_closing or not tag[4] or tag[0] == UNSEEN or then <= at:
        return tag, is_closing, 0, then
    shown = shown_by(data, tag[2], tag[3])
    if shown and (tag[0] <= KEPT_LINES or tag[0] == LINK or tag[0] == CODE):
        says = shown if at >= state[_SHOWN_UNTIL] else shown & ~HIDDEN
        end = passed_over(data, at, tag, then, says, is_code, hashes, kinds, numbers)
        if end - then <= len(data) // 2:
            return tag, is_closing, shown, end
        state[_SHOWN_UNTIL] = end
    return tag, is_closing, shown, then


_NO_BORDER, _CLOSED, _OPENED, _CELL = 0, 1, 2, 3
"""Inside `pre`, where an element has ended or begun since the last character: what comes next is on another line, or
in another cell of it."""


@njit(types.int64(types.int64, types.int64, types.boolean), cache=KEPT)
def _border(before, number, is_closing):
    """Return the border that a tag makes inside `pre`, after the one that was there."""
    if number == _TD or number == _TH:  # noqa: SIM109  (as Numba compiles it to two comparisons)
        return _CELL if before == _NO_BORDER and not is_closing else before
    if before == _CELL and number != _TR:
        return before
    return max(before % _CELL, _CLOSED if is_closing else _OPENED)


@njit(types.int64(BYTES, types.int64, types.uint8[::1], types.int64), cache=KEPT)
def _copy_plain(data, at, text, out):
    """Copy the bytes from `at` on that are of ASCII and stand for themselves wherever they lie in a word; return how
    many these are."""
    length = 0
    while at + length < len(data) and 38 < data[at + length] < 128 and data[at + length] != 60:
        text[out + length] = data[at + length]
        length += 1
    return length


# In `_scan`, stack holds of the open elements the name, where the attributes lie, the number, once there is text in it,
# and whether it keeps lines. Text up to `solid` is sure, blanks and line ends up to `out` once more comes; `box` is
# where one of its own stood last, which parts words.
@njit(
    types.void(
        BYTES, types.uint64[::1], types.uint8[::1], types.uint8[::1], types.uint8[::1], types.int32[::1],
        _MATRIX, _MATRIX, _MATRIX, _STATE,
    ),
    cache=KEPT,
)  # fmt: skip
def _scan(data, hashes, kinds, numbers, text, starts, blocks, elements, stack, state):
    """Fill what `Scan` has, and in `state` how many blocks and elements there are."""
    at = begin = out = solid = chars = solid_chars = linked = dense = coded = breaks = keeps_lines = 0
    in_pre = in_code = border = shown = box = 0
    in_link = was_linked = was_coded = is_end = False
    while not is_end:
        is_end = at == len(data)
        tag, is_closing = (BLOCK if is_end else 0, 0, 0, 0, 0), False
        if at + 3 < len(data) and data[at] == _OPENS and at >= state[_RAW_UNTIL]:
            tag, is_closing, shown, then = _next_tag(data, at, keeps_lines + in_code > 0, hashes, kinds, numbers, state)
            if then > at:
                at = then
                in_link = not is_closing if tag[0] == LINK else in_link
                in_code = max(0, in_code + (-1 if is_closing else 1)) if tag[0] == CODE else in_code
                if in_pre and (tag[0] == BLOCK or (tag[0] == 0 and shown & OWN_LINE)):
                    out, chars = solid + min(breaks, 2), solid_chars + min(breaks, 2)
                    border = _border(border, tag[1], is_closing) if solid > begin and not breaks else border
                    continue
                box = out if (tag[0] == BOX or tag[0] == IMAGE) and out == solid and not shown & HIDDEN else box
                if tag[0] in (0, UNSEEN, LINK, CODE, BOX, IMAGE, EMPTY):
                    continue
        if tag[0] in (BLOCK, KEPT_LINES, RAW):
            if solid > begin:
                _end_block(elements, stack, state, starts, blocks, solid, solid_chars, linked, dense, coded)
            begin, out, was_linked, was_coded = solid, solid, False, False
            chars = solid_chars = linked = dense = coded = breaks = border = 0
            more = _open_or_close(data, elements, stack, state, tag, is_closing or is_end, shown)
            keeps_lines, in_pre, in_code = keeps_lines + more[0], in_pre + more[1], max(0, in_code + more[2])
            continue
        is_break = tag[0] == BREAK
        byte, blank, length = (_LINE_END, 1, 0) if is_break else character_at(data, at)
        at, breaks = at + length, breaks + (border == _OPENED and byte == _LINE_END)
        if border and byte != _LINE_END:
            text[solid] = 9 if border == _CELL else _LINE_END
            breaks, out, chars = border != _CELL, solid + 1, solid_chars + 1
        border = _NO_BORDER
        if is_break or (keeps_lines and byte == _LINE_END):
            breaks += solid > begin
            out, chars = solid + min(breaks, 2), solid_chars + min(breaks, 2)
            text[solid:out] = _LINE_END
        elif not blank:
            parts = np.int64(box == out > begin and begins_word(data, at - 1, byte, text[out - 1]))
            text[out], text[out + parts], out, chars = 32, byte, out + parts, chars + parts
            if byte & 0xC0 != 0x80:
                chars += 1
                linked += (chars - solid_chars if was_linked else 1) if in_link else 0
                coded += (chars - solid_chars if was_coded else 1) if in_code else 0
                was_linked, was_coded = in_link, in_code > 0
                dense += byte >= 0xE3 and is_dense(data, at - 1)
            run = _copy_plain(data, at, text, out + 1)
            linked, coded = linked + run * in_link, coded + run * (in_code > 0)
            at, out, chars = at + run, out + 1 + run, chars + run
            solid, solid_chars, breaks = out, chars, 0
        elif keeps_lines or (in_code and length == _NBSP) or (solid > begin and out == solid):
            text[out] = byte if keeps_lines and byte == 9 else 32
            out, chars, was_coded = out + 1, chars + 1, was_coded or in_code > 0
