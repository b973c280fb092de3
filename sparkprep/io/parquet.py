"""Parquet files through PyArrow, in tasks and on the driver: read some rows at a time, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.part_files import PartFile, write_part
from sparkprep.io.paths import filesystem, is_local

ROW_GROUP_BYTES = 64 << 20
"""Of rows in memory, from which a row group is written."""
PAGE_BYTES = 1 << 20
BUFFER_BYTES = {True: 1 << 20, False: 8 << 20}
"""Of a column that are read at a time; by whether the file is local, where a read costs less."""
READ_AT_ONCE = 64 << 20
"""Bytes, as encoded."""
READ_ERRORS = (OSError, pa.ArrowException, IndexError, ValueError)
"""What PyArrow raises for a file that is not sound inside."""


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file that lies whole under its name."""

    rows: int
    bytes: int
    sha256: str


@contextmanager
def open_parquet(path: str, largest_group: int = 0) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file to be read piece by piece: of a row group never more than some pages are in memory.

    largest_group: bytes of the largest row group that will be read; on S3, where each request takes its time, a row
    group of up to READ_AT_ONCE is fetched as a whole. Raises UserError where it is not there, cannot be read, or is no
    sound Parquet file, in the block too.
    """
    system, inner = filesystem(path)
    try:
        with pq.ParquetFile(
            inner,
            filesystem=system,
            pre_buffer=not is_local(path) and 0 < largest_group <= READ_AT_ONCE,
            buffer_size=BUFFER_BYTES[is_local(path)],
            page_checksum_verification=True,
        ) as file:
            yield file
    except READ_ERRORS as error:
        raise UserError(f"{path}: {cause(error)}") from error


class ParquetSink:
    """A Parquet file that is being written: rows are collected until they are worth a row group.

    plain: columns that are written without looking for repeated values or for the least and the greatest (of which
    PyArrow's writer holds four copies), as long texts are. row_group_bytes: of rows in memory, from which a row group
    is written. Each page gets a checksum, so that whoever reads the file, as `open_parquet` does, meets damage as an
    error.
    """

    def __init__(
        self, part: PartFile, schema: pa.Schema, compression: str, plain: Sequence[str], row_group_bytes: int
    ) -> None:
        self._rows: list[pa.RecordBatch] = []
        self._held = 0
        self._part = part
        self._row_group_bytes = row_group_bytes
        self.rows = 0
        self.schema = schema
        names = [name for name in schema.names if name not in plain]
        self._writer = pq.ParquetWriter(
            part.sink,
            schema,
            compression=compression,
            use_dictionary=names if plain else compression != "none",
            write_statistics=names if plain else True,
            data_page_size=PAGE_BYTES,
            write_batch_size=64,
            write_page_checksum=True,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows of the sink's schema."""
        if not batch.num_rows:
            return
        self._rows.append(batch)
        self._held += batch.nbytes
        self.rows += batch.num_rows
        if self._held >= self._row_group_bytes:
            self._flush()

    def _flush(self) -> None:
        rows = pa.Table.from_batches(self._rows, self.schema)
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        self._rows, self._held = [], 0

    def close(self) -> None:
        """Write what is left, and the footer."""
        if self._rows:
            self._flush()
        self._writer.close()

    @property
    def written(self) -> WrittenFile:
        """What lies in the file, once it is closed."""
        return WrittenFile(self.rows, self._part.size, self._part.sha256)


@contextmanager
def parquet_sink(
    path: str,
    schema: pa.Schema,
    *,
    compression: str = "snappy",
    plain: Sequence[str] = (),
    row_group_bytes: int = ROW_GROUP_BYTES,
) -> Iterator[ParquetSink]:
    """Open a Parquet file to be written, which is there when the block ends without an error, and not before.

    plain: columns written without a dictionary and statistics. row_group_bytes: of rows in memory, from which a row
    group is written.
    Raises UserError naming the file where it cannot be written.
    """
    with write_part(path) as part:
        sink = ParquetSink(part, schema, compression, plain, row_group_bytes)
        try:
            yield sink
        except BaseException:
            part.discard()  # PyArrow's writer writes its footer when it goes, whatever has happened
            raise
        sink.close()


def write_parquet(path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema, **options: Any) -> WrittenFile:
    """Write batches of one schema as a Parquet file that appears whole or not at all; return what was written.

    options: as for `parquet_sink`, whose errors it raises.
    """
    with parquet_sink(path, schema, **options) as sink:
        for batch in batches:
            sink.write(batch)
    return sink.written
