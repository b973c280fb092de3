"""Blocks as text: paragraphs apart, items and cells as such, code as it lies."""

from __future__ import annotations

from collections.abc import Sequence

from sparkprep.extract.blocks import Blocks

_TELLING = frozenset(("li", "ul", "ol", "td", "th", "tr", "dl", "table"))
"""Elements by which a block is written otherwise than a paragraph."""


_DEEPEST = 8
"""Levels of nested lists that are told apart by indentation."""


def text_of(page: Blocks, blocks: Sequence[int]) -> str:
    """Return the text of some blocks of a page, by their numbers, in their order.

    Paragraphs are separated by an empty line; items of a list by a line's end, each behind "- " or its number, nested
    ones indented; rows of a table by a line's end, cells by tabs.
    """
    around, item, level = _surroundings(page)
    parts: list[str] = []
    numbers: dict[int, int] = {}
    before = -1
    for block in blocks:
        element = page.element[block]
        if parts:
            parts.append(_between(page, around, page.element[before], element))
        text = page.text_of(block)
        if item[element]:
            is_first = not page.first[item[element]] <= before < page.end[item[element]]
            text = _marked(page, text, item[element], level[element], is_first, numbers)
        parts.append(text)
        before = block
    return "".join(parts)


def _surroundings(page: Blocks) -> tuple[list[int], list[int], list[int]]:
    """Return for each element the innermost that tells how text is written, the innermost item, and how many items are
    around one another: itself included, 0 where there is none."""
    around, item, level = [0], [0], [0]
    for number in range(1, len(page.tag)):
        tag, parent = page.tag[number], page.parent[number]
        around.append(number if tag in _TELLING else around[parent])
        item.append(number if tag == "li" else item[parent])
        level.append(level[parent] + (tag == "li"))
    return around, item, level


def _between(page: Blocks, around: list[int], before: int, element: int) -> str:
    """Return what stands between blocks of two elements: by the innermost telling element that is around both."""
    one, other = around[before], around[element]
    while one != other:  # the inner one has the higher number
        if one > other:
            one = around[page.parent[one]]
        else:
            other = around[page.parent[other]]
    tag = page.tag[one]
    if tag == "tr":
        return "\t"
    return "\n" if tag in _TELLING else "\n\n"


def _marked(page: Blocks, text: str, item: int, level: int, is_first: bool, numbers: dict[int, int]) -> str:
    """Return a text of an item, behind the item's mark where it is the first. numbers: of the items of lists so far."""
    around = page.parent[item]
    mark = "- "
    if page.tag[around] == "ol":
        numbers[around] = numbers.get(around, 0) + is_first
        mark = f"{numbers[around]}. "
    indent = "  " * min(level - 1, _DEEPEST)
    if not is_first:
        mark = " " * len(mark)
    return indent + mark + text.replace("\n", "\n" + " " * (len(indent) + len(mark)))
