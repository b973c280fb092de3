"""The column and the row of its table in which each cell stands, empty ones counted (HTML, 4.9.12): compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

from sparkprep.dedup.kernels import KEPT
from sparkprep.extract.serialized import BYTES, number_after
from sparkprep.extract.tags import NAMES, TAG_TABLE, read_tag

_LEVELS = 16
"""Tables inside one another that are told apart."""
COLUMNS = 256
"""Of a table: what lies beyond stands in the last, so that no few bytes make a long row."""
_MOST_ROWS = 65_534
_TABLE, _TR, _TD, _TH, _TBODY, _THEAD, _TFOOT = map(NAMES.index, ("table", "tr", "td", "th", "tbody", "thead", "tfoot"))
_COLSPAN, _ROWSPAN = (np.frombuffer(name, np.uint8) for name in (b' colspan="', b' rowspan="'))
_PLACES = types.int32[:, ::1]


def grid(html: bytes, begin: int, wanted: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return of some cells their column, their row, their table, and whether each is the only cell of its row.

    html: serialized. begin: where the first table around them begins, at the latest. wanted: where the attributes of
    each end, in ascending order. (4, cells); columns and rows are counted in each table. No other cell stands where one
    that spans several columns or rows does.
    """
    cells = np.zeros((4, len(wanted)), np.int32)
    if len(wanted):
        _fill(np.frombuffer(html, np.uint8), begin, *TAG_TABLE, wanted, cells)
    return cells


@njit(
    types.void(
        *(BYTES, types.int64, types.uint64[::1], types.uint8[::1], types.uint8[::1], types.int32[::1], _PLACES),
    ),
    cache=KEPT,
)  # fmt: skip
def _fill(data, at, hashes, kinds, numbers, wanted, cells):
    """Fill what `grid` returns. tables: of the open ones the number, the row, the next column, the cells of the
    row and which of those wanted is in it; below: before which row a cell from above stands in a column."""
    tables, below = np.zeros((5, _LEVELS), np.int32), np.zeros((_LEVELS, COLUMNS), np.int32)
    depth = count = last = seen = 0
    while at + 3 < len(data):
        if data[at] != 60:
            at += 1
            continue
        tag, is_closing, then, raw = read_tag(data, at, hashes, kinds, numbers)
        if then < 0 or (count == len(wanted) and is_closing and tag[1] == _TR and depth == last):
            break
        at = max(then, at + 1, raw)
        number, level = tag[1], min(depth, _LEVELS) - 1
        if number == _TABLE:
            depth = max(0, depth + (-1 if is_closing else 1))
            if not is_closing:
                seen += 1
                level = min(depth, _LEVELS) - 1
                tables[0, level], tables[1, level], below[level] = seen, 0, 0
        elif is_closing or level < 0:
            continue
        elif number == _TR:
            tables[1, level] += 1
            tables[2, level], tables[3, level], tables[4, level] = 0, 0, -1
        elif number in (_TBODY, _THEAD, _TFOOT):
            below[level] = 0
        elif number in (_TD, _TH):
            row, column = tables[1, level], tables[2, level]
            while column < COLUMNS - 1 and below[level, column] > row:
                column += 1
            tables[3, level] += 1
            if tables[4, level] >= 0:
                cells[3, tables[4, level]] = 0
            if count < len(wanted) and wanted[count] == tag[3]:
                cells[0, count], cells[1, count], cells[2, count] = column, row, tables[0, level]
                cells[3, count], tables[4, level] = tables[3, level] == 1, count
                count, last = count + 1, depth
            span = min(max(1, number_after(data, tag[2], tag[3], _COLSPAN)), COLUMNS - 1 - column)
            high = number_after(data, tag[2], tag[3], _ROWSPAN)
            if high >= 0 and high != 1:
                below[level, column : column + span] = row + (min(high, _MOST_ROWS) if high else _MOST_ROWS)
            tables[2, level] = column + span


@njit(types.void(types.int32[::1], types.boolean[::1], types.int32[::1]), cache=KEPT)
def outermost(parents, chosen, around):
    """Set for each element the outermost chosen one around it or itself, 0 where there is none. parents: of elements,
    each of a lower number."""
    for number in range(1, len(parents)):
        above = around[parents[number]]
        around[number] = above if above > 0 else number * chosen[number]
