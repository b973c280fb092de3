"""UTF-8 bytes to code points and back, for kernels, and how many characters a text has."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.io.arrow import text_buffers


@njit(cache=KEPT)
def decode(data, pos, end):
    """Return the code point at `pos` with its length in bytes above bit 32; -1 where the bytes are not valid UTF-8."""
    a = np.int64(data[pos])
    if a < 0x80:
        return a | (1 << 32)
    if a < 0xC2:
        return np.int64(-1)
    need = 2 if a < 0xE0 else 3 if a < 0xF0 else 4 if a < 0xF5 else 9
    if pos + need > end:
        return np.int64(-1)
    cp = a & (0x7F >> need)
    for i in range(1, need):
        b = np.int64(data[pos + i])
        if b & 0xC0 != 0x80:
            return np.int64(-1)
        cp = cp << 6 | b & 0x3F
    if (need == 3 and (cp < 0x800 or 0xD800 <= cp < 0xE000)) or (need == 4 and not 0x10000 <= cp < 0x110000):
        return np.int64(-1)
    return cp | need << 32


@njit(cache=KEPT)
def encode_text(points, n, out, at):
    """Write code points as UTF-8 from out[at] on, and return the place behind them."""
    for i in range(n):
        c = points[i]
        if c < 0x80:
            out[at] = c
            at += 1
        elif c < 0x800:
            out[at], out[at + 1] = 0xC0 | c >> 6, 0x80 | c & 0x3F
            at += 2
        elif c < 0x10000:
            out[at], out[at + 1], out[at + 2] = 0xE0 | c >> 12, 0x80 | c >> 6 & 0x3F, 0x80 | c & 0x3F
            at += 3
        else:
            out[at], out[at + 1] = 0xF0 | c >> 18, 0x80 | c >> 12 & 0x3F
            out[at + 2], out[at + 3] = 0x80 | c >> 6 & 0x3F, 0x80 | c & 0x3F
            at += 4
    return at


@njit(cache=KEPT)
def count_leading_bytes(data, offsets, counts):
    """Fill `counts` with how many bytes of each row, data[offsets[row]:offsets[row + 1]], begin a character."""
    for row in range(counts.size):
        count = 0
        for byte in data[offsets[row] : offsets[row + 1]]:  # by index it would not be done by vector instructions
            count += byte & np.uint8(0xC0) != np.uint8(0x80)
        counts[row] = count


def characters(texts: pa.Array) -> npt.NDArray[np.int64]:
    """Count the characters of each text of an Arrow array, int64 (n,); a null has none.

    The counts of Arrow's `utf8_length`, in a third of the time.
    """
    data, offsets, valid = text_buffers(texts)
    counts = np.empty(len(texts), np.int64)
    count_leading_bytes(data, offsets, counts)
    return counts * valid
