"""The one exception type for mistakes that a user can mend; programs print it as a single line and exit with 2."""


class UserError(Exception):
    """Something about the input, a flag or the surroundings is wrong.

    The message names what was wrong, where (file, row, column or flag), and the way out.
    """
