"""FineWeb's own rules (Penedo et al. 2024, arXiv:2406.17557, section 3.6), as datatrove asks them."""

from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.filter.kernels.characters import TERMINAL
from sparkprep.filter.kernels.gopher import is_above, is_below
from sparkprep.filter.kernels.texts import NEW_LINE, ratio, said_before, split_not_blank

EMPTY, LINE_PUNCTUATION, SHORT_LINES, DUPLICATE_LINE_CHARS, NEW_LINES = range(5)


@njit(cache=KEPT)
def lines_of(room, n, short, limits, active, values):
    """Ask the rules that look at lines of a text of n code points; return the first that fails, or -1.

    short: characters of the longest line that is a short one.
    """
    lines = split_not_blank(room.points, n, room.table, room.starts, room.ends)
    if lines == 0 and active[EMPTY]:
        return EMPTY
    ended = few = 0
    for line in range(lines):
        ended += bool(room.table[room.points[room.ends[line] - 1]] & TERMINAL)
        few += room.ends[line] - room.starts[line] <= short
    if is_below(LINE_PUNCTUATION, ratio(ended, lines), limits, active, values):
        return LINE_PUNCTUATION
    if is_above(SHORT_LINES, ratio(few, lines), limits, active, values):
        return SHORT_LINES
    _, chars = said_before(room.hashes, room.powers, room.starts, room.ends, lines, room.keys)
    if is_above(DUPLICATE_LINE_CHARS, ratio(chars, n - new_lines(room.points, n)), limits, active, values):
        return DUPLICATE_LINE_CHARS
    return -1


@njit(cache=KEPT)
def list_of(room, n, words, limits, active, values):
    """Ask the rule that looks at words too: whether the text is a list."""
    is_list = is_above(NEW_LINES, ratio(new_lines(room.points, n), words), limits, active, values)
    return NEW_LINES if is_list else -1


@njit(cache=KEPT)
def new_lines(points, n):
    """Return how many line feeds a text has."""
    count = 0
    for at in range(n):
        count += points[at] == NEW_LINE
    return count
