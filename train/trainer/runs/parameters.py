"""run_parameters.txt: with what settings a run was started, as a table in the form of llm.c's course version.

    +-----------------------+----------------------------------------------------+
    | Parameter             | Value                                              |
    +-----------------------+----------------------------------------------------+
    | learning rate (LR)    | 6.000000e-04                                       |
    +-----------------------+----------------------------------------------------+

A rule ends each group of parameters. Every start of a run appends a table; the last one tells how it goes on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from sparkprep.console import safe_text
from sparkprep.errors import UserError
from sparkprep.io.files import cause, exists, make_folder, open_input
from sparkprep.io.paths import is_local, normalise
from trainer import run_files

LEARNING_RATE = "learning rate (LR)"
NUM_PARAMETERS = "num_parameters"

_HEADER = ("Parameter", "Value")
_NAME_WIDTH, _VALUE_WIDTH = 21, 50
_RULE = f"+{'-' * (_NAME_WIDTH + 2)}+{'-' * (_VALUE_WIDTH + 2)}+\n"


def format_table(groups: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Return the table of (parameter, value) pairs, with a rule behind each group; ends with a line break.

    What is longer than its column is written whole and makes its line longer, as C's printf does. Control characters
    are written as escapes, or a file name could begin a line of its own.
    """
    parts = [_RULE, _line(*_HEADER), _RULE]
    for group in groups:
        parts += [_line(name, value) for name, value in group]
        parts.append(_RULE)
    return "".join(parts)


def append(folder: str, groups: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Append the table to the file in a local folder, made if it is not there, and return it for the console.

    Raises UserError naming the file where it cannot be written.
    """
    table = format_table(groups)
    if not is_local(folder):
        raise UserError(f"{folder}: a run writes to a local folder; upload it afterwards")
    make_folder(folder)
    path = os.path.join(normalise(folder), run_files.PARAMETERS)
    try:
        with open(path, "ab", buffering=0) as file:
            file.write(table.encode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {cause(error)}; free space or choose another folder") from error
    return table


def read(path: str) -> dict[str, str]:
    """Return the parameters of the last table in the file, local or on S3, without the blanks that pad them.

    Raises UserError for a missing file, and for one without such a table.
    """
    if not exists(path):
        raise UserError(f"{path}: no such file; the trainer writes it at every start")
    with open_input(path) as file:
        text = file.read().decode("utf-8", "surrogateescape")
    parameters: dict[str, str] | None = None
    for line in text.split("\n"):
        line = line.rstrip()
        if not (line.startswith("| ") and line.endswith(" |") and " | " in line):
            continue
        name, value = (part.strip() for part in line[2:-2].split(" | ", 1))
        if (name, value) == _HEADER:
            parameters = {}
        elif parameters is not None:
            parameters[name] = value
    if parameters is None:
        raise UserError(f"{path}: no table with the columns Parameter and Value; copy the file anew")
    return parameters


def _line(name: str, value: str) -> str:
    return f"| {safe_text(name):<{_NAME_WIDTH}} | {safe_text(value):<{_VALUE_WIDTH}} |\n"
