"""Blocks as text: paragraphs apart, items and cells as such, code as it lies."""

from __future__ import annotations

from collections.abc import Sequence

from sparkprep.extract.blocks import Blocks
from sparkprep.extract.numbering import marks_of
from sparkprep.extract.rows import CODE_TAGS, Rows, rows_of
from sparkprep.extract.tables import CELLS, gutters, layout_elements
from sparkprep.extract.tags import TELLING

_LINES = frozenset(("div", "span", "figure", "section"))
"""What a line of code may be, where it is no `pre`."""
_DEEPEST = 8
"""Levels of nested lists that are told apart by indentation."""


def text_of(page: Blocks, blocks: Sequence[int]) -> str:
    """Return the text of some blocks of a page, by their numbers, in their order.

    Paragraphs are separated by an empty line; items of a list by a line's end, each behind "- " or its number, nested
    ones indented, several paragraphs of one by a line's end and as many blanks; rows of a table by a line's end, cells
    by tabs, as many as columns, and each row is one line (`rows`). A table that only places things on the page has
    paragraphs. Lines of code that are blocks of their own are lines.
    """
    writer = _Writer(page, blocks)
    around, element, chars, coded = page.around, page.element, page.chars, page.coded
    parts: list[str] = []
    before = last = -1
    for block in writer.blocks:
        this = element[block]
        if parts:
            is_paragraph = not around[this] and not around[last] and coded[block] != chars[block]
            parts.append("\n\n" if is_paragraph else writer.between(before, block))
        parts.append(writer.text(before, block) if around[this] else page.text_of(block))
        before, last = block, this
    return "".join(parts)


class _Writer:
    """What is known of a page while its blocks are written."""

    def __init__(self, page: Blocks, blocks: Sequence[int]) -> None:
        self.page, self.blocks = page, blocks
        self._marks: dict[int, str] = {}
        self._layout: set[int] = set()
        self._rows = Rows()
        if "table" in page.tag:
            dropped = gutters(page, blocks)
            self.blocks = [block for block in blocks if block not in dropped] if dropped else blocks
            self._layout = layout_elements(page)
            self._rows = rows_of(page, self.blocks, self._layout)

    def between(self, before: int, block: int) -> str:
        """Return what stands between two blocks: by the innermost telling element that is around both."""
        page, around, rows = self.page, self.page.around, self._rows
        element, other = page.element[before], page.element[block]
        if rows.cell and rows.cell[element] and rows.cell[other]:
            one, two = rows.cell[element], rows.cell[other]
            if one == two:
                return " "
            if rows.row[one] == rows.row[two]:
                return "\t" * max(1, rows.column[two] - rows.column[one])
        if page.coded[block] == page.chars[block] and self._are_lines(element, other, before):
            return "\n"
        one, two = around[element], around[other]
        while one != two:  # the inner one has the higher number
            if one > two:
                one = around[page.parent[one]]
            else:
                two = around[page.parent[two]]
        tag = page.tag[one]
        if tag not in TELLING or one in self._layout or tag == "tr":
            return "\n\n"
        is_plain = tag in CELLS and around[element] == one == around[other]
        return " " if is_plain and not self._is_code(element) and not self._is_code(other) else "\n"

    def _are_lines(self, element: int, other: int, before: int) -> bool:
        """Return whether two blocks, of which the second is code, are lines of the same code."""
        page = self.page
        return (
            page.coded[before] == page.chars[before]
            and page.parent[element] == page.parent[other]
            and page.tag[element] in _LINES
            and page.tag[other] in _LINES
        )

    def _is_code(self, element: int) -> bool:
        return self.page.tag[element] in CODE_TAGS

    def text(self, before: int, block: int) -> str:
        """Return the text of a block, as its item or cell has it."""
        page, element = self.page, self.page.element[block]
        text = page.text_of(block)
        if self._rows.cell and self._rows.cell[element]:
            return self._in_row(text, before, block, self._rows.cell[element])
        around = page.around[element]
        if page.tag[around] in CELLS and "\n" in text and not self._is_code(element) and around not in self._layout:
            text = text.replace("\n\n", " ").replace("\n", " ")
        item = page.item[element]
        return self._marked(text, item, page.level[element], before) if item else text

    def _in_row(self, text: str, before: int, block: int, cell: int) -> str:
        """Return the text of a block that is written on the line of its row."""
        page, rows = self.page, self._rows
        text = text.replace("\n", " ") if cell in rows.lists else " ".join(text.split())
        item = page.item[page.element[block]]
        if item > cell and not page.first[item] <= before < page.end[item]:
            text = self._mark(item) + text
        begun = rows.cell[page.element[before]] if before >= 0 else 0
        if begun and rows.row[begun] == rows.row[cell]:
            return text
        text = "\t" * rows.column[cell] + text
        around = page.item[cell]
        return self._marked(text, around, page.level[cell], before) if around else text

    def _mark(self, item: int) -> str:
        page, around = self.page, self.page.parent[item]
        if page.tag[around] != "ol":
            return "- "
        if item not in self._marks:
            self._marks |= marks_of(page, around)
        return self._marks[item]

    def _marked(self, text: str, item: int, level: int, before: int) -> str:
        """Return a text of an item, behind the item's mark where it is the first."""
        page = self.page
        mark = self._mark(item)
        if page.first[item] <= before < page.end[item]:
            mark = " " * len(mark)
        indent = "  " * min(level - 1, _DEEPEST)
        if "\n" in text:
            text = text.replace("\n", "\n" + " " * (len(indent) + len(mark)))
        return indent + mark + text
