"""Arrow arrays to NumPy and back, where a column holds more than one number a row.

A run is one row's values, of any length: the runs of a column are all its values one after another, `values`, and
`offsets` int64 of shape (rows + 1,); run i is values[offsets[i]:offsets[i + 1]]. Every function takes slices, and
arrays with 32-bit as with 64-bit ("large") offsets. A null counts as a row without bytes or values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Offsets = npt.NDArray[np.int64]

_MOST_BYTES = (1 << 31) - 1
"""What 32-bit offsets reach."""


def text_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], Offsets, npt.NDArray[np.uint8]]:
    """Return (data, offsets, valid) of a string or binary array, without a copy of any text.

    Row i is data[offsets[i]:offsets[i + 1]]; offsets[0] need not be 0. data: not to be written, wherever it comes from
    (Arrow lets what was read from a file be written, and not what came by IPC: a kernel would be compiled for either).
    valid: uint8 of shape (rows,), 0 for a null.
    """
    content = texts.buffers()[2]
    data = np.frombuffer(content if content is not None else b"", np.uint8)
    data.flags.writeable = False
    valid = np.ones(len(texts), np.uint8) if texts.null_count == 0 else np.asarray(texts.is_valid()).astype(np.uint8)
    return data, _offsets(texts), valid


def matrix_from_binary(column: pa.Array, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return a column of equally long binaries as an array of shape (rows, bytes of a row / bytes of `dtype`).

    It looks into the column's memory: no copy, and not to be written. Of no rows the shape is (0, 0). Raises ValueError
    where a row is longer than another.
    """
    data, offsets, _ = text_buffers(column)
    if not len(column):
        return np.empty((0, 0), dtype)
    lengths = np.diff(offsets)
    if (lengths != lengths[0]).any():
        raise ValueError(f"rows of {lengths.min():,} to {lengths.max():,} bytes make no matrix")
    return data[offsets[0] : offsets[-1]].view(dtype).reshape(len(column), -1)


def matrix_to_binary(matrix: npt.NDArray[Any]) -> pa.Array:
    """Return the rows of a 2-d array as a binary array, without a copy where they lie one after another."""
    rows = np.ascontiguousarray(matrix)
    ends = np.arange(len(rows) + 1, dtype=np.int64) * (rows.dtype.itemsize * rows.shape[1])
    return _binary(rows, ends)


def runs_from_binary(column: pa.Array, dtype: type[np.generic] | str) -> tuple[npt.NDArray[Any], Offsets]:
    """Return the runs (values, offsets) of a binary array whose rows are values of `dtype`, without a copy of values.

    Raises ValueError where a row ends within a value.
    """
    width = np.dtype(dtype).itemsize
    data, offsets, _ = text_buffers(column)
    if (np.diff(offsets) % width).any():
        raise ValueError(f"a row is no whole number of values of {width} bytes")
    values = data[offsets[0] : offsets[-1]].view(dtype)
    return values, (offsets - offsets[0]) // width


def runs_to_binary(values: npt.NDArray[Any], offsets: Offsets) -> pa.Array:
    """Return runs as a binary array, without a copy where the values lie one after another."""
    data = np.ascontiguousarray(values)
    return _binary(data, offsets * data.dtype.itemsize)


def runs_from_lists(column: pa.Array) -> tuple[npt.NDArray[np.int64], Offsets]:
    """Return the runs (values, offsets) of an array of lists of whole numbers, values as int64.

    Raises ValueError where a list has a null among its numbers, and pa.ArrowInvalid (one too) for a number beyond
    int64.
    """
    numbers = column.flatten()
    if numbers.null_count:
        raise ValueError("a list has a null among its numbers")
    return np.asarray(numbers.cast(pa.int64())), list_offsets(column)


