"""Which tables hold data and which only place things on the page, and what highlighters make of code by tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from sparkprep.extract.blocks import Blocks

CELLS = frozenset(("td", "th"))
_OF_DATA = frozenset(("th", "thead", "tfoot", "caption"))
_PARTS = frozenset((*CELLS, *_OF_DATA, "tr"))
_ROLES = {"presentation": True, "none": True, "table": False, "grid": False, "treegrid": False}
"""What a table says of itself -> whether it only places things."""


def layout_elements(page: Blocks) -> set[int]:
    """Return the tables that only place things on the page, with their rows and cells: what is in these is written as
    on any page.

    A table is one of these by its `role`; else where it has neither heads nor a caption, and most of its text lies in
    cells of several blocks, those of a table inside it included.
    """
    before = list(accumulate(page.chars, initial=0))
    weight: dict[int, float] = {}
    parts: list[tuple[int, int]] = []
    for number, tag in enumerate(page.tag):
        if tag == "table":
            weight[number] = 0.0
        elif tag in _PARTS and (table := _table_of(page, number)):
            parts.append((number, table))
            if tag in _OF_DATA:
                weight[table] = -math.inf
            elif tag == "td":
                first, end = page.first[number], page.end[number]
                size = before[end] - before[first]
                weight[table] += size if end - first > 1 or page.has_gap(first) else -size
    layout = {number for number, value in weight.items() if _ROLES.get(page.attribute(number, "role") or "", value > 0)}
    return layout | {number for number, table in parts if table in layout}


def _table_of(page: Blocks, part: int) -> int:
    """Return the table that a part is of, which a parser puts at most three elements below it."""
    while part > 0 and page.tag[part] != "table":
        part = page.parent[part]
    return part


def gutters(page: Blocks, blocks: Sequence[int]) -> set[int]:
    """Return the blocks that are nothing but the numbers of the lines of code in the next cell of their row."""
    found = set()
    for block, behind in zip(blocks, blocks[1:], strict=False):
        element, other = page.element[block], page.element[behind]
        if page.tag[element] == page.tag[other] == "pre":
            one, two = page.around[element], page.around[other]
            are_cells = page.tag[one] in CELLS and page.tag[two] in CELLS
            if are_cells and one != two and page.parent[one] == page.parent[two]:
                numbers = page.text_of(block).split()
                if numbers[0].isdecimal() and numbers == [str(int(numbers[0]) + n) for n in range(len(numbers))]:
                    found.add(block)
    return found
