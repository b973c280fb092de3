"""The one exception type for mistakes that a user can mend; programs print it as a single line and exit with 2."""

from __future__ import annotations

from sparkprep.safe import safe_text


class UserError(Exception):
    """Something about the input, a flag or the surroundings is wrong.

    The message names what was wrong, where (file, row, column or flag), and the way out. Names and values in it come
    from anywhere: as text it is one line in which none of them steers a terminal.
    """

    def __str__(self) -> str:
        return safe_text(super().__str__())
