"""Serialized HTML byte by byte: tags, attributes, references and characters, as compiled functions of a place.

The bytes are those that `scanning` describes. Every function is given all of them, and where to look.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from sparkprep.dedup.kernels import KEPT

SLOTS = 512
"""Of a table of names: a name lies in the slot of its hash, or in a later one."""
MULTIPLIER = 257
"""Of that hash, which is taken modulo 2^64."""
_SLASH = ord("/")

_WORD = np.array([chr(byte).isalnum() for byte in range(128)])
_ENDS = np.array([chr(byte) in ".,;:!?)]}%" for byte in range(128)])

_TAG = types.UniTuple(types.int64, 6)
BYTES = types.Array(types.uint8, 1, "C", readonly=True)


@njit(types.int64(BYTES, types.int64, types.int64, types.int64), cache=KEPT)
def after_closing(data: npt.NDArray[np.uint8], at: int, begin: int, end: int) -> int:
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


@njit(types.int64(BYTES, types.int64), cache=KEPT)
def after_comment(data: npt.NDArray[np.uint8], at: int) -> int:
    """Return where the first `-->` from `at` on has ended, or the end of all."""
    while at + 3 <= len(data):
        if data[at] == 45 and data[at + 1] == 45 and data[at + 2] == 62:
            return at + 3
        at += 1
    return len(data)


@njit(types.UniTuple(types.int64, 2)(BYTES, types.int64), cache=KEPT)
def _end_of_tag(data: npt.NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return where the ">" of a tag lies, or -1 where it has none, and whether it may have an attribute that says how
    its text is shown, by the last letters of its name. at: behind the tag's name.

    A value begins with `="`: names of attributes may have quotes in them too.
    """
    says = 0
    while at < len(data):
        if data[at] == 62:
            return at, says
        if data[at] == 34 and data[at - 1] == 61:
            # clasS, stylE, typE; hiddEN; data-line-numbER
            last = data[at - 2]
            says |= last == 115 or last == 101 or ((last == 110 or last == 114) and data[at - 3] == 101)
            at += 1
            while at < len(data) and data[at] != 34:
                at += 1
        at += 1
    return -1, 0


@njit(types.int64(BYTES, types.int64), cache=KEPT)
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


@njit(types.UniTuple(types.int64, 2)(BYTES, types.int64), cache=KEPT)
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


@njit(types.UniTuple(types.int64, 3)(BYTES, types.int64), cache=KEPT, inline="always")
def character_at(data: npt.NDArray[np.uint8], at: int) -> tuple[int, int, int]:
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


@njit(types.boolean(BYTES, types.int64, types.int64, types.int64), cache=KEPT)
def begins_word(data: npt.NDArray[np.uint8], at: int, byte: int, before: int) -> bool:
    """Return whether a byte that lies at a place begins a word, or a bracket, that a blank would set off from what is
    before it: a word, or a sign that ends something."""
    if before < 128 and not _WORD[before] and not _ENDS[before]:
        return False
    if byte < 128:
        return bool(_WORD[byte] or byte == 40)
    if byte < 0xC3 or at + 1 >= len(data):
        return False
    # No dash, quotation mark or point: U+2000 to U+203F, U+3000 to U+303F, U+FF00 to U+FF7F.
    second = data[at + 1]
    is_sign = (byte == 0xE2 or byte == 0xE3) and second == 0x80
    return not is_sign and not (byte == 0xEF and (second == 0xBC or second == 0xBD))


@njit(types.boolean(BYTES, types.int64), cache=KEPT)
def is_dense(data: npt.NDArray[np.uint8], at: int) -> bool:
    """Return whether a character of kana, Han or Hangul begins here: U+3040 to U+9FFF, U+AC00 to U+D7A3."""
    byte = data[at]
    if byte < 0xE3 or byte > 0xED or at + 1 >= len(data):
        return False
    if byte == 0xE3:
        return bool(data[at + 1] >= 0x81)
    if byte == 0xEA:
        return bool(data[at + 1] >= 0xB0)
    return bool(byte != 0xED or data[at + 1] <= 0x9E)


@njit(_TAG(BYTES, types.int64, types.uint64[::1], types.uint8[::1], types.uint8[::1]), cache=KEPT)
def tag_at(data, at, hashes, kinds, numbers):
    """Return of the tag that begins at `at` its kind, the number of its name, where that begins and ends, where the
    tag's ">" lies, and whether it may say how its text is shown. -1 where it has no end; the name's beginning is its
    end where this is no tag."""
    first = at + 1 + (data[at + 1] == _SLASH)
    after = first
    value = np.uint64(0)
    while after < len(data) and (
        97 <= data[after] <= 122 or (after > first and (48 <= data[after] <= 57 or data[after] == 45))
    ):
        value = value * np.uint64(MULTIPLIER) + np.uint64(data[after])
        after += 1
    if after == first:
        return 0, 0, first, after, -1, 0
    slot = np.int64(value % np.uint64(SLOTS))
    while kinds[slot] and hashes[slot] != value:
        slot = (slot + 1) % SLOTS
    close, says = _end_of_tag(data, after)
    return kinds[slot], numbers[slot], first, after, close, says


@njit(types.int64(BYTES, types.int64, types.int64, BYTES), cache=KEPT)
def place_behind(data: npt.NDArray[np.uint8], begin: int, end: int, what: npt.NDArray[np.uint8]) -> int:
    """Return where a word that stands between two places has ended, with the colon and the blanks behind it, or -1.

    what: in small letters; others are taken for the same.
    """
    for at in range(begin, end - len(what)):
        if data[at] | 32 == what[0]:
            same = 1
            while same < len(what) and data[at + same] | 32 == what[same]:
                same += 1
            if same == len(what):
                at += same
                while at < end and (data[at] == 32 or data[at] == 58):
                    at += 1
                return at
    return -1


@njit(types.int64(BYTES, types.int64, types.int64, BYTES), cache=KEPT)
def number_after(data: npt.NDArray[np.uint8], begin: int, end: int, what: npt.NDArray[np.uint8]) -> int:
    """Return the number that stands behind a word between two places, of six digits at most; -1 where it is not."""
    at = place_behind(data, begin, end, what)
    if at < 0 or data[at] < 48 or data[at] > 57:
        return -1
    number, last = 0, min(end, at + 6)
    while at < last and 48 <= data[at] <= 57:
        number = 10 * number + data[at] - 48
        at += 1
    return number
