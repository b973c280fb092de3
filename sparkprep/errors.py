"""The one exception type for mistakes that a user can mend, and what a setting is called where the user gave it.

Programs print a `UserError` as a single line and exit with 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sparkprep.safe import safe_text


class UserError(Exception):
    """Something about the input, a flag or the surroundings is wrong.

    The message names what was wrong, where (file, row, column, argument or flag), and the way out. Names and values in
    it come from anywhere: as text it is one line in which none of them steers a terminal.
    """

    def __str__(self) -> str:
        return safe_text(super().__str__())


class InputChanged(UserError):
    """A file of the input is not what it was when it was listed, so that the work done so far is of no more use."""


class Finished(UserError):
    """What was to be gone on with is finished already, by a run that was asked for the same: nothing is to be done.

    A program says so, and ends as one that has done it.
    """


_NOTHING = object()


class _Face:
    """Who gives the settings in this process: a command line by flags, or else a program as arguments in Python."""

    by_flags = False


@contextmanager
def called_by_flags() -> Iterator[None]:
    """While this lasts, `argument` names settings by their flags: this process is a program with a command line."""
    before, _Face.by_flags = _Face.by_flags, True
    try:
        yield
    finally:
        _Face.by_flags = before


def flag(name: str) -> str:
    """Return the long flag of a setting."""
    return "--" + name.replace("_", "-")


def argument(name: str, value: object = _NOTHING) -> str:
    """Return what a setting is called where the user gave it, perhaps with its value: for messages.

    name: as in Python. In a program's messages it becomes the flag.

    >>> argument("id_column"), argument("id_column", "key"), argument("overwrite", True)
    ('id_column', "id_column='key'", 'overwrite=True')
    >>> with called_by_flags():
    ...     argument("id_column"), argument("id_column", "key"), argument("overwrite", True)
    ('--id-column', '--id-column key', '--overwrite')
    """
    if not _Face.by_flags:
        return name if value is _NOTHING else f"{name}={value!r}"
    return flag(name) if value is _NOTHING or value is True else f"{flag(name)} {value}"
