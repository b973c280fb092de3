"""Which column names a document, and as what its values are hashed, for the order of the documents in shards."""

from __future__ import annotations

from enum import Enum

import pyarrow as pa

from sparkprep.documents.keys import id_column
from sparkprep.documents.parquet.footers import InputSummary
from sparkprep.errors import UserError, argument
from sparkprep.io.arrow import plain_type
from sparkprep.io.parquet import open_parquet

_LONG_DIGITS, _MOST_DIGITS = 18, 38


class Form(Enum):
    """As what Spark hashes the values of a type."""

    INT = 1
    LONG = 2
    BYTES = 3
    BIG_NUMBER = 4


def form_of(kind: pa.DataType) -> Form | None:
    """Return as what the values of a plain type (see `io.arrow.plain`) are hashed; None for lists, and what cannot be.

    Whole numbers without a sign count as the next wider type, as which Spark reads them; instants by microseconds.
    """
    if pa.types.is_integer(kind):
        bits = kind.bit_width + (0 if pa.types.is_signed_integer(kind) else 1)
        return Form.INT if bits <= 32 else Form.LONG if bits <= 64 else Form.BIG_NUMBER
    if pa.types.is_boolean(kind) or pa.types.is_float32(kind) or pa.types.is_date(kind):
        return Form.INT
    if pa.types.is_float64(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return Form.LONG
    if pa.types.is_decimal(kind) and kind.precision <= _MOST_DIGITS:
        return Form.LONG if kind.precision <= _LONG_DIGITS else Form.BIG_NUMBER
    texts = (pa.types.is_string, pa.types.is_large_string)
    blobs = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_null)
    return Form.BYTES if any(is_such(kind) for is_such in (*texts, *blobs)) else None


def id_of(summary: InputSummary, given: str | None) -> str | None:
    """Return the column that names a document: the given one, else DEFAULT_ID, or None where there is none.

    summary: of that column at least. Raises UserError where the given one is not there, and for values without an
    order, as lists and structs are.
    """
    names = summary.schema.names
    if given is not None and given not in names:  # all columns are for the message alone
        with open_parquet(summary.files[0].path) as file:
            names = file.schema_arrow.names
    name = id_column(given, names)
    if name is not None:
        kind = summary.schema.field(name).type
        if form_of(plain_type(kind)) is None:
            raise UserError(
                f"{argument('id_column')}: column {name!r} ({kind}) holds values that have no order; name another"
            )
    return name
