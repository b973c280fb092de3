"""Blocks as text: paragraphs apart, items and cells as such, code as it lies."""

from __future__ import annotations

from collections.abc import Sequence

from sparkprep.extract.blocks import Blocks

_TELLING = frozenset(("li", "ul", "ol", "td", "th", "tr", "dl", "table"))
"""Elements by which a block is written otherwise than a paragraph."""


def text_of(page: Blocks, blocks: Sequence[int]) -> str:
    """Return the text of some blocks of a page, by their numbers, in their order.

    Paragraphs are separated by an empty line; items of a list by a line's end, each behind "- " or its number, nested
    ones indented; rows of a table by a line's end, cells by tabs.
    """
    parts: list[str] = []
    before: list[int] = []
    numbers: dict[int, int] = {}
    for block in blocks:
        path = _path(page, page.element[block])
        if parts:
            parts.append(_between(page, before, path))
        parts.append(_marked(page, page.text_of(block), path, before, numbers))
        before = path
    return "".join(parts)


def _path(page: Blocks, number: int) -> list[int]:
    """Return the elements around a block that tell how it is written, the innermost first."""
    path = []
    while number > 0:
        if page.tag[number] in _TELLING:
            path.append(number)
        number = page.parent[number]
    return path


def _between(page: Blocks, before: list[int], path: list[int]) -> str:
    """Return what stands between two blocks: by the innermost element that is around both."""
    shared = next((number for number in before if number in path), 0)
    tag = page.tag[shared]
    if tag == "tr":
        return "\t"
    return "\n" if tag in _TELLING else "\n\n"


def _marked(page: Blocks, text: str, path: list[int], before: list[int], numbers: dict[int, int]) -> str:
    """Return a block's text, behind the mark of its item where it is the first in it. numbers: of the lists so far."""
    items = [number for number in path if page.tag[number] == "li"]
    if not items:
        return text
    item, around = items[0], page.parent[items[0]]
    mark = "- "
    if page.tag[around] == "ol":
        numbers[around] = numbers.get(around, 0) + (item not in before)
        mark = f"{numbers[around]}. "
    indent = "  " * (len(items) - 1)
    if item in before:
        mark = " " * len(mark)
    return indent + mark + text.replace("\n", "\n" + " " * (len(indent) + len(mark)))
