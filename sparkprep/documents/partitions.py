"""Columns that stand in folder names (`lang=en/year=2024/`), as Hive and Spark write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

import pyarrow as pa

from sparkprep.errors import UserError
from sparkprep.io.listing import DataFile

_NULL = "__HIVE_DEFAULT_PARTITION__"
_WHOLE_NUMBER = re.compile(r"-?[1-9]\d{0,17}|0")

PartitionValue = str | int | None


def partition_values(
    files: Sequence[DataFile], columns: Sequence[str] | None = None
) -> list[dict[str, PartitionValue]]:
    """Return for each file the columns that its folders name, with their values; of `columns` only, unless None.

    A column is int (64 bit) if every file's value is a whole number in plain writing, otherwise str. Raises UserError
    if the files do not all name the same columns.
    """
    values: list[dict[str, PartitionValue]] = [
        {
            unquote(column): None if value == _NULL else unquote(value)
            for column, value in file.partition
            if columns is None or unquote(column) in columns
        }
        for file in files
    ]
    for file, named in zip(files, values, strict=True):
        if list(named) != list(values[0]):
            raise UserError(
                f"folders name columns differently: {files[0].path} has {list(values[0])}, "
                f"{file.path} has {list(named)}; give them in separate runs or name the folders alike"
            )
    for column in values[0] if values else ():
        texts = [named[column] for named in values]
        if all(text is None or _WHOLE_NUMBER.fullmatch(str(text)) for text in texts):
            for named in values:
                named[column] = None if named[column] is None else int(str(named[column]))
    return values


def partition_types(values: Sequence[dict[str, PartitionValue]]) -> dict[str, pa.DataType]:
    """Return the Arrow type (int64 or string) of each column of `partition_values`."""
    return {
        column: pa.int64() if any(isinstance(named[column], int) for named in values) else pa.string()
        for column in (values[0] if values else ())
    }
