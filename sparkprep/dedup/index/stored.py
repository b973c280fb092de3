"""A file of an index, opened as what was written or not at all; and all of an index held against its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from sparkprep.dedup.index.manifest import Part
from sparkprep.errors import UserError
from sparkprep.io.files import cause, info_of, sha256_of
from sparkprep.io.parquet import open_parquet

_AT_ONCE = 4
_hashed: dict[str, tuple[int, int]] = {}
"""Files that this process has hashed, and found sound -> size and time of change, as they were then."""


@dataclass(frozen=True)
class StoredFile:
    """A file of an index. part: what the manifest says of it. schema: of its rows."""

    path: str
    part: Part
    schema: pa.Schema

    @property
    def rows(self) -> int:
        return self.part.rows


@contextmanager
def opened(file: StoredFile) -> Iterator[pq.ParquetFile]:
    """Open a file of the index. Raises UserError where it is not what was written, in the block too.

    What is read of a file with page checksums is checked as it is read; one without is hashed before its first use in
    this process.
    """
    try:
        if not file.part.page_checksums:
            _check_once(file)
        with open_parquet(file.path) as parquet:
            _check_footer(file, parquet)
            yield parquet
    except UserError as error:
        raise UserError(
            f"the index is not as it was written: {error}; restore that file, or take its crawl out of the index"
        ) from error


def sizes_of(file: pq.ParquetFile) -> list[int]:
    """Return how many rows each row group has."""
    return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]


def _check_footer(file: StoredFile, parquet: pq.ParquetFile) -> None:
    """Hold the footer, which no page checksum covers, against what is known of the file. Raises UserError."""
    there = parquet.metadata.num_rows
    if there != file.rows:
        raise UserError(f"{file.path}: it holds {there:,} rows, {file.rows:,} were written")
    if sum(sizes_of(parquet)) != there or not parquet.schema_arrow.equals(file.schema):
        raise UserError(f"{file.path}: its footer is damaged")


def _check_once(file: StoredFile) -> None:
    """Hash a file, unless this process has done so since it was changed. Raises UserError where it is another."""
    try:
        info = info_of(file.path)
    except OSError as error:
        raise UserError(f"{file.path}: {cause(error)}") from error
    if info.type == pafs.FileType.NotFound:
        raise UserError(f"{file.path}: no such file")
    state = info.size, info.mtime_ns
    if _hashed.get(file.path) == state:
        return
    if (fault := fault_of(file)) is not None:
        raise UserError(f"{file.path}: {fault}")
    _hashed[file.path] = state


def fault_of(file: StoredFile) -> str | None:
    """Return in what a file is another than was written, by its size and SHA-256; None where it is the same.

    Raises UserError where it cannot be read.
    """
    size, sha256 = sha256_of(file.path)
    if size != file.part.bytes:
        return f"it has {size:,} bytes, {file.part.bytes:,} were written"
    return None if sha256 == file.part.sha256 else "its content has changed: the SHA-256 is another"


def faults(files: list[StoredFile]) -> list[str]:
    """Return a line for each of these files that is not there, cannot be read, or is not what was written."""

    def told(file: StoredFile) -> str | None:
        try:
            fault = fault_of(file)
        except UserError as error:
            return str(error)
        return None if fault is None else f"{file.path}: {fault}"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [each for each in pool.map(told, files) if each is not None]
