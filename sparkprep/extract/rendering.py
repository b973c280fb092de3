"""Blocks as text: paragraphs apart, items and cells as such, code as it lies."""

from __future__ import annotations

from collections.abc import Sequence

from sparkprep.extract.blocks import Blocks
from sparkprep.extract.numbering import marks_of
from sparkprep.extract.rows import CODE_TAGS, Rows, are_lines_of_code, rows_of
from sparkprep.extract.tables import CELLS, gutters, layout_elements
from sparkprep.extract.tags import TELLING

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
    around, element, chars, coded, cell = page.around, page.element, page.chars, page.coded, writer.rows.cell
    parts: list[str] = []
    before = last = -1
    for block in writer.blocks:
        this = element[block]
        if cell and cell[this]:
            parts.append(writer.in_row(before, block, cell[this]))
        else:
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
        self.rows = Rows()
        self._marks: dict[int, str] = {}
        self._layout: set[int] = set()
        if "table" in page.tag:
            dropped = gutters(page, blocks)
            self.blocks = [block for block in blocks if block not in dropped] if dropped else blocks
            self._layout = layout_elements(page)
            self.rows = rows_of(page, self.blocks, self._layout)

    def in_row(self, before: int, block: int, cell: int) -> str:
        """Return the text of a block that is written on the line of its row, with what stands between it and the one
        before."""
        page, rows, element = self.page, self.rows, self.page.element
        text = page.text_of(block)
        text = text.replace("\n", " ") if cell in rows.lists else " ".join(text.split())
        item = page.item[element[block]]
        if item > cell and not page.first[item] <= before < page.end[item]:
            text = self._mark(item) + text
        begun = rows.cell[element[before]] if before >= 0 else 0
        if begun == cell:
            return " " + text
        table, row, column = rows.place[cell]
        above, line, behind = rows.place[begun] if begun else (0, 0, 0)
        if above == table and line == row:
            return "\t" * max(1, column - behind) + text
        text = "\t" * column + text
        around = page.item[cell]
        if around:
            text = self._marked(text, around, page.level[cell], before)
        if before < 0:
            return text
        if above == table and cell in rows.lists and page.coded[block] == page.chars[block]:
            return "\n" * min(row - line, 2) + text  # a line of code without any is no cell
        return self.between(before, block) + text

    def between(self, before: int, block: int) -> str:
        """Return what stands between two blocks: by the innermost telling element that is around both."""
        page, around = self.page, self.page.around
        element, other = page.element[before], page.element[block]
        if are_lines_of_code(page, before, block):
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

    def _is_code(self, element: int) -> bool:
        return self.page.tag[element] in CODE_TAGS

    def text(self, before: int, block: int) -> str:
        """Return the text of a block, as its item or cell has it."""
        page, element = self.page, self.page.element[block]
        text = page.text_of(block)
        around = page.around[element]
        if page.tag[around] in CELLS and "\n" in text and not self._is_code(element) and around not in self._layout:
            text = text.replace("\n\n", " ").replace("\n", " ")
        item = page.item[element]
        return self._marked(text, item, page.level[element], before) if item else text

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
