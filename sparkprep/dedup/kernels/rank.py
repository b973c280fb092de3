"""Values of any ordered type as bytes that sort as they do: the keep order in one column that anything can sort.

Arrow and Spark compare binary columns byte by byte, unsigned, the shorter first. So a number is written with its most
significant byte first and its sign turned over (the order-preserving encoding of keys in databases), and a byte before
each value says whether there is one: nulls come last, in a descending order too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.kernels.hashing import hash_rows
from sparkprep.io.arrow import has_runs, matrix_to_binary, plain, text_buffers, to_bytes

Bytes = npt.NDArray[np.uint8]

_HERE, _MISSING = 0, 1


def rank_bytes(ids: pa.Array, first: pa.Array | None = None, *, descending: bool = False) -> pa.Array:
    """Return binary (n,) that sorts by `first`, ascending or descending, where there is one, and then by id.

    Nulls and NaN come last. Raises ValueError for a type that has no order (`has_order`).
    """
    parts = [_fixed_or_escaped(plain(first), descending)] if first is not None else []
    values = plain(ids)
    if _is_bytes(values.type):  # being the last, they need no end
        parts += [matrix_to_binary(_flag(values)), pc.fill_null(_as_large(values), b"")]
    else:
        parts.append(_fixed_or_escaped(values, False))
    return pc.binary_join_element_wise(
        *(part.cast(pa.large_binary()) for part in parts), pa.scalar(b"", pa.large_binary())
    ).cast(pa.binary())


def id_hashes(ids: pa.Array) -> pa.Array:
    """Return a 64-bit hash of each identifier, int64 (n,); null for null."""
    data, offsets, valid = text_buffers(to_bytes(ids))
    hashes = np.empty(len(ids), np.uint64)
    hash_rows(data, offsets, hashes)
    return pa.array(hashes.view(np.int64), mask=valid == 0)


def has_order(kind: pa.DataType) -> bool:
    """Return whether `rank_bytes` takes values of a type: any that is no list, map, struct, union or interval."""
    if pa.types.is_dictionary(kind):
        return has_order(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return has_order(kind.storage_type)
    views = pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)
    return bool(pa.types.is_null(kind) or _is_bytes(kind) or views or (_width(kind) and not pa.types.is_interval(kind)))


def _fixed_or_escaped(values: pa.Array, descending: bool) -> pa.Array:
    """Return values as bytes of which none begins another, so that more may follow."""
    if _is_bytes(values.type):
        return _escaped(values, descending)
    payload = _big_endian(values)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    if descending:
        payload = ~payload
    payload[np.asarray(values.is_null())] = 0
    return matrix_to_binary(np.concatenate([_flag(values), payload], axis=1))


def _flag(values: pa.Array) -> Bytes:
    return np.where(np.asarray(values.is_null()), _MISSING, _HERE).astype(np.uint8)[:, None]


def _escaped(values: pa.Array, descending: bool) -> pa.Array:
    turned = bytes(range(255, -1, -1))
    rows = []
    for value in values.cast(pa.large_binary()).to_pylist():
        if value is None:
            rows.append(bytes([_MISSING]))
            continue
        ended = value.replace(b"\0", b"\0\xff") + b"\0\0"
        rows.append(bytes([_HERE]) + (ended.translate(turned) if descending else ended))
    return pa.array(rows, pa.binary())


def _big_endian(values: pa.Array) -> Bytes:
    """Return fixed-width values as uint8 (n, width), the most significant byte first, in the values' own order."""
    width, kind = _width(values.type), values.type
    if pa.types.is_null(kind):
        return np.zeros((len(values), 0), np.uint8)
    if pa.types.is_boolean(kind):
        return np.asarray(pc.fill_null(values, False)).astype(np.uint8)[:, None]
    raw = np.frombuffer(values.buffers()[1], np.uint8)[values.offset * width :][: len(values) * width]
    rows = raw.reshape(len(values), width)[:, ::-1].copy()
    if pa.types.is_floating(kind):
        rows[~((rows[:, 0] & 0x7F).astype(bool) | rows[:, 1:].any(axis=1))] = 0  # -0.0 too
        negative = rows[:, 0] >= 0x80
        rows[negative] = ~rows[negative]
        rows[~negative, 0] |= 0x80
    elif not pa.types.is_unsigned_integer(kind):
        rows[:, 0] ^= 0x80
    return rows


def _is_bytes(kind: Any) -> bool:
    return has_runs(kind) or bool(pa.types.is_fixed_size_binary(kind))


def _as_large(values: pa.Array) -> pa.Array:
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    return values.cast(pa.large_binary())


def _width(kind: Any) -> int:
    """Bytes of a value of a fixed-width type; 0 for a null, 1 for a truth value, 0 for what has no fixed width."""
    if pa.types.is_null(kind) or pa.types.is_nested(kind):
        return 0
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 0
