"""What the footers of Parquet documents tell, and whether the files can be read as one table: no Spark, no row read."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.documents.batches import LONG_TEXT
from sparkprep.documents.parquet.schemas import (
    check_names,
    check_same_schema,
    check_text_column,
    leaves,
    plain_type,
    unreadable,
)
from sparkprep.documents.partitions import partition_types, partition_values
from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.listing import DataFile
from sparkprep.io.paths import filesystem, is_local, spark_uri

_FOOTER_READERS = 16


@dataclass(frozen=True)
class InputSummary:
    """What the footers of a set of Parquet files tell, without reading any row.

    schema: of the first file, then the columns named by folders; Arrow types with dictionaries and large variants
    written plainly. file_rows: rows of each file, in the order of the files. folder_columns: those of the schema that
    stand in folder names only. The sizes are bytes of the text column, uncompressed but as encoded: where a file
    repeats texts and stores them as a dictionary, they are less than the decoded text. largest_mean_text_bytes: bytes a
    row in the row group where that is greatest.
    """

    schema: pa.Schema
    file_rows: tuple[int, ...]
    folder_columns: tuple[str, ...]
    rows: int
    file_bytes: int
    row_groups: int
    text_bytes: int
    largest_row_group_text_bytes: int
    largest_mean_text_bytes: float

    @property
    def stored_columns(self) -> list[str]:
        """The columns that the files hold, those of folder names left out."""
        return [name for name in self.schema.names if name not in self.folder_columns]

    @property
    def has_long_texts(self) -> bool:
        """Whether in some row group most of the bytes are in texts of LONG_TEXT or more."""
        return self.largest_mean_text_bytes >= LONG_TEXT


@dataclass(frozen=True)
class _Footer:
    schema: pa.Schema
    problem: str | None
    row_group_rows: tuple[int, ...]
    row_group_text_bytes: tuple[int, ...]


def summarise(files: Sequence[DataFile], text_column: str = "text") -> InputSummary:
    """Read every footer, in threads, and check that the files can be read as one table; return what they tell.

    Raises UserError, naming file and column, for: a file that is not sound Parquet, files whose schemas differ (the
    order of columns may), a column type that Spark cannot read, columns that differ only by case, reserved names, and
    a text column that is missing or not a string.
    """
    with ThreadPoolExecutor(_FOOTER_READERS) as pool:
        footers = list(pool.map(lambda file: _read_footer(file, text_column), files))
    first = footers[0].schema
    check_names(files[0].path, first.names)
    check_text_column(files[0].path, first, text_column)
    for file, footer in zip(files, footers, strict=True):
        if footer.problem:
            raise UserError(f"{file.path}: {footer.problem}")
        check_same_schema(files[0].path, first, file.path, footer.schema)
    schema = first
    present = {name.lower() for name in first.names}
    folder_types = {c: t for c, t in partition_types(partition_values(files)).items() if c.lower() not in present}
    for column, kind in folder_types.items():
        schema = schema.append(pa.field(column, kind))
    check_names(files[0].path, schema.names)
    group_rows = [rows for footer in footers for rows in footer.row_group_rows]
    group_bytes = [size for footer in footers for size in footer.row_group_text_bytes]
    return InputSummary(
        schema=schema,
        file_rows=tuple(sum(footer.row_group_rows) for footer in footers),
        folder_columns=tuple(folder_types),
        rows=sum(group_rows),
        file_bytes=sum(file.size for file in files),
        row_groups=len(group_rows),
        text_bytes=sum(group_bytes),
        largest_row_group_text_bytes=max(group_bytes, default=0),
        largest_mean_text_bytes=max((b / r for b, r in zip(group_bytes, group_rows, strict=True)), default=0.0),
    )


def _open(file: DataFile) -> pq.FileMetaData:
    if file.size == 0:
        raise UserError(f"{file.path}: the file is empty (0 bytes), not Parquet; restore it or leave it out")
    system, inner = filesystem(file.path)
    try:
        return pq.read_metadata(inner, filesystem=system)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{file.path}: not a sound Parquet file (cut short or damaged): {cause(error)}; restore it or leave it out"
        ) from error


def _read_footer(file: DataFile, text_column: str) -> _Footer:
    name = file.path.rsplit("/", 1)[-1]
    if name.startswith(("_", ".")):
        raise UserError(f"{file.path}: Spark passes over files whose names start with '_' or '.'; rename it")
    if is_local(file.path) and ":" in (file.path if "\\" in spark_uri(file.path) else name):
        # Hadoop takes what stands before the colon for a scheme: in file names always, in folders where it looks for
        # patterns, which is when something in the path had to be escaped.
        raise UserError(f"{file.path}: Spark cannot read a local file with ':' in its name or folder; rename it")
    metadata = _open(file)
    try:
        effective = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file.path}: the schema cannot be read: {cause(error)}") from error
    schema = pa.schema([pa.field(field.name, plain_type(field.type)) for field in effective])
    leaf, text_leaf = 0, None
    for field in schema:
        if field.name == text_column and text_leaf is None:
            text_leaf = leaf
        leaf += leaves(field.type)
    rows, sizes = [], []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if group.num_rows:
            rows.append(group.num_rows)
            sizes.append(0 if text_leaf is None else group.column(text_leaf).total_uncompressed_size)
    return _Footer(schema, unreadable(metadata), tuple(rows), tuple(sizes))
