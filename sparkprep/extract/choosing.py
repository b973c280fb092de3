"""Which blocks of a page are its main text.

As in maximum subsequence segmentation (Pasternack and Roth, WWW 2009), blocks that look like running text count for
what is around them and others against it; here the best element is sought, not the best run of words. Inside it, lists
of links and what its element says is none goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import TypeVar, cast

from sparkprep.extract.blocks import BY_NAME, BY_TAG, Blocks

Number = TypeVar("Number", int, float)

_LONG = 80
"""Characters from which a block looks like running text."""
_MOST_LINKED = 1 / 3
"""Share of links in running text."""
_MOST_LINKED_INSIDE = 0.5
"""Share of links in what stays inside the main text."""
_MOST_LINKED_IN_PARAGRAPH = 0.8
"""The same of a paragraph, in which words around a link make a sentence."""
_LEAST = 500
_TIMES_MORE = 3
"""Names have taken too much where less than so many characters stay, and so many times more would without them."""
_SHARE_OF_BEST = 0.95
"""Share of the greatest sum for which an element is chosen inside the one that has it."""
_SHARE_OF_PAGE = 2 / 3
"""Share of a page's text that makes what has it the page."""
_SHARE_OF_SURROUNDINGS = 0.8
"""Share of an element's text in the list inside it, where the rest is the list's heading and foreword."""
_LISTS = frozenset(("ul", "ol", "dl", "table"))
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_TEXT_TAGS = frozenset(("p", "pre", "blockquote", "dd", "figcaption"))
_PARAGRAPHS = frozenset(("p", "pre"))
"""One of them is no main text by itself, be it as long as it may: what stands beside it belongs to it."""
_PARTS = frozenset(("li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "caption"))
_WEIGHT_OF_OTHERS = 1.0
_WEIGHT_OF_PARTS = 0.5


def main_blocks(page: Blocks) -> list[int]:
    """Return the numbers of the blocks of the main text, in their order."""
    chars = _summed(page, page.chars)
    best = _choose(page, _outside(page, chars, BY_NAME))
    size = sum(page.chars[block] for block in best)
    if size < _LEAST:
        other = _choose(page, _outside(page, chars, BY_TAG))
        if sum(page.chars[block] for block in other) > _TIMES_MORE * size:
            best = other
    if best:
        return best
    is_out = _outside(page, chars, BY_TAG)
    every = range(len(page.chars))
    return [block for block in every if not is_out[page.element[block]]] or list(every)


def _summed(page: Blocks, of_blocks: Sequence[Number]) -> list[Number]:
    """Return for each element the sum over the blocks in it, those of the elements inside it included."""
    sums = cast(list[Number], [0] * len(page.tag))
    for element, value in zip(page.element, of_blocks, strict=True):
        sums[element] += value
    for number in range(len(sums) - 1, 0, -1):  # an element comes before those inside it
        sums[page.parent[number]] += sums[number]
    return sums


def _outside(page: Blocks, chars: list[int], weakest: int) -> list[bool]:
    """Return of each element whether it or one above it says that it is boilerplate, by nothing weaker than that.

    What has most of a page's text is around the main text, whatever its name: `no-sidebar`, or a form around all.
    """
    most = _SHARE_OF_PAGE * chars[0]
    out = [False]
    for tag, parent, said, inside in zip(page.tag[1:], page.parent[1:], page.said[1:], chars[1:], strict=True):
        says = said >= weakest and (inside < most or (said == BY_TAG and tag != "form"))
        out.append(says or out[parent])
    return out


def _choose(page: Blocks, is_out: list[bool]) -> list[int]:
    """Return the blocks of the best element, without what goes from it, or those of an index. Changes is_out."""
    tag, parent = page.tag, page.parent
    seen = [not is_out[element] for element in page.element]
    chars = _summed(page, list(map(mul, page.chars, seen)))
    linked = _summed(page, list(map(mul, page.linked, seen)))
    top = _index(page, chars, linked)
    if not top:
        values = map(_value, map(tag.__getitem__, page.element), page.chars, page.linked, page.dense)
        score = _summed(page, list(map(mul, values, seen)))
        top = _best(page, score)
        for number in range(top + 1, len(tag)):
            above = parent[number]
            if above < top:
                break
            is_out[number] = (
                is_out[number] or is_out[above] or _is_list_of_links(tag[number], chars[number], linked[number])
            )
    return [block for block in range(page.first[top], page.end[top]) if not is_out[page.element[block]]]


def _best(page: Blocks, score: list[float]) -> int:
    """Return the innermost element that has next to all of the greatest sum, and may hold paragraphs."""
    best = max((n for n, tag in enumerate(page.tag) if tag not in _PARAGRAPHS), key=lambda n: (score[n], n))
    least = _SHARE_OF_BEST * score[best]
    for number in range(best + 1, len(score)):
        if score[number] >= least and page.parent[number] == best and page.tag[number] not in _PARAGRAPHS:
            best = number
        elif page.parent[number] < best and page.first[number] >= page.end[best]:
            break
    return best


def _index(page: Blocks, chars: list[int], linked: list[int]) -> int:
    """Return the element that is the main text of an index, such as a table of contents or a list of names, or 0.

    A page is one where a single list or table, most of it links, has most of the text that is not said to be
    boilerplate. chars, linked: of each element, without boilerplate.
    """
    least = max(1.0, _SHARE_OF_PAGE * chars[0])
    around = next((n for n, tag in enumerate(page.tag) if chars[n] >= least and tag in _LISTS), 0)
    if linked[around] <= _MOST_LINKED * chars[around]:
        return 0
    while page.parent[around] > 0 and chars[around] >= _SHARE_OF_SURROUNDINGS * chars[page.parent[around]]:
        around = page.parent[around]
    return around


def _value(tag: str, chars: int, linked: int, dense: int) -> float:
    """Return what a block counts for the element that it is in: its characters, or less than nothing.

    Short items and cells count by both, so that the links of a list or table decide of the whole: more than a third of
    its text makes it worth less than nothing. A text is long for its script: of Chinese, Japanese and Korean a third
    of the characters do.
    """
    if tag == "dt":  # the heading of what follows
        return 0.0
    if tag in _PARTS and chars < _LONG:
        return _WEIGHT_OF_PARTS * (chars - linked / _MOST_LINKED)
    if linked > _MOST_LINKED * chars:
        return -_WEIGHT_OF_OTHERS * chars
    if tag in _TEXT_TAGS or chars + 2 * dense >= _LONG:
        return float(chars)
    if tag in _HEADINGS:
        return 0.0
    return -_WEIGHT_OF_OTHERS * chars


def _is_list_of_links(tag: str, chars: int, linked: int) -> bool:
    """Return whether an element is to go for its links. A part of a list or a table stays or goes with the whole."""
    most = _MOST_LINKED_IN_PARAGRAPH if tag in _TEXT_TAGS else _MOST_LINKED_INSIDE
    return tag not in _HEADINGS and tag not in _PARTS and chars > 0 and linked > most * chars
