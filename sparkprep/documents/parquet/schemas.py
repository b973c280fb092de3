"""Which Parquet schemas make one table, and whether its text can be read: the checks on names and types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from sparkprep.errors import UserError, argument

_SPARK, _PANDAS, _FEATURES = b"org.apache.spark.sql.parquet.row.metadata", b"pandas", b"huggingface"
_WRITERS_NOTES = (_SPARK, _PANDAS, _FEATURES)
"""Keys under which writers note the types of columns: not true any more of a schema that was widened."""
_MOST_SHOWN = 10
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}
"""Of whole numbers of so many bits."""
_EXACT_BITS = {"halffloat": 11, "float": 24, "double": 53}
"""Whole numbers of so many bits are exact as such a float."""


@dataclass(frozen=True)
class UnifiedSchema:
    """The schema of files that are read as one table.

    widened: what differs harmlessly, a line for each column, to be told.
    """

    schema: pa.Schema
    widened: tuple[str, ...]


def unify(schemas: Sequence[tuple[str, pa.Schema]], columns: Sequence[str] | None = None) -> UnifiedSchema:
    """Return the one schema in which the rows of all files can be written without a loss.

    schemas: (path, schema) of each distinct one; columns: those that matter, None for all. Types may differ where one
    holds all values of the other: null and anything, narrower and wider numbers, dictionary and plain, extension and
    storage, instants of several time zones, a column that is missing. Raises UserError that names all contradictions
    together.
    """
    for path, schema in schemas:
        check_names(path, [n for n in schema.names if columns is None or n in columns])
    names = [n for n in _all_names(schema for _, schema in schemas) if columns is None or n in columns]
    fields, widened, contradictions = [], [], []
    for name in names:
        having = [(path, schema.field(name)) for path, schema in schemas if name in schema.names]
        path, field = having[0]
        nullable = len(having) < len(schemas) or any(each.nullable for _, each in having)
        kind = field.type
        for other_path, other in having[1:]:
            wider = common_type(kind, other.type)
            if wider is None:
                contradictions.append(f"column '{name}' is {other.type} in {other_path}, but {kind} in {path}")
                break
            kind = wider
        if any(each.type != kind for _, each in having):
            kinds = " and ".join(dict.fromkeys(str(each.type) for _, each in having))
            widened.append(f"column {name} is {kinds}: read as {kind}")
        if len(having) < len(schemas):
            without = next(path for path, schema in schemas if name not in schema.names)
            widened.append(f"column {name} is not in all files, as in {without}: null there")
        fields.append(
            field
            if field.type == kind and field.nullable == nullable
            else field.with_type(kind).with_nullable(nullable)
        )
    if contradictions:
        more = f"; and {len(contradictions) - _MOST_SHOWN} more" if len(contradictions) > _MOST_SHOWN else ""
        raise UserError("; ".join(contradictions[:_MOST_SHOWN]) + more + ": write each column as one type")
    metadata = dict(schemas[0][1].metadata or {})
    if columns is None:
        widened += _differing_metadata(schemas)
    if any(line.startswith("column ") for line in widened):
        lost = [key for key in _WRITERS_NOTES if key in metadata]
        metadata = {key: value for key, value in metadata.items() if key not in lost}
        if {_PANDAS, _FEATURES} & set(lost):
            names_lost = " and ".join(key.decode() for key in lost if key != _SPARK)
            widened.append(f"the notes of {names_lost} about the columns are left out, being of columns as they were")
    return UnifiedSchema(pa.schema(fields, metadata or None), tuple(widened))


def with_column(schema: pa.Schema, field: pa.Field) -> pa.Schema:
    """Return a schema with a column more; Spark's note, which it believes before the columns, goes."""
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != _SPARK}
    return schema.append(field).with_metadata(metadata or None)


def _differing_metadata(schemas: Sequence[tuple[str, pa.Schema]]) -> list[str]:
    """Return a line for each key of the files' metadata that not all of them have alike.

    Raises UserError where the features of Hugging Face differ: the numbers of a label would mean another class.
    """
    first_path, first = schemas[0][0], schemas[0][1].metadata or {}
    lines = []
    for key in dict.fromkeys(key for _, schema in schemas for key in schema.metadata or {}):
        values = ((path, (schema.metadata or {}).get(key)) for path, schema in schemas)
        other = next((path for path, value in values if _compared(key, value) != _compared(key, first.get(key))), None)
        if other is None or key == _SPARK:
            continue
        if key == _FEATURES and key in first:
            raise UserError(
                f"{other}: its Hugging Face features are not those of {first_path}: labels may mean other classes; "
                "cast both to the same features"
            )
        shown = key.decode("utf-8", "replace")
        lines.append(f"metadata {shown} differs between files, as in {other}: that of {first_path} is kept")
    return lines


