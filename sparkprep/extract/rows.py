"""Rows of tables of data: which cells stand on one line, and behind how many tabs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparkprep.extract.blocks import Blocks
from sparkprep.extract.grid import COLUMNS, grid, outermost
from sparkprep.extract.tables import CELLS
from sparkprep.extract.tags import NAMES

CODE_TAGS = frozenset(("pre", "listing", "xmp"))
_LINES = frozenset(("div", "span", "figure", "section"))
"""What a line of code may be, where it is no `pre`."""

_TR = NAMES.index("tr")
_IS_CODE = np.array([name in CODE_TAGS for name in NAMES])
_IS_CELL = np.array([name in CELLS for name in NAMES])


@dataclass(slots=True)
class Rows:
    """The cells that are written on the line of their row, by the numbers of their elements.

    cell: of each element the one around it or itself, the outermost, 0 where there is none; empty where no element has
    one. place: of each of these its table, its row there, and how many columns with text are before its own. lists:
    those whose table has no other column with text.
    """

    cell: list[int] = field(default_factory=list)
    place: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    lists: set[int] = field(default_factory=set)


def rows_of(page: Blocks, blocks: Sequence[int], layout: set[int]) -> Rows:
    """Return the rows of the tables of data that have some blocks of a page. layout: tables and parts that hold none.

    A row is no line that has lines of code or rows of another table in it, or a single cell, at the left: that is a
    heading, or no row at all.
    """
    rows = Rows()
    names, parents, firsts, ends, _, closes = page.scan.elements[:6]
    is_cell = _IS_CELL[names]
    is_cell[list(layout)] = False
    if not is_cell.any():
        return rows
    of_text = np.array(blocks, np.int64)
    before = np.zeros(len(page.chars) + 1, np.int32)
    before[of_text + 1] = 1
    before = np.cumsum(before, dtype=np.int32)
    is_cell &= before[ends] > before[firsts]
    cells = np.flatnonzero(is_cell)
    if not len(cells):
        return rows
    columns, lines, tables, is_alone = grid(page.html, _begin(page, int(cells[0])), closes[cells])
    is_cell[cells] = ~_around_lines(page, of_text)[parents[cells]] & ((is_alone == 0) | (columns > 0))
    around = np.zeros(len(names), np.int32)
    outermost(parents, is_cell, around)
    rows.cell = around.tolist()
    written = np.unique(around[page.scan.blocks[0, of_text]])
    written = written[written > 0]
    place = np.searchsorted(cells, written)
    used, which = np.unique(tables[place] * COLUMNS + columns[place], return_inverse=True)
    table = used // COLUMNS
    first, end = np.searchsorted(table, table), np.searchsorted(table, table, "right")
    column = (np.arange(len(used)) - first)[which]
    places = zip(tables[place].tolist(), lines[place].tolist(), column.tolist(), strict=True)
    rows.place = dict(zip(written.tolist(), places, strict=True))
    rows.lists = set(written[(end - first == 1)[which]].tolist())
    return rows


def _begin(page: Blocks, element: int) -> int:
    """Return where the outermost table around an element begins."""
    table = element
    while element > 0:
        element = page.parent[element]
        table = element if page.tag[element] == "table" else table
    return int(page.scan.elements[4, table]) - len("<table")


def _around_lines(page: Blocks, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return of each element whether it is around blocks of several lines of code, or several rows of a table."""
    names, parents = page.scan.elements[:2]
    inside = np.flatnonzero(np.bincount(parents[names == _TR]) > 1).tolist()
    element, chars, coded = (row[blocks] for row in page.scan.blocks[[0, 1, 4]])
    is_code = _IS_CODE[names[element]]
    for place in np.flatnonzero(is_code | (coded == chars)).tolist():
        block = int(blocks[place])
        begin, end = page.starts[block], page.starts[block + 1]
        if (is_code[place] and b"\n" in page.text[begin:end]) or (
            place and are_lines_of_code(page, int(blocks[place - 1]), block)
        ):
            inside.append(page.element[block])
    around = np.zeros(len(names), np.bool_)
    for number in inside:
        each = number
        while each > 0 and not around[each]:
            around[each] = True
            each = page.parent[each]
    return around


def are_lines_of_code(page: Blocks, before: int, block: int) -> bool:
    """Return whether two blocks of a page are lines of the same code."""
    element, other = page.element[before], page.element[block]
    return (
        page.coded[before] == page.chars[before]
        and page.coded[block] == page.chars[block]
        and page.parent[element] == page.parent[other]
        and page.tag[element] in _LINES
        and page.tag[other] in _LINES
    )
