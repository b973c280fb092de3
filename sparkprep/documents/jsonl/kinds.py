"""Exact column types for JSON values: what was seen, how two sightings merge, and the Arrow type that loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa

BOOL, INT, WIDE, BIG, FLOAT, STRING, LIST, STRUCT, TEXT = (1 << bit for bit in range(9))
"""What a value was: WIDE is an integer beyond 2**53 (not exact as a double), BIG one beyond 64 bits, TEXT a value that
is kept as JSON text whatever else was seen."""

MAX_FIELDS = 1_000
MAX_LEVELS = 16

Converter = Callable[[Any], Any]


class Kind:
    """What has been seen at one place of the records: flags, the kind of list items, the kinds of object fields."""

    __slots__ = ("fields", "flags", "item")

    def __init__(self) -> None:
        self.flags = 0
        self.item: Kind | None = None
        self.fields: dict[str, Kind] = {}

    def observe(self, value: Any, level: int = 0) -> None:
        """Add one parsed JSON value."""
        kind = type(value)
        if kind is str:
            self.flags |= STRING
        elif value is None:
            return
        elif kind is bool:
            self.flags |= BOOL
        elif kind is int:
            self.flags |= INT
            if not -(2**53) <= value <= 2**53:
                self.flags |= WIDE if -(2**63) <= value < 2**63 else WIDE | BIG
        elif kind is float:
            self.flags |= FLOAT
        elif self.flags & TEXT:
            return
        elif level >= MAX_LEVELS:
            self._become_text()
        elif kind is list:
            self.flags |= LIST
            self.item = self.item or Kind()
            for part in value:
                self.item.observe(part, level + 1)
        else:
            self.flags |= STRUCT
            self.observe_fields(value, level)
            if len(self.fields) > MAX_FIELDS:  # an object used as a dictionary
                self._become_text()

    def observe_fields(self, record: dict[str, Any], level: int = 0) -> None:
        """Add an object's fields."""
        for name, value in record.items():
            field = self.fields.get(name)
            if field is None:
                field = self.fields[name] = Kind()
            field.observe(value, level + 1)

    def merge(self, other: Kind) -> None:
        """Add all that `other` has seen. The order of merging changes the order of fields only."""
        self.flags |= other.flags
        if other.item is not None:
            self.item = self.item or Kind()
            self.item.merge(other.item)
        for name, field in other.fields.items():
            self.fields.setdefault(name, Kind()).merge(field)
        if self.flags & TEXT or (self.flags & STRUCT and len(self.fields) > MAX_FIELDS):
            self._become_text()

    def _become_text(self) -> None:
        self.flags |= TEXT
        self.item = None
        self.fields = {}

    def dump(self) -> list[Any]:
        """Return a JSON form, to travel between driver and tasks."""
        return [self.flags, self.item and self.item.dump(), {name: field.dump() for name, field in self.fields.items()}]

    @staticmethod
    def load(form: list[Any]) -> Kind:
        """Return what `dump` was made of."""
        kind = Kind()
        kind.flags = form[0]
        kind.item = Kind.load(form[1]) if form[1] else None
        kind.fields = {name: Kind.load(field) for name, field in form[2].items()}
        return kind

    def is_text(self) -> bool:
        """Return whether the values are kept as JSON text (strings verbatim), because no one type holds them all.

        So for values of several kinds, integers beyond 64 bits, integers beyond 2**53 among fractions, objects without
        any field, with an empty field name, or with names that differ only by case, which Spark cannot read back.
        """
        families = self.flags & ~(WIDE | BIG | INT)
        families |= FLOAT if self.flags & INT else 0
        if self.flags & (TEXT | BIG) or families & (families - 1):
            return True
        if self.flags & INT and self.flags & FLOAT and self.flags & WIDE:
            return True
        if families == STRUCT:
            lower = {name.lower() for name in self.fields}
            return not self.fields or "" in lower or len(lower) < len(self.fields)
        return False

    def arrow_type(self) -> pa.DataType:
        """Return the Arrow type of the column; string where nothing but null was seen."""
        if self.is_text() or self.flags & STRING or not self.flags:
            return pa.string()
        if self.flags & STRUCT:
            return pa.struct([pa.field(name, field.arrow_type()) for name, field in self.fields.items()])
        if self.flags & LIST:
            return pa.list_(self.item.arrow_type() if self.item else pa.string())
        if self.flags & BOOL:
            return pa.bool_()
        return pa.float64() if self.flags & FLOAT else pa.int64()

    def converter(self) -> Converter | None:
        """Return what turns a parsed value into one that fits `arrow_type`; None where values fit as they are."""
        if self.is_text():
            return as_text
        if self.flags & LIST and self.item and (convert := self.item.converter()):
            return lambda value: None if value is None else [convert(part) for part in value]
        if self.flags & STRUCT:
            converters = {name: field.converter() for name, field in self.fields.items()}
            if any(converters.values()):
                return lambda value: (
                    None
                    if value is None
                    else {n: c(value.get(n)) if c else value.get(n) for n, c in converters.items()}
                )
        return None

    def text_paths(self, path: str = "") -> list[str]:
        """Return the places, written `column.field`, whose values, not all of them strings, are kept as JSON text."""
        if self.is_text():
            return [path]
        paths = self.item.text_paths(f"{path}[]") if self.item else []
        for name, field in self.fields.items():
            paths += field.text_paths(f"{path}.{name}" if path else name)
        return paths


def as_text(value: Any) -> str | None:
    """Return a JSON value as text: a string as it stands, null as null, anything else as compact JSON."""
    if value is None or isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
