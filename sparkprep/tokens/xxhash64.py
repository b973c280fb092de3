"""Spark's `xxhash64(seed, column)`, without Spark: Collet's XXH64 as Spark feeds values to it.

A number is hashed as its 4 or 8 bytes, by its type, and so are dates and times; text and bytes as they lie, decimals of
more than 18 digits as the bytes of their unscaled number. A list is hashed element by element, each with the hash so
far as its seed; a null leaves the hash as it is.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit, types

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.hashing import load64
from sparkprep.io.arrow import list_offsets, plain, text_buffers
from sparkprep.tokens.identifiers import Form, form_of
from sparkprep.tokens.runs import is_list

SEED = 42
"""What Spark starts from."""
_MICROSECONDS = {"s": (1_000_000, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}

P1 = np.uint64(0x9E3779B185EBCA87)
P2 = np.uint64(0xC2B2AE3D27D4EB4F)
P3 = np.uint64(0x165667B19E3779F9)
P4 = np.uint64(0x85EBCA77C2B2AE63)
P5 = np.uint64(0x27D4EB2F165667C5)
LOW = np.uint64(0xFFFFFFFF)

_U8 = types.Array(types.uint8, 1, "C", readonly=True)
_I64 = types.Array(types.int64, 1, "C", readonly=True)
_HASHES = types.uint64[::1]


def xxhash64(column: pa.Array, seed: int) -> npt.NDArray[np.int64]:
    """Return `xxhash64(seed, column)` for each row, int64 (rows,), as Spark gives it with a literal 64-bit seed.

    Takes plain columns, and lists of them. Raises TypeError for a type that Spark does not hash, or not alike.
    """
    hash_one = _hash_int if -(1 << 31) <= seed < 1 << 31 else _hash_long
    hashes = np.full(len(column), hash_one(seed, np.uint64(SEED)), np.uint64)
    column = plain(column)
    if is_list(column.type):
        elements, runs = plain(column.flatten()), list_offsets(column)
    else:
        elements, runs = column, np.arange(len(column) + 1)
    if elements.null_count:
        runs = np.concatenate([[0], np.cumsum(np.asarray(elements.is_valid()), dtype=np.int64)])[runs]
        elements = elements.drop_null()
    _chain(elements, runs, hashes)
    return hashes.view(np.int64)


def _chain(elements: pa.Array, runs: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64]) -> None:
    """Hash the elements runs[i]..runs[i + 1] - 1, none of them null, into hashes[i]."""
    form = form_of(elements.type)
    if form is Form.INT or form is Form.LONG:
        _chain_numbers(_numbers(elements), runs, form is Form.LONG, hashes)
    elif form is Form.BIG_NUMBER:
        _chain_bytes(*_big_endian(elements), runs, hashes)
    elif form is Form.BYTES:
        if not (pa.types.is_string(elements.type) or pa.types.is_large_string(elements.type)):
            elements = elements.cast(pa.large_binary())
        data, ends, _ = text_buffers(elements)
        _chain_bytes(data, ends, runs, hashes)
    else:
        raise TypeError(f"a column of {elements.type} cannot be hashed as Spark does")


def _numbers(elements: pa.Array) -> npt.NDArray[np.int64]:
    """Return what Spark holds for values hashed as int or long, int64."""
    kind = elements.type
    if pa.types.is_floating(kind):
        numbers = np.asarray(elements) + kind.to_pandas_dtype()(0)  # which makes of -0 the other zero
        numbers[np.isnan(numbers)] = np.nan  # one of many
        bits: npt.NDArray[np.signedinteger[Any]] = numbers.view(np.int32 if kind.bit_width == 32 else np.int64)
        return bits.astype(np.int64)
    if pa.types.is_decimal(kind):
        return np.ascontiguousarray(_unscaled(elements)[:, 0])
    if pa.types.is_date(kind):
        return np.asarray(elements.cast(pa.date32()).cast(pa.int32())).astype(np.int64)
    if pa.types.is_timestamp(kind):
        factor, divisor = _MICROSECONDS[kind.unit]
        return np.asarray(elements.view(pa.int64())) * factor // divisor
    if pa.types.is_duration(kind):
        return np.asarray(elements.view(pa.int64()))
    return np.asarray(elements.cast(pa.int64()))


def _unscaled(elements: pa.Array) -> npt.NDArray[np.int64]:
    """Return the unscaled numbers of decimals, or of uint64, as int64 (rows, 2): the low 64 bits, the high ones."""
    if pa.types.is_integer(elements.type):
        elements = pc.cast(elements, pa.decimal128(20))
    elements = elements.cast(pa.decimal128(elements.type.precision, elements.type.scale))
    words = np.frombuffer(elements.buffers()[1] or b"", np.int64).reshape(-1, 2)
    return words[elements.offset : elements.offset + len(elements)]


def _big_endian(elements: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return (data, offsets) of unscaled numbers as Java's BigInteger writes them: in as few bytes as hold the sign."""
    wide = np.ascontiguousarray(_unscaled(elements)[:, ::-1].astype(">i8")).view(np.uint8).reshape(-1, 16)
    sign = wide[:, :1] >> 7
    spare = (wide[:, :-1] == 255 * sign) & (wide[:, 1:] >> 7 == sign)
    leading = np.cumprod(spare, axis=1, dtype=np.int64).sum(axis=1)
    kept = np.arange(16) >= leading[:, None]
    return wide[kept], np.concatenate([[0], np.cumsum(16 - leading)])


