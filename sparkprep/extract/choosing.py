"""Which blocks of a page are its main text.

As in maximum subsequence segmentation (Pasternack and Roth, WWW 2009), blocks that look like running text count for
what is around them and others against it; here the best element is sought, not the best run of words. Inside it, lists
of links and what its element says is none goes.
"""

from __future__ import annotations

import re

from sparkprep.extract.blocks import BY_NAME, BY_TAG, Block, Blocks

_LONG = 80
"""Characters from which a block looks like running text."""
_MOST_LINKED = 1 / 3
"""Share of links in running text."""
_MOST_LINKED_INSIDE = 0.5
"""Share of links in what stays inside the main text."""
_MOST_LINKED_IN_PARAGRAPH = 0.8
"""The same of a paragraph, in which words around a link make a sentence."""
_LEAST = 200
"""Characters of main text below which a rule has taken too much, and is given up."""
_SHARE_OF_PAGE = 2 / 3
"""Share of a page's text that makes what has it the page."""
_SHARE_OF_SURROUNDINGS = 0.8
"""Share of an element's text in the list inside it, where the rest is the list's heading and foreword."""
_LISTS = frozenset(("ul", "ol", "dl", "table"))
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_TEXT_TAGS = frozenset(("p", "pre", "blockquote", "dd", "figcaption"))
_PARTS = frozenset(("li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "caption"))
_WEIGHT_OF_OTHERS = 1.0
_WEIGHT_OF_PARTS = 0.5


def main_blocks(page: Blocks) -> list[Block]:
    """Return the blocks of the main text, in their order."""
    best: list[Block] = []
    chars = _chars(page)
    for weakest in (BY_NAME, BY_TAG):
        is_out = _outside(page, chars, weakest)
        chosen = _index(page, is_out) or _choose(page, is_out)
        if sum(block.chars for block in chosen) >= _LEAST:
            return chosen
        best = max(best, chosen, key=lambda each: sum(block.chars for block in each))
    is_out = _outside(page, chars, BY_TAG)
    return best or [block for block in page.blocks if not is_out[block.element]] or page.blocks


def _chars(page: Blocks) -> list[int]:
    """Return the characters in each element, those inside it included."""
    chars = [0] * len(page.elements)
    for block in page.blocks:
        chars[block.element] += block.chars
    for number in range(len(chars) - 1, 0, -1):  # an element comes before those inside it
        chars[page.elements[number].parent] += chars[number]
    return chars


def _outside(page: Blocks, chars: list[int], weakest: int) -> list[bool]:
    """Return of each element whether it or one above it says that it is boilerplate, by nothing weaker than that.

    What has most of a page's text is around the main text, whatever its name: `no-sidebar`, or a form around all.
    """
    most = _SHARE_OF_PAGE * chars[0]
    out: list[bool] = []
    for number, element in enumerate(page.elements):
        says = element.said >= weakest and (chars[number] < most or (element.said == BY_TAG and element.tag != "form"))
        out.append(says or (element.parent >= 0 and out[element.parent]))
    return out


def _index(page: Blocks, is_out: list[bool]) -> list[Block]:
    """Return the blocks of a page that is an index, such as a table of contents or a list of names; none of another.

    It is one where a single list or table, most of it links, has most of the text that is not said to be boilerplate.
    """
    elements = page.elements
    chars, linked = [0] * len(elements), [0] * len(elements)
    for block in page.blocks:
        if not is_out[block.element]:
            chars[block.element] += block.chars
            linked[block.element] += block.linked
    for number in range(len(elements) - 1, 0, -1):
        chars[elements[number].parent] += chars[number]
        linked[elements[number].parent] += linked[number]
    least = max(1.0, _SHARE_OF_PAGE * chars[0])
    around = next((n for n, each in enumerate(elements) if each.tag in _LISTS and chars[n] >= least), 0)
    if linked[around] <= _MOST_LINKED * chars[around] or not around:
        return []
    while elements[around].parent > 0 and chars[around] >= _SHARE_OF_SURROUNDINGS * chars[elements[around].parent]:
        around = elements[around].parent
    top = elements[around]
    return [block for block in page.blocks[top.first : top.last] if not is_out[block.element]]


def _choose(page: Blocks, is_out: list[bool]) -> list[Block]:
    blocks, elements = page.blocks, page.elements
    score = [0.0] * len(elements)
    chars, linked = [0] * len(elements), [0] * len(elements)
    for block in blocks:
        number = block.element
        if is_out[number]:
            continue
        chars[number] += block.chars
        linked[number] += block.linked
        score[number] += _value(block, elements[number].tag)
    for number in range(len(elements) - 1, 0, -1):  # an element comes before those inside it
        above = elements[number].parent
        score[above] += score[number]
        chars[above] += chars[number]
        linked[above] += linked[number]
    best = max(range(len(elements)), key=lambda number: (score[number], number))
    top = elements[best]
    for number in range(best + 1, len(elements)):
        above = elements[number].parent
        if above < best:
            break
        is_out[number] = (
            is_out[number] or is_out[above] or _is_list_of_links(elements[number].tag, chars[number], linked[number])
        )
    return [block for block in blocks[top.first : top.last] if not is_out[block.element]]


def _value(block: Block, tag: str) -> float:
    """Return what a block counts for the element that it is in: its characters, or less than nothing.

    Short items and cells count by both, so that the links of a list or table decide of the whole: more than a third of
    its text makes it worth less than nothing.
    """
    if tag == "dt":  # the heading of what follows
        return 0.0
    if tag in _PARTS and block.chars < _LONG:
        return _WEIGHT_OF_PARTS * (block.chars - block.linked / _MOST_LINKED)
    if block.linked > _MOST_LINKED * block.chars:
        return -_WEIGHT_OF_OTHERS * block.chars
    if tag in _TEXT_TAGS or block.chars >= _LONG or _looks_long(block.text):
        return float(block.chars)
    if tag in _HEADINGS:
        return 0.0
    return -_WEIGHT_OF_OTHERS * block.chars


def _looks_long(text: str) -> bool:
    """Return whether a text is long for its script: of Chinese, Japanese and Korean a third of the characters do."""
    return 3 * len(text) >= _LONG and not text.isascii() and len(text) + 2 * len(_DENSE.findall(text)) >= _LONG


_DENSE = re.compile("[\u3040-\u9fff\uac00-\ud7a3]")


def _is_list_of_links(tag: str, chars: int, linked: int) -> bool:
    """Return whether an element is to go for its links. A part of a list or a table stays or goes with the whole."""
    most = _MOST_LINKED_IN_PARAGRAPH if tag in _TEXT_TAGS else _MOST_LINKED_INSIDE
    return tag not in _HEADINGS and tag not in _PARTS and chars > 0 and linked > most * chars
