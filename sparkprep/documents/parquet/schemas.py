"""Which Parquet schemas can be read, and together: the checks on names and types, without Spark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.documents.keys import RESERVED_COLUMNS
from sparkprep.errors import UserError


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type as Spark sees it: no dictionaries, views, large variants, time zones, names of list items."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind):
        # Nanoseconds without a zone can only be the old INT96 here (true nanoseconds are refused): an instant.
        return pa.timestamp("us", "UTC") if kind.tz or kind.unit == "ns" else pa.timestamp("us")
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", plain_type(kind.value_type)))
    return kind


def leaves(kind: pa.DataType) -> int:
    """Return how many Parquet columns a (plain) Arrow type takes."""
    if not pa.types.is_nested(kind):
        return 1
    return sum(leaves(kind.field(index).type) for index in range(kind.num_fields))


_UNREADABLE: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("timestamp in nanoseconds", lambda leaf: "nanoseconds" in str(leaf.logical_type)),
    ("time of day", lambda leaf: leaf.logical_type.type == "TIME"),
    ("UUID", lambda leaf: leaf.logical_type.type == "UUID"),
    ("16-bit float", lambda leaf: leaf.logical_type.type == "FLOAT16"),
    ("interval", lambda leaf: leaf.converted_type == "INTERVAL"),
    ("decimal of over 38 digits", lambda leaf: leaf.converted_type == "DECIMAL" and leaf.precision > 38),
)


def unreadable(metadata: pq.FileMetaData) -> str | None:
    """Return which column has a type that Spark refuses, in words; None if all can be read."""
    for index in range(metadata.num_columns):
        leaf = metadata.schema.column(index)
        for name, is_it in _UNREADABLE:
            if is_it(leaf):
                return (
                    f"column '{leaf.path}' has a type that Spark cannot read ({name}); "
                    "rewrite it as another type (timestamps: microseconds) or drop the column"
                )
    return None


def check_names(path: str, names: Sequence[str]) -> None:
    """Raise UserError for a reserved name, an empty one, or two that differ only by case; path: for the message."""
    by_lower: dict[str, str] = {}
    for name in names:
        lower = name.lower()
        if lower in by_lower:
            raise UserError(
                f"{path}: columns '{by_lower[lower]}' and '{name}' have the same name, or differ only by case, which "
                "Spark cannot tell apart; rename one"
            )
        if lower in RESERVED_COLUMNS or not name:
            raise UserError(f"{path}: a column may not be named '{name}'; rename it")
        by_lower[lower] = name


def check_text_column(path: str, schema: pa.Schema, text_column: str) -> None:
    """Raise UserError where the text column is missing or holds no text; path: for the message."""
    if text_column not in schema.names:
        raise UserError(
            f"{path}: no column '{text_column}'; columns there are: {', '.join(schema.names) or 'none'}; "
            "name it by --text-column"
        )
    kind = schema.field(text_column).type
    if pa.types.is_binary(kind):
        raise UserError(
            f"{path}: column '{text_column}' holds bytes, not text (it lacks Parquet's string annotation); "
            "rewrite it as a string column or name another by --text-column"
        )
    if not pa.types.is_string(kind):
        raise UserError(f"{path}: column '{text_column}' is {kind}, not text; name another by --text-column")


def check_same_schema(first_path: str, first: pa.Schema, path: str, schema: pa.Schema) -> None:
    """Raise UserError where two files differ in columns or types; the order of columns may differ."""
    if schema.equals(first):
        return
    for name in first.names:
        if name not in schema.names:
            raise UserError(f"{path}: no column '{name}', which {first_path} has; give both files the same columns")
    for name in schema.names:
        if name not in first.names:
            raise UserError(f"{path}: column '{name}' is not in {first_path}; give both files the same columns")
    if len(schema.names) != len(set(schema.names)):
        check_names(path, schema.names)
    for field in first:
        other = schema.field(field.name).type
        if not other.equals(field.type):
            raise UserError(
                f"{path}: column '{field.name}' is {other}, but {field.type} in {first_path}; write both as one type"
            )
