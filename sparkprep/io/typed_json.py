"""Values of named classes as JSON and back: what a task or a stage has told, kept for a run that goes on from it."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pyarrow as pa


class Unknown(TypeError):
    """A value of a type that is not kept as JSON."""


_PLAIN = (str, bool, int, float, type(None))


def encode(value: object) -> Any:
    """Return a value as what `json.dumps` takes and `decode` turns back into an equal value.

    Lists, and what JSON knows, stay as they are; any other becomes an object of one key, its type. Dataclasses and
    named tuples are told by the names of their fields. Raises Unknown for a type that is not known here.
    """
    if type(value) in _PLAIN:
        return value
    if type(value) is list:
        return [encode(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        content = {each.name: encode(getattr(value, each.name)) for each in fields(value)}
        return {type(value).__name__: content}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {type(value).__name__: {name: encode(each) for name, each in value._asdict().items()}}
    for name, (kind, write, _) in _KINDS.items():
        if type(value) is kind:
            return {name: write(value)}
    if isinstance(value, np.generic):
        return encode(value.item())
    raise Unknown(f"{type(value).__name__} is no type that is kept as JSON")


def decode(content: Any, classes: Sequence[type]) -> Any:
    """Return the value that `encode` was given. classes: the dataclasses and named tuples that may be in it.

    Raises ValueError where it is none of such values.
    """
    if type(content) in _PLAIN:
        return content
    if type(content) is list:
        return [decode(each, classes) for each in content]
    if not isinstance(content, dict) or len(content) != 1:
        raise ValueError("an object of one key was expected")
    ((name, inside),) = content.items()
    if name in _KINDS:
        return _KINDS[name][2](inside, classes)
    for each in classes:
        if each.__name__ == name and isinstance(inside, dict):
            try:
                return each(**{field: decode(part, classes) for field, part in inside.items()})
            except TypeError as error:
                raise ValueError(f"{name}: {error}") from error
    raise ValueError(f"{name!r} is none of the types that are expected")


def _pairs(value: dict[Any, Any]) -> list[list[Any]]:
    return [[encode(key), encode(each)] for key, each in value.items()]


def _from_pairs(inside: Any, classes: Sequence[type]) -> dict[Any, Any]:
    return {decode(key, classes): decode(each, classes) for key, each in inside}


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _table(value: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write_table(value)
    return _bytes(sink.getvalue().to_pybytes())


def _read_table(inside: Any, classes: Sequence[type]) -> pa.Table:
    try:
        with pa.ipc.open_stream(base64.b64decode(inside)) as reader:
            return reader.read_all()
    except pa.ArrowException as error:
        raise ValueError(f"no table of Arrow: {error}") from error


_KINDS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any, Sequence[type]], Any]]] = {
    "dict": (dict, _pairs, _from_pairs),
    "Counter": (Counter, _pairs, lambda inside, classes: Counter(_from_pairs(inside, classes))),
    "tuple": (tuple, lambda value: [encode(each) for each in value], lambda i, c: tuple(decode(each, c) for each in i)),
    "bytes": (bytes, _bytes, lambda inside, _: base64.b64decode(inside)),
    "array": (
        np.ndarray,
        lambda value: [value.dtype.str, value.tolist()],
        lambda inside, _: np.array(inside[1], np.dtype(inside[0])),
    ),
    "table": (pa.Table, _table, _read_table),
}
