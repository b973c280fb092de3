"""Rows of tokens as NumPy arrays: checked, measured, and put one after another as the stream of a shard."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.errors import UserError
from sparkprep.io.arrow import plain, runs_from_binary, runs_from_lists
from sparkprep.tokenizer.vocabulary import END_OF_TEXT

I64 = npt.NDArray[np.int64]


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's lists, of fixed length or any, by offsets or by views."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def rows_of(column: pa.Array) -> tuple[npt.NDArray[np.integer[Any]], I64]:
    """Return the runs (values, offsets) of a batch's token column, as `io.arrow` has them.

    A column of binary holds little-endian uint16, one of lists numbers. A null has no tokens. Raises UserError for what
    is no token of GPT-2.
    """
    column = plain(column)
    try:
        values, offsets = runs_from_lists(column) if is_list(column.type) else _binary_runs(column)
    except pa.ArrowInvalid as error:
        raise _foreign(str(error)) from error
    except ValueError as error:
        raise UserError("a row of tokens has a null among its numbers: write the rows anew without it") from error
    if values.size and (int(values.max()) > END_OF_TEXT or int(values.min()) < 0):
        raise _foreign(f"token {values[(values > END_OF_TEXT) | (values < 0)][0]}")
    return values, offsets


def _binary_runs(column: pa.Array) -> tuple[npt.NDArray[np.integer[Any]], I64]:
    if pa.types.is_fixed_size_binary(column.type):
        column = pc.fill_null(column.cast(pa.large_binary()), b"")  # where one is null, bytes lie too
    try:
        return runs_from_binary(column, "<u2")
    except ValueError as error:
        raise UserError(
            "a row of tokens has an odd number of bytes: binary tokens must be little-endian uint16"
        ) from error


def _foreign(token: str) -> UserError:
    return UserError(f"{token} is none of GPT-2's, which end at {END_OF_TEXT}: was another tokenizer used?")


def bodies(values: npt.NDArray[np.integer[Any]], offsets: I64) -> tuple[I64, I64]:
    """Return (begin, end) of each row in `values` without the end-of-text that it may have at either end."""
    begin, end = offsets[:-1].copy(), offsets[1:].copy()
    rows = np.flatnonzero(end > begin)
    begin[rows[values[begin[rows]] == END_OF_TEXT]] += 1
    rows = np.flatnonzero(end > begin)
    end[rows[values[end[rows] - 1] == END_OF_TEXT]] -= 1
    return begin, end


def stream(values: npt.NDArray[np.integer[Any]], offsets: I64) -> tuple[npt.NDArray[np.uint16], I64]:
    """Return (tokens, starts): the rows one after another, each with one end-of-text before it, and where each begins.

    An end-of-text that a row already has at either end is not doubled.
    """
    begin, end = bodies(values, offsets)
    is_body = np.ones(len(values), np.bool_)
    is_body[offsets[:-1][begin > offsets[:-1]]] = False
    is_body[end[end < offsets[1:]]] = False
    starts = np.concatenate([[0], np.cumsum(end - begin + 1)])
    tokens = np.full(starts[-1], END_OF_TEXT, np.uint16)
    body = np.ones(starts[-1], np.bool_)
    body[starts[:-1]] = False
    tokens[body] = values if is_body.all() else values[is_body]
    return tokens, starts[:-1]
