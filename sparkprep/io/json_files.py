"""JSON files, local or on S3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input

_NO_KEYS: Mapping[str, type] = MappingProxyType({})
_NAMES: Mapping[type, str] = {int: "a whole number", str: "a text", list: "a list", dict: "an object"}


def read_json(path: str, advice: str, keys: Mapping[str, type] = _NO_KEYS) -> dict[str, Any]:
    """Return the object that a JSON file holds, in which each of `keys` has a value of its type.

    Raises UserError, with the advice, where the file cannot be read, is not sound, or holds something else.
    """
    try:
        with open_input(path) as stream:
            content = stream.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}; {advice}") from error
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not sound JSON ({error}); {advice}") from error
    return checked_object(value, path, advice, keys)


def checked_object(value: Any, path: str, advice: str, keys: Mapping[str, type]) -> dict[str, Any]:
    """Return a value read from the JSON file `path` if it is an object with these keys; else raise UserError."""
    if not isinstance(value, dict):
        raise UserError(f"{path}: not the JSON that was expected: it holds no object; {advice}")
    for key, kind in keys.items():
        if key not in value:
            raise UserError(f"{path}: not the JSON that was expected: it has no {key!r}; {advice}")
        if type(value[key]) is not kind:  # True is no number here
            raise UserError(f"{path}: not the JSON that was expected: {key!r} is not {_NAMES[kind]}; {advice}")
    return value