@njit("uint64(uint64, uint64)", cache=KEPT)
def _rotate(x, bits):
    return (x << bits) | (x >> (np.uint64(64) - bits))


@njit("uint64(uint64)", cache=KEPT)
def _finish(h):
    h = (h ^ (h >> np.uint64(33))) * P2
    h = (h ^ (h >> np.uint64(29))) * P3
    return h ^ (h >> np.uint64(32))


@njit("uint64(int64, uint64)", cache=KEPT)
def _hash_int(value, seed):
    h = (seed + P5 + np.uint64(4)) ^ ((np.uint64(value) & LOW) * P1)
    return _finish(_rotate(h, np.uint64(23)) * P2 + P3)


@njit("uint64(int64, uint64)", cache=KEPT)
def _hash_long(value, seed):
    h = (seed + P5 + np.uint64(8)) ^ (_rotate(np.uint64(value) * P2, np.uint64(31)) * P1)
    return _finish(_rotate(h, np.uint64(27)) * P1 + P4)


@njit("uint64(uint64, uint64)", cache=KEPT)
def _round(accumulator, word):
    return _rotate(accumulator + word * P2, np.uint64(31)) * P1


@njit([types.uint64(_U8, types.int64, types.int64, types.uint64)], cache=KEPT)
def _hash_bytes(data, at, end, seed):
    """XXH64 of data[at:end]."""
    size = end - at
    if size >= 32:
        v1, v2, v3, v4 = seed + P1 + P2, seed + P2, seed, seed - P1
        while at + 32 <= end:
            v1, v2 = _round(v1, load64(data, at)), _round(v2, load64(data, at + 8))
            v3, v4 = _round(v3, load64(data, at + 16)), _round(v4, load64(data, at + 24))
            at += 32
        h = _rotate(v1, np.uint64(1)) + _rotate(v2, np.uint64(7))
        h += _rotate(v3, np.uint64(12)) + _rotate(v4, np.uint64(18))
        for v in (v1, v2, v3, v4):
            h = (h ^ _round(np.uint64(0), v)) * P1 + P4
    else:
        h = seed + P5
    h += np.uint64(size)
    while at + 8 <= end:
        h = _rotate(h ^ _round(np.uint64(0), load64(data, at)), np.uint64(27)) * P1 + P4
        at += 8
    if at + 4 <= end:
        word = np.uint64(0)
        for i in range(4):
            word |= np.uint64(data[at + i]) << np.uint64(8 * i)
        h = _rotate(h ^ (word * P1), np.uint64(23)) * P2 + P3
        at += 4
    while at < end:
        h = _rotate(h ^ (np.uint64(data[at]) * P5), np.uint64(11)) * P1
        at += 1
    return _finish(h)


@njit([types.void(_I64, _I64, types.boolean, _HASHES)], cache=KEPT)
def _chain_numbers(values, runs, is_long, hashes):
    for row in range(hashes.size):
        for i in range(runs[row], runs[row + 1]):
            hashes[row] = _hash_long(values[i], hashes[row]) if is_long else _hash_int(values[i], hashes[row])


@njit([types.void(_U8, _I64, _I64, _HASHES)], cache=KEPT)
def _chain_bytes(data, ends, runs, hashes):
    for row in range(hashes.size):
        for i in range(runs[row], runs[row + 1]):
            hashes[row] = _hash_bytes(data, ends[i], ends[i + 1], hashes[row])
