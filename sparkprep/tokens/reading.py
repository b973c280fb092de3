"""Token rows as tasks read them: looked at in their footers, then read piece by piece, each row with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from sparkprep.commands import command
from sparkprep.documents.keys import DEFAULT_ID
from sparkprep.documents.parquet.footers import summarise
from sparkprep.documents.parquet.pieces import Documents, plan
from sparkprep.errors import UserError, argument
from sparkprep.io.arrow import plain, plain_type, runs_to_binary
from sparkprep.io.formats import PARQUET
from sparkprep.io.listing import Listing, list_input
from sparkprep.tokens.identifiers import Form, form_of, id_of
from sparkprep.tokens.runs import I64, bodies, is_list, rows_of

PLACED = pa.schema([("place", pa.int64()), ("name", pa.binary()), ("tokens", pa.binary())])
"""Token rows, which stand in the stream in the order of these columns.

place: Spark's `xxhash64(seed, id)`. name: null where equal hashes mean equal identifiers. tokens: uint16 in the byte
order of `TokenRows.dtype`.
"""


@dataclass(frozen=True)
class PlacedRows:
    """Some token rows (PLACED).

    lengths: int64 (rows,), tokens with the end-of-text before them. nulls: rows whose tokens are null, which count as
    documents without a token.
    """

    rows: pa.RecordBatch
    lengths: I64
    nulls: int

    @property
    def places(self) -> I64:
        """The hashes, int64 (rows,)."""
        return np.asarray(self.rows["place"])


@dataclass(frozen=True)
class TokenRows:
    """Token rows as they lie.

    listing: their files that hold any. id_column: None where the tokens themselves order the rows. warnings: what is to
    be told of the input.
    """

    listing: Listing
    documents: Documents
    id_column: str | None
    warnings: tuple[str, ...]

    @property
    def tokens_column(self) -> str:
        return self.documents.summary.text_column

    @property
    def is_list(self) -> bool:
        """Whether the tokens are lists of numbers rather than binary."""
        return is_list(self.documents.schema.field(self.tokens_column).type)

    @property
    def dtype(self) -> str:
        """How tokens lie in the rows that are shuffled: in bytes that sort as the column's values do."""
        return ">u2" if self.is_list else "<u2"

    @property
    def tokens_about(self) -> int:
        """The tokens of all rows, end-of-text included, estimated from the footers."""
        summary = self.documents.summary
        return summary.rows + sum(group.bytes // 2 for groups in summary.row_groups for group in groups)

    def batches(self, number: int, seed: int) -> Iterator[PlacedRows]:
        """Yield the rows of a piece. Raises UserError, naming the file, for what is no token of GPT-2."""
        from sparkprep.tokens.xxhash64 import xxhash64  # with Numba, which the driver can do without

        columns = list(dict.fromkeys([self.tokens_column, self.id_column or self.tokens_column]))
        for path, batch in self.documents.located_batches(number, columns):
            tokens = plain(batch.column(self.tokens_column))
            try:
                values, offsets = rows_of(tokens)
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
            begin, end = bodies(values, offsets)
            # Without an identifier the tokens order the rows, as the same bytes however they are stored.
            ordering = batch.column(self.id_column) if self.id_column else runs_to_binary(values.astype("<u2"), offsets)
            places = pa.array(xxhash64(ordering, seed))
            ids = runs_to_binary(values.astype(self.dtype), offsets) if self.is_list else tokens.cast(pa.binary())
            rows = pa.RecordBatch.from_arrays([places, self._names(batch), ids], schema=PLACED)
            yield PlacedRows(rows, end - begin + 1, tokens.null_count)

    def _names(self, batch: pa.RecordBatch) -> pa.Array:
        """Return what tells identifiers apart that share a hash: no numbers of 64 bits or less do."""
        ids = None if self.id_column is None else plain(batch.column(self.id_column))
        if ids is None or form_of(ids.type) in (Form.INT, Form.LONG):
            return pa.nulls(batch.num_rows, pa.binary())
        if form_of(ids.type) is Form.BIG_NUMBER:
            ids = ids.cast(pa.string())
        return ids.cast(pa.binary())


def open_rows(paths: Sequence[str], tokens_column: str, id_column: str | None, tasks: int) -> TokenRows:
    """Read the footers of token rows, and cut these into pieces for so many tasks at once.

    id_column: None for DEFAULT_ID, if there is such a column. Raises UserError for what holds no token rows, with the
    columns there are.
    """
    listing = list_input(paths, tokens_column)
    files = listing.files
    if files[0].format != PARQUET:
        raise UserError(f"{files[0].path}: token rows are Parquet; {_tokenise(paths)}")
    check = partial(_check_column, tokens_column)
    summary = summarise(files, tokens_column, [id_column or DEFAULT_ID], check)
    if not _holds_tokens(summary.schema.field(tokens_column).type):
        raise _no_tokens(files[0].path, summary.schema, tokens_column)
    listing = listing.without(summary.without_rows)
    warnings = (*listing.warnings, *summary.widened)
    return TokenRows(listing, plan(summary, tasks), id_of(summary, id_column), warnings)


def _check_column(tokens_column: str, path: str, schema: pa.Schema) -> None:
    if tokens_column not in schema.names:
        raise UserError(
            f"{path}: no column {tokens_column!r}; columns there are: {', '.join(schema.names)}; "
            f"name it with {argument('tokens_column')}"
        )
    kind = schema.field(tokens_column).type
    without_values = pa.types.is_null(kind) or (is_list(kind) and pa.types.is_null(kind.value_type))
    if not (without_values or _holds_tokens(kind)):
        raise _no_tokens(path, schema, tokens_column)


def _holds_tokens(kind: pa.DataType) -> bool:
    kind = plain_type(kind)
    if is_list(kind):
        return bool(pa.types.is_integer(kind.value_type))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _tokenise(paths: Sequence[str]) -> str:
    return f"make some of documents: `{command('tokenize', '--input', *paths, '--output', 'TOKENS')}`"


def _no_tokens(path: str, schema: pa.Schema, tokens_column: str) -> UserError:
    kind = schema.field(tokens_column).type
    is_text = pa.types.is_string(plain_type(kind)) or pa.types.is_large_string(plain_type(kind))
    hint = _tokenise([path]) if is_text else f"name another with {argument('tokens_column')}"
    return UserError(f"{path}: column {tokens_column!r} is {kind}, not lists of numbers or binary; {hint}")
