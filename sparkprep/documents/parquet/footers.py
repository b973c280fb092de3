"""What the footers of Parquet documents tell, and whether the files can be read as one table: no Spark, no row read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.documents.parquet.schemas import check_text_column, unify, with_column
from sparkprep.documents.partitions import PartitionValue, partition_types, partition_values
from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.left_out import WITHOUT_ROWS, LeftOut
from sparkprep.io.listing import DataFile
from sparkprep.io.parquet import READ_ERRORS
from sparkprep.io.paths import filesystem
from sparkprep.io.recognise import HEAD_BYTES, PARQUET_KIND, read_head, what_is

_FOOTER_READERS = 16


@dataclass(frozen=True)
class RowGroup:
    """A row group: its rows, and the bytes of all its columns, uncompressed but as encoded.

    Where a file repeats values and stores them as a dictionary, the bytes are less than those of the decoded values.
    (A column's own bytes are not asked for: where its metadata is damaged, PyArrow ends the process.)
    """

    rows: int
    bytes: int


@dataclass(frozen=True)
class InputSummary:
    """What the footers of a set of Parquet files tell, without reading any row.

    schema: in which all rows can be written, then the columns named by folders (folder_values has a value of each for
    every file). row_groups: of each file, in the order of the files. widened: where the files' types differ harmlessly,
    a line each.
    """

    files: tuple[DataFile, ...]
    schema: pa.Schema
    text_column: str
    folder_values: tuple[dict[str, PartitionValue], ...]
    row_groups: tuple[tuple[RowGroup, ...], ...]
    widened: tuple[str, ...] = ()

    @property
    def file_rows(self) -> list[int]:
        """The rows of each file."""
        return [sum(group.rows for group in groups) for groups in self.row_groups]

    @property
    def without_rows(self) -> list[LeftOut]:
        """The files without any row, to be told of."""
        return [
            LeftOut(file.path, WITHOUT_ROWS) for file, rows in zip(self.files, self.file_rows, strict=True) if not rows
        ]

    @property
    def rows(self) -> int:
        return sum(self.file_rows)

    @property
    def bytes(self) -> int:
        """Of all row groups, uncompressed but as encoded."""
        return sum(group.bytes for groups in self.row_groups for group in groups)


def summarise(
    files: Sequence[DataFile],
    text_column: str = "text",
    columns: Sequence[str] | None = None,
    check: Callable[[str, pa.Schema], None] | None = None,
) -> InputSummary:
    """Read every footer, in threads, and check that the files can be read as one table; return what they tell.

    columns: those that will be read besides the text; None: all. check: where it is no text that `text_column` holds,
    raises UserError for a file (path, schema) without that. Raises UserError, naming file and column, for a file that
    is not sound Parquet, columns whose types contradict each other, two columns of one name, and a text column that is
    missing or no string.
    """
    row_groups: list[tuple[RowGroup, ...]] = []
    by_content: dict[bytes, tuple[str, pa.Schema]] = {}
    with ThreadPoolExecutor(_FOOTER_READERS) as pool:
        for file, (schema, groups) in zip(files, pool.map(_read_footer, files), strict=True):
            by_content.setdefault(schema.serialize().to_pybytes(), (file.path, schema))
            row_groups.append(groups)
    distinct = list(by_content.values())
    if check is not None:
        for path, schema in distinct:
            check(path, schema)
    elif not any(text_column in schema.names for _, schema in distinct):
        check_text_column(*distinct[0], text_column)
    wanted = None if columns is None else [text_column, *columns]
    unified = unify(distinct, wanted)
    if check is None:
        check_text_column(distinct[0][0], unified.schema, text_column)
    values = partition_values(files, wanted)
    schema = unified.schema
    for column, kind in partition_types(values).items():
        if column not in schema.names and (wanted is None or column in wanted):
            schema = with_column(schema, pa.field(column, kind))
    return InputSummary(
        files=tuple(files),
        schema=schema,
        text_column=text_column,
        folder_values=tuple(values),
        row_groups=tuple(row_groups),
        widened=unified.widened,
    )


def _not_parquet(file: DataFile, reason: str) -> str:
    recognised = what_is(read_head(file.path, HEAD_BYTES))
    if recognised is not None and recognised.kind != PARQUET_KIND:
        return f"not Parquet; {recognised.told(file.path)}"
    return f"not a sound Parquet file (cut short or damaged): {reason}; restore it or leave it out"


def _read_footer(file: DataFile) -> tuple[pa.Schema, tuple[RowGroup, ...]]:
    if file.size == 0:
        raise UserError(f"{file.path}: the file is empty (0 bytes), not Parquet; restore it or leave it out")
    system, inner = filesystem(file.path)
    try:
        # Not by `read_metadata`: only a reader tells the types that it will give.
        with pq.ParquetFile(inner, filesystem=system, pre_buffer=False) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
    except READ_ERRORS as error:
        raise UserError(f"{file.path}: {_not_parquet(file, cause(error))}") from error
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    return schema, tuple(RowGroup(group.num_rows, group.total_byte_size) for group in groups)
