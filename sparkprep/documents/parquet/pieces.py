"""The documents of an input as pieces, each read by one task: planned from the footers, streamed by PyArrow.

A document's key is its place in the input: 0..N-1 in the order of the files and of the rows in each. A piece holds
consecutive keys: whole row groups, or a run of rows of one that is too large. However large a row group is, a task
holds some batches of its rows and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.documents.parquet.footers import InputSummary, RowGroup
from sparkprep.errors import UserError
from sparkprep.io.arrow import cast_batch, concatenated
from sparkprep.io.files import cause
from sparkprep.io.listing import DataFile, check_unchanged
from sparkprep.io.parquet import READ_ERRORS, open_parquet

PIECE_BYTES = 128 << 20
"""Of a piece, as encoded, at most about."""
LEAST_PIECE_BYTES = 8 << 20
"""Below this, a task costs more than it shares out."""
PIECE_ROWS = 100_000
"""Rows of a piece at most, but for a row group of more: copies of one text may lie in next to no bytes."""
BATCH_BYTES = 4 << 20
BATCH_ROWS = 512
SMALL_GROUP_BYTES, STEP_ROWS, STEP_ROWS_OF_LARGE = 64 << 20, 512, 8
"""Rows that are decoded at once, fewer in a row group that is not small: its longest texts may lie side by side."""


@dataclass(frozen=True)
class Span:
    """Rows of one file: of row groups first..first + groups - 1, after the first `skip` rows, so many rows."""

    file: int
    first: int
    groups: int
    skip: int
    rows: int


@dataclass(frozen=True)
class Piece:
    """Consecutive documents that one task reads."""

    first_key: int
    rows: int
    bytes: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Documents:
    """An input, as tasks read it."""

    summary: InputSummary
    pieces: tuple[Piece, ...]

    @property
    def schema(self) -> pa.Schema:
        return self.summary.schema

    @property
    def first_keys(self) -> npt.NDArray[np.int64]:
        """The first key of each piece, int64 (pieces,)."""
        return np.array([piece.first_key for piece in self.pieces], np.int64)

    def pieces_of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of the piece that each key, int64 (n,), lies in."""
        return np.searchsorted(self.first_keys, keys, side="right") - 1

    def batches(self, number: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a piece in order, with these columns (None: all), as the schema has them.

        A batch holds up to BATCH_ROWS rows of about BATCH_BYTES, or one longer one. Raises UserError, naming the file
        and the row group, where they cannot be read.
        """
        for _, batch in self.located_batches(number, columns):
            yield batch

    def located_batches(
        self, number: int, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield what `batches` does, each batch behind the path of its file, for what is wrong with its values."""
        names = self.schema.names if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names], self.schema.metadata)
        for span in self.pieces[number].spans:
            values = self.summary.folder_values[span.file]
            for batch in _gathered(self._rows_of(span, schema)):
                path = self.summary.files[span.file].path
                try:
                    yield path, cast_batch(batch, schema, values)
                except pa.ArrowInvalid as error:
                    raise UserError(
                        f"{path}: a value does not fit the type that its column has in all files: {error}"
                    ) from error

    def _rows_of(self, span: Span, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a span step by step, with those columns of the schema that the file has, as it has them."""
        file, planned = self.summary.files[span.file], self.summary.row_groups[span.file]
        values = self.summary.folder_values[span.file]
        skip, left = span.skip, span.rows
        largest = max(group.bytes for group in planned[span.first : span.first + span.groups])
        with changes_told(file), open_parquet(file.path, largest) as opened:
            groups = (opened.metadata.row_group(number) for number in range(opened.num_row_groups))
            if [(g.num_rows, g.total_byte_size) for g in groups] != [(g.rows, g.bytes) for g in planned]:
                raise UserError(f"{file.path}: has changed while the job ran; run again when nothing writes to it")
            stored = [name for name in schema.names if name in opened.schema_arrow.names]
            for group in range(span.first, span.first + span.groups):
                for batch in _decoded(opened, file.path, group, stored, _step(planned[group])):
                    if skip >= batch.num_rows:
                        skip -= batch.num_rows
                        continue
                    if skip or batch.num_rows > left:
                        batch = batch.slice(skip, left)
                    skip, left = 0, left - batch.num_rows
                    # Without a column, only its schema's columns tell how many rows a batch has.
                    yield batch if stored else cast_batch(batch, schema, values)
                    if not left:
                        return


@contextmanager
def changes_told(file: DataFile) -> Iterator[None]:
    """Tell of a file that cannot be read, and is another by now, that it has changed rather than that it is damaged."""
    try:
        yield
    except UserError:
        check_unchanged([file])
        raise


def _decoded(opened: object, path: str, group: int, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    try:
        for batch in opened.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False):  # type: ignore[attr-defined]
            # A name with dots also brings the column that is nested so.
            yield batch if batch.num_columns == len(columns) else batch.select(columns)
    except READ_ERRORS as error:
        raise UserError(
            f"{path}: row group {group} cannot be read: {cause(error)}; restore the file or leave it out"
        ) from error


def _step(group: RowGroup) -> int:
    mean = group.bytes / max(1, group.rows)
    most = STEP_ROWS if group.bytes <= SMALL_GROUP_BYTES else STEP_ROWS_OF_LARGE
    return int(min(most, max(1, BATCH_BYTES // max(1.0, mean))))


def _gathered(steps: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put steps of one schema together into batches that are worth a call."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for step in (part for whole in steps for part in _parts(whole)):
        if held and size + step.nbytes > BATCH_BYTES:
            yield concatenated(held)
            held, rows, size = [], 0, 0
        held.append(step)
        rows, size = rows + step.num_rows, size + step.nbytes
        if rows >= BATCH_ROWS:
            yield concatenated(held)
            held, rows, size = [], 0, 0
    if held:
        yield concatenated(held)


def _parts(step: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a step, or each of its rows alone where there are long ones among them."""
    rows = 1 if step.nbytes > BATCH_BYTES else max(1, step.num_rows)
    for start in range(0, step.num_rows, rows):
        yield step.slice(start, rows)


def plan(summary: InputSummary, tasks: int) -> Documents:
    """Cut an input into pieces of about equal bytes and PIECE_ROWS at most, for so many tasks that run at once.

    Raises nothing; an input without rows has no piece.
    """
    wanted = summary.bytes // max(1, 2 * tasks)
    size = min(PIECE_BYTES, max(LEAST_PIECE_BYTES, wanted))
    pieces: list[Piece] = []
    current = Piece(0, 0, 0, ())
    for file, groups in enumerate(summary.row_groups):
        for number, group in enumerate(groups):
            for skip, rows in _cuts(group, size):
                bytes_of_rows = group.bytes * rows // max(1, group.rows)
                if current.rows and (current.bytes + bytes_of_rows > size or current.rows + rows > PIECE_ROWS):
                    pieces.append(current)
                    current = Piece(current.first_key + current.rows, 0, 0, ())
                current = _with(current, Span(file, number, 1, skip, rows), bytes_of_rows)
    if current.rows:
        pieces.append(current)
    return Documents(summary, tuple(pieces))


def _cuts(group: RowGroup, size: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, rows) of the parts of a row group: itself, unless it is worth more than one piece.

    Each part is reached by decoding what lies before it.
    """
    if not group.rows:  # as writers of empty tables leave them
        return
    parts = min(group.rows, max(1, round(group.bytes / size)))
    starts = accumulate([group.rows // parts] * (parts - 1), initial=0)
    for start, end in pairwise([*starts, group.rows]):
        yield start, end - start


def _with(piece: Piece, span: Span, size: int) -> Piece:
    """Return a piece with more rows; row groups that follow one another whole make one span."""
    spans = piece.spans
    last = spans[-1] if spans else None
    if last and not span.skip and last.file == span.file and span.first == last.first + last.groups:
        spans = (*spans[:-1], replace(last, groups=last.groups + 1, rows=last.rows + span.rows))
    else:
        spans = (*spans, span)
    return replace(piece, rows=piece.rows + span.rows, bytes=piece.bytes + size, spans=spans)
