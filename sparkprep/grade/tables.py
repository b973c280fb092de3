"""Read columns of Parquet files and folders: the one place of the grader that touches storage."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.errors import UserError, argument
from sparkprep.io.files import exists
from sparkprep.io.formats import PARQUET
from sparkprep.io.listing import list_files
from sparkprep.io.parquet import open_parquet


@dataclass(frozen=True)
class ParquetTable:
    """Parquet files that make up one table, all with the columns of the first."""

    path: str
    files: tuple[str, ...]
    columns: tuple[str, ...]

    def strings(self, column: str, setting: str | None = None) -> pa.ChunkedArray:
        """Return one column as large_string, so that ids stored as numbers here and as text there can be compared.

        Raises `UserError` where the column is missing (with the setting that names it as the way out), or is no text.
        """
        values = self._read(column, setting)
        try:
            return values.cast(pa.large_string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UserError(f"{self.path}: column {column!r} ({values.type}) cannot be read as text") from error

    def floats(self, column: str) -> pa.ChunkedArray:
        """Return one column as float64. Raises `UserError` where it is missing or is no number."""
        values = self._read(column, None)
        try:
            return values.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UserError(f"{self.path}: column {column!r} ({values.type}) cannot be read as a number") from error

    def _read(self, column: str, setting: str | None) -> pa.ChunkedArray:
        if column not in self.columns:
            way_out = f"; name the right one with {argument(setting)}" if setting else ""
            raise UserError(f"{self.path} has no column {column!r}, but {', '.join(self.columns)}{way_out}")
        chunks: list[pa.Array] = []
        kind: pa.DataType | None = None
        for file in self.files:
            try:
                with open_parquet(file) as opened:
                    if column not in opened.schema_arrow.names:
                        raise UserError(
                            f"{file} has none, and {self.files[0]} has: they are no one table; name a result of dedup "
                            "(with kept/ in it), or the kept documents alone"
                        )
                    part = opened.read(columns=[column]).column(0)
            except UserError as error:
                raise UserError(f"column {column!r} cannot be read: {error}") from error
            kind = kind or part.type
            if part.type != kind:
                raise UserError(f"{file}: column {column!r} is {part.type}, in the files before it {kind}")
            chunks += part.chunks
        return pa.chunked_array(chunks, type=kind)


def open_table(path: str, what: str) -> ParquetTable:
    """Return the Parquet file, or the Parquet files of a folder.

    Raises `UserError` (`what` names the role of the path) where there is nothing, or nothing that is Parquet.
    """
    files = _files_at(path, what)
    try:
        with open_parquet(files[0]) as file:
            columns = tuple(str(name) for name in file.schema_arrow.names)
    except UserError as error:
        raise UserError(f"{what} cannot be read as Parquet: {error}") from error
    return ParquetTable(path, files, columns)


def _files_at(path: str, what: str) -> tuple[str, ...]:
    """Return the Parquet files at a path, sorted, as every job finds them. Raises `UserError` where there are none."""
    if not exists(path):
        raise UserError(f"{what} {path} does not exist")
    files = tuple(file.path for file in list_files([path]) if file.format == PARQUET)
    if not files:
        raise UserError(f"{what} {path} holds no Parquet files")
    return files


def distinct(values: pa.ChunkedArray) -> pa.Array:
    """Return the distinct values without nulls, as one array."""
    unique = pc.unique(values)
    return (unique.combine_chunks() if isinstance(unique, pa.ChunkedArray) else unique).drop_null()
