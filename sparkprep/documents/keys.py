"""What names a document: the dense key that stages join on, and the identifier of the user."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.errors import UserError, argument
from sparkprep.io.arrow import python_values, text_buffers

KEY = "__key"
"""The column of the key: 0..N-1 in the order of the files and of the rows in each."""
DEFAULT_ID = "id"
DEFAULT_SOURCE = "url"
"""The column by whose hosts a report tells."""
_NULL = ("None", "null")


def id_column(given: str | None, columns: Sequence[str]) -> str | None:
    """Return the column that names a document: the one that was given, else DEFAULT_ID, or None where there is none.

    Raises UserError where a column that was given is not there.
    """
    return named_column("id_column", given, DEFAULT_ID, columns)


def named_column(setting: str, given: str | None, default: str, columns: Sequence[str]) -> str | None:
    """Return the column that a setting names; by default the usual one, or None where there is no such column.

    Raises UserError with the columns there are where the setting names one that is not there.
    """
    if given is None:
        return default if default in columns else None
    if given not in columns:
        there = ", ".join(columns) or "none"
        raise UserError(f"{argument(setting, given)}: there is no column {given!r}; columns there are: {there}")
    return given


def text_digests(texts: pa.Array) -> pa.Array:
    """Return the SHA-256 of each text in hexadecimal, the identifier where there is no other; a null as "" has it."""
    data, offsets, _ = text_buffers(texts)
    digests = (hashlib.sha256(data.data[start:end]).hexdigest() for start, end in pairwise(offsets.tolist()))
    return pa.array(digests, pa.string())


def shown_name(value: object) -> str:
    """Return an identifier as it is shown to a reader: null where there is none."""
    return "null" if value is None else str(value)


def shown_as(values: pa.Array, name: str) -> npt.NDArray[np.bool_]:
    """Return which values are shown so: bool (n,). A null is shown as null, and Python's None is it too."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return np.asarray(pc.fill_null(pc.equal(values, pa.scalar(name, values.type)), name in _NULL))
    return np.array(
        [str(value) == name or (value is None and name in _NULL) for value in python_values(values)], np.bool_
    )