def _compared(key: bytes, value: bytes | None) -> object:
    """Return what of a file's metadata must be alike; pandas also notes how many rows this very file has."""
    if key != _PANDAS or value is None:
        return value
    try:
        return json.loads(value).get("columns")
    except (ValueError, AttributeError):
        return value


def common_type(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Return the type that holds every value of both exactly; None where there is none.

    Instants of two time zones are instants of UTC. Of an extension type, such as UUID, and what it is stored as, it is
    the latter, which not all values need be more than.

    >>> common_type(pa.int32(), pa.int64())
    DataType(int64)
    >>> common_type(pa.int64(), pa.float64()) is None
    True
    """
    if a == b:
        return a
    if pa.types.is_dictionary(a) or pa.types.is_dictionary(b):
        return common_type(*(kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (a, b)))
    if pa.types.is_null(a) or pa.types.is_null(b):
        return b if pa.types.is_null(a) else a
    if any(map(_is_view, (a, b))) and not all(map(_is_view, (a, b))):
        return common_type(*map(_without_view, (a, b)))
    if isinstance(a, pa.BaseExtensionType) != isinstance(b, pa.BaseExtensionType):
        return common_type(*(kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind for kind in (a, b)))
    if pa.types.is_timestamp(a) and pa.types.is_timestamp(b) and a.tz and b.tz and a.tz != b.tz:
        return common_type(pa.timestamp(a.unit, "UTC"), pa.timestamp(b.unit, "UTC"))
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        return _common_struct(a, b)
    if _is_list(a) and _is_list(b):
        value = common_type(a.value_type, b.value_type)
        if value is None:
            return None
        field = a.value_field.with_type(value)
        wide = pa.types.is_large_list(a) or pa.types.is_large_list(b)
        return pa.large_list(field) if wide else pa.list_(field)
    try:
        merged = pa.unify_schemas([pa.schema([("x", a)]), pa.schema([("x", b)])], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None
    kind = merged.field("x").type
    return None if any(_loses(each, kind) for each in (a, b)) else kind


def _loses(kind: pa.DataType, into: pa.DataType) -> bool:
    """Whether values of a type would be rounded in the type that Arrow takes, or texts become bytes."""
    if pa.types.is_floating(into):
        if pa.types.is_integer(kind):
            bits = kind.bit_width - (1 if pa.types.is_signed_integer(kind) else 0)
            return bool(bits > _EXACT_BITS[str(into)])
        return bool(pa.types.is_decimal(kind))
    if pa.types.is_decimal(into) and pa.types.is_integer(kind):
        return bool(into.precision - into.scale < _DIGITS[kind.bit_width])
    if pa.types.is_integer(into) and pa.types.is_unsigned_integer(kind) and pa.types.is_signed_integer(into):
        return bool(kind.bit_width >= into.bit_width)
    was_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(was_text and (pa.types.is_binary(into) or pa.types.is_large_binary(into)))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


def _without_view(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(kind) else kind


def _common_struct(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    fields = []
    for name in dict.fromkeys([field.name for field in (*a, *b)]):
        places = [kind.field(index) for kind in (a, b) if (index := kind.get_field_index(name)) >= 0]
        kind = places[0].type if len(places) == 1 else common_type(places[0].type, places[1].type)
        if kind is None:
            return None
        fields.append(places[0].with_type(kind).with_nullable(len(places) == 1 or any(p.nullable for p in places)))
    return pa.struct(fields)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _all_names(schemas: Iterable[pa.Schema]) -> list[str]:
    return list(dict.fromkeys(name for schema in schemas for name in schema.names))


def check_names(path: str, names: Sequence[str]) -> None:
    """Raise UserError where two columns bear one name; path: for the message."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: two columns are named '{twice}'; rename one")


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of the type holds text: strings of any size, plain or as a dictionary."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def check_text_column(path: str, schema: pa.Schema, text_column: str) -> None:
    """Raise UserError where the text column is missing or holds no text; path: for the message."""
    if text_column not in schema.names:
        raise UserError(
            f"{path}: no column '{text_column}'; columns there are: {', '.join(schema.names) or 'none'}; "
            f"name it by {argument('text_column')}"
        )
    kind = schema.field(text_column).type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise UserError(
            f"{path}: column '{text_column}' holds bytes, not text (it lacks Parquet's string annotation); "
            f"rewrite it as a string column or name another by {argument('text_column')}"
        )
    if not (is_text(kind) or pa.types.is_null(kind)):
        raise UserError(
            f"{path}: column '{text_column}' is {kind}, not text; name another by {argument('text_column')}"
        )