def list_offsets(column: pa.Array) -> Offsets:
    """Return where the lists of a column, of any kind of list, begin and end in what `flatten` makes of it."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values; bytes that are not UTF-8 in a string, which Spark bears, become U+FFFD."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        if not any(is_text(column.type) for is_text in texts):
            raise
        raw = column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
        values = [None if value is None else value.decode("utf-8", "replace") for value in raw]
    return values


def plain(column: pa.Array) -> pa.Array:
    """Return a column of texts, bytes or numbers without a dictionary, and without views into other buffers."""
    if isinstance(column, pa.ExtensionArray):
        return plain(column.storage)
    if pa.types.is_dictionary(column.type):
        return plain(column.dictionary_decode())
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(column.type):
        return column.cast(pa.large_binary())
    return column


def to_bytes(column: pa.Array) -> pa.Array:
    """Return the values of a column that is no list, map or struct as binary, from which `from_bytes` makes them again.

    Texts and bytes as they are, what has a fixed width as it lies in memory; null as null.
    """
    values = plain(column)
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), pa.binary())
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    if pa.types.is_fixed_size_binary(values.type):
        return values.cast(pa.binary())
    if not has_runs(values.type):
        width = values.type.bit_width // 8
        raw = np.frombuffer(values.buffers()[1], np.uint8)[values.offset * width :][: len(values) * width]
        filled = matrix_to_binary(raw.reshape(len(values), width))
        return pc.if_else(values.is_valid(), filled, pa.scalar(None, pa.binary())) if values.null_count else filled
    return values.cast(pa.large_binary()).cast(pa.binary())


def from_bytes(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values of a type, from what `to_bytes` made of such a column."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, from_bytes(values, kind.storage_type))
    if pa.types.is_dictionary(kind):
        encoded = from_bytes(values, kind.value_type).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
        )
    if pa.types.is_null(kind):
        return pa.nulls(len(values))
    if pa.types.is_boolean(kind):
        return from_bytes(values, pa.uint8()).cast(kind)
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return from_bytes(values, pa.string()).cast(kind)
    if pa.types.is_string(kind):
        return values.cast(kind, safe=False)  # what is no UTF-8 was none before
    if has_runs(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return values.cast(kind)
    width = kind.bit_width // 8
    filled = pc.fill_null(values, bytes(width)) if values.null_count else values
    data, offsets, _ = text_buffers(filled)
    content = pa.py_buffer(np.ascontiguousarray(data[offsets[0] : offsets[-1]]))
    bitmap = pa.py_buffer(np.packbits(np.asarray(values.is_valid()), bitorder="little")) if values.null_count else None
    return pa.Array.from_buffers(kind, len(values), [bitmap, content])


def has_runs(kind: pa.DataType) -> bool:
    """Return whether values of a type are runs of bytes of any length, as of texts."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that `plain` gives to a column of a type."""
    return plain(pa.nulls(0, kind)).type


def cast_batch(batch: pa.RecordBatch, schema: pa.Schema, constants: Mapping[str, Any]) -> pa.RecordBatch:
    """Return a batch with the columns of a schema, in its types.

    A column that the batch lacks has its value of `constants` in every row, or is null.
    """
    if batch.schema.equals(schema, check_metadata=False):
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    columns = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            value = pa.scalar(constants.get(field.name), field.type)
            columns.append(pa.repeat(value, batch.num_rows))
        else:
            column = batch.column(index)
            columns.append(column if column.type == field.type else _cast(column, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def concatenated(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return batches of one schema, at least one, as one."""
    if len(batches) == 1:
        return batches[0]
    schema = batches[0].schema
    columns = [pa.concat_arrays([batch.column(index) for batch in batches]) for index in range(len(schema))]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def filtered(batch: pa.RecordBatch, chosen: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """Return the chosen rows of a batch, bool (rows,), of types too that Arrow does not filter, such as views."""
    try:
        return batch.filter(pa.array(chosen))
    except pa.ArrowNotImplementedError:
        ends = np.flatnonzero(np.diff(chosen, prepend=False, append=False)).tolist()
        runs = [batch.slice(start, end - start) for start, end in zip(ends[::2], ends[1::2], strict=True)]
        return concatenated(runs or [batch.slice(0, 0)])


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    return column.cast(kind)


def _offsets(column: pa.Array) -> Offsets:
    """Return where the rows of a string or binary array begin and end in its data, int64 of shape (rows + 1,)."""
    wide = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    buffer = column.buffers()[1]
    if buffer is None or buffer.size == 0:
        return np.zeros(len(column) + 1, np.int64)
    stored = np.frombuffer(buffer, np.int64 if wide else np.int32)
    return stored[column.offset : column.offset + len(column) + 1].astype(np.int64)


def _binary(data: npt.NDArray[Any], ends: Offsets) -> pa.Array:
    if ends[-1] > _MOST_BYTES:
        raise ValueError(f"{ends[-1]:,} bytes do not fit into one binary array")
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(ends) - 1, buffers)
