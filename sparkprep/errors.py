"""The one exception type for mistakes that a user can mend; jobs print it as a single line and exit with 2."""

import re


class UserError(Exception):
    """Something about the input, a flag or the surroundings is wrong.

    The message names what was wrong, where (file, row, column or flag), and the way out.
    """


def from_worker(error: BaseException) -> UserError | None:
    """The UserError that a task of Spark raised, of which the driver sees only the traceback; None for other errors."""
    raised = re.findall(r"sparkprep\.errors\.UserError: (.+)", str(error))
    return UserError(raised[-1].strip()) if raised else None
