"""Which tables hold data and which only place things on the page, and what highlighters make of code by tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numba import njit, types

from sparkprep.dedup.kernels import KEPT
from sparkprep.extract.blocks import Blocks
from sparkprep.extract.serialized import BYTES
from sparkprep.extract.tags import NAMES

CELLS = frozenset(("td", "th"))
_OF_DATA = ("th", "thead", "tfoot", "caption")
_PARTS = frozenset((*CELLS, *_OF_DATA, "tr"))
_ROLES = {"presentation": True, "none": True, "table": False, "grid": False, "treegrid": False}
"""What a table says of itself -> whether it only places things."""


def layout_elements(page: Blocks) -> set[int]:
    """Return the tables that only place things on the page, with their rows and cells: what is in these is written as
    on any page.

    A table is one of these by its `role`; else where it has neither heads nor a caption, and most of its text lies in
    cells of several blocks, those of a table inside it included.
    """
    names, parents, firsts, ends = page.scan.elements[:4]
    weight, table = np.zeros(len(names), np.int64), np.zeros(len(names), np.int32)
    before = np.zeros(len(page.chars) + 1, np.int64)
    np.cumsum(page.scan.blocks[1], out=before[1:])
    text = np.frombuffer(page.text, np.uint8)
    _weigh(names, parents, firsts, ends, before, page.scan.starts, text, table, weight)
    layout = set(np.flatnonzero(weight > 0).tolist())
    tables = np.flatnonzero(names == _TABLE)
    for number, begin, end in zip(tables.tolist(), *page.scan.elements[4:6, tables].tolist(), strict=True):
        if page.html.find(b' role="', begin, end) >= 0:
            is_layout = _ROLES.get(page.attribute(number, "role") or "", number in layout)
            (layout.add if is_layout else layout.discard)(number)
    return layout | set(np.flatnonzero(np.isin(table, list(layout))).tolist()) if layout else layout


_TABLE, _TD = NAMES.index("table"), NAMES.index("td")
_IS_PART = np.array([name in _PARTS for name in NAMES])
_IS_OF_DATA = np.array([name in _OF_DATA for name in NAMES])
_DECIDES = 1 << 40
"""More than the characters of any page."""


@njit(
    types.void(
        *(types.int32[::1],) * 4, types.int64[::1], types.int32[::1], BYTES, types.int32[::1], types.int64[::1]
    ),
    cache=KEPT,
)  # fmt: skip
def _weigh(names, parents, firsts, ends, before, starts, text, table, weight):
    """Set for each part of a table which that is, and for each table the characters in cells of several blocks, or of a
    block with an empty line, less those in others.

    names, parents, firsts, ends: of elements; before: the characters before each block; starts: where in the text each
    lies. A parser puts parts at most three elements below their table.
    """
    for number in range(1, len(names)):
        if not _IS_PART[names[number]]:
            continue
        around = parents[number]
        while around > 0 and names[around] != _TABLE:
            around = parents[around]
        table[number] = around
        if _IS_OF_DATA[names[number]]:
            weight[around] -= _DECIDES
        elif names[number] == _TD:
            first, end = firsts[number], ends[number]
            size = before[end] - before[first]
            is_several = end - first > 1
            for at in range(starts[first], starts[first + 1] - 1):
                is_several |= text[at] == 10 and text[at + 1] == 10
            weight[around] += size if is_several else -size


def gutters(page: Blocks, blocks: Sequence[int]) -> set[int]:
    """Return the blocks that are nothing but the numbers of the lines of code in the next cell of their row."""
    found: set[int] = set()
    if "pre" not in page.tag:
        return found
    for block, behind in pairwise(blocks):
        element, other = page.element[block], page.element[behind]
        if page.tag[element] == page.tag[other] == "pre":
            one, two = page.around[element], page.around[other]
            are_cells = page.tag[one] in CELLS and page.tag[two] in CELLS
            if are_cells and one != two and page.parent[one] == page.parent[two]:
                numbers = page.text_of(block).split()
                if numbers[0].isdecimal() and numbers == [str(int(numbers[0]) + n) for n in range(len(numbers))]:
                    found.add(block)
    return found
