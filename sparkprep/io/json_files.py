"""JSON files, local or on S3."""

from __future__ import annotations

import json
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input


def read_json(path: str, advice: str) -> Any:
    """Return what a JSON file holds. Raises UserError, with the advice, where it is not sound, or cannot be read."""
    try:
        with open_input(path) as stream:
            content = stream.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}; {advice}") from error
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not sound JSON ({error}); {advice}") from error
