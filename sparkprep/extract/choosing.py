"""Which blocks of a page are its main text.

As in maximum subsequence segmentation (Pasternack and Roth, WWW 2009), blocks that look like running text count for
what is around them and others against it; here the best element is sought, not the best run of words. Inside it, lists
of links and what its element says is none goes. Where that leaves out much of the page's prose, the best element was a
notice or a footer, and all of the prose is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparkprep.extract.blocks import BY_NAME, BY_TAG, Blocks
from sparkprep.extract.prose import FEW_WORDS, OF_PROSE, Counts, Measures, Sums
from sparkprep.extract.scanning import NAMES

_LONG = 80
"""Characters from which a block looks like running text."""
_TIMES_LINKED = 3
"""At most one in so many characters of running text is in a link."""
_MOST_LINKED_INSIDE = 0.5
"""Share of links in what stays inside the main text."""
_MOST_LINKED_IN_TABLE = 0.75
"""The same of a table, where what a row tells of may be a link, and the value beside it too."""
_MOST_LINKED_IN_PARAGRAPH = 0.8
"""The same of a paragraph, in which words around a link make a sentence."""
_MOST_PROSE_IN_LINKS = 0.1
"""Share of the prose in what may go for its links."""
_LEAST = 500
_TIMES_MORE = 3
"""Names have taken too much where less than so many characters stay, and so many times more would without them."""
_LEAST_SHARE_OF_PROSE = 0.6
"""Share of a page's prose of which less in the best element means that it is not the main text, or a part of it."""
_NEXT_TO_ALL_PROSE = 0.9
"""The share from which nothing more is looked for."""
_OF_A_KIND = frozenset(("div", "section", "article", "li"))
_LIKE = 2
"""So many others of a kind make one of a row."""
_MOST_LEVELS = 30
"""Elements around another one beside which others of their kind are looked for."""
_SHARE_OF_BEST = 0.95
"""Share of the greatest sum for which an element is chosen inside the one that has it."""
_SHARE_OF_PAGE = 2 / 3
"""Share of a page's text that makes what has it the page."""
_LINKED_OF_INDEX = 0.9
"""Share of links in a page that is an index of several lists: there is next to nothing else that it could be."""
_SHARE_OF_SURROUNDINGS = 0.8
"""Share of an element's text in the list inside it, where the rest is the list's heading and foreword."""
_LISTS = frozenset(("ul", "ol", "dl", "table"))
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_TEXT_TAGS = frozenset(("p", "pre", "blockquote", "dd", "figcaption"))
_PARAGRAPHS = frozenset(("p", "pre"))
"""One of them is no main text by itself, be it as long as it may: what stands beside it belongs to it."""
_ITEMS = frozenset(("li", "dt", "dd"))
_PARTS = frozenset(("li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "caption"))
_IS_TEXT, _IS_HEADING, _IS_PART, _IS_PARAGRAPH = (
    np.array([name in names for name in NAMES]) for names in (_TEXT_TAGS, _HEADINGS, _PARTS, _PARAGRAPHS)
)
_SIGN = np.where(_IS_TEXT, 1, np.where(_IS_HEADING, 0, -1))
"""Whether a short block counts for what is around it, or against it, by the number of its element's name."""
_TERM = NAMES.index("dt")
_MOST_LINKED = np.full(len(NAMES), _MOST_LINKED_INSIDE)
"""The same of each element, by the number of its name; of one that is not judged more than there can be."""
_MOST_LINKED[NAMES.index("table")] = _MOST_LINKED_IN_TABLE
_MOST_LINKED[_IS_TEXT] = _MOST_LINKED_IN_PARAGRAPH
_MOST_LINKED[_IS_HEADING | _IS_PART] = 1
Flags = npt.NDArray[np.bool_]
"""Something that holds of a block, or does not."""


def main_blocks(page: Blocks) -> list[int]:
    """Return the numbers of the blocks of the main text, in their order."""
    if not page.chars:
        return []
    measures = Measures(page)
    best = _choose(measures, _seen(page, BY_NAME))
    size = measures.chars[best].sum()
    if size < _LEAST:
        seen = _seen(page, BY_TAG)
        other = _choose(measures, seen)
        if measures.chars[other].sum() > _TIMES_MORE * size:
            best = best | _most_prose(measures, seen) if (best & ~other).any() else other
    numbers: list[int] = best.nonzero()[0].tolist()
    return numbers or _seen(page, BY_TAG).nonzero()[0].tolist() or list(range(len(page.chars)))


def _seen(page: Blocks, weakest: int) -> Flags:
    """Return of each block whether no element around it says that it is boilerplate, by nothing weaker than that.

    What has most of a page's text is around the main text, whatever its name: `no-sidebar`, or a form around all.
    """
    seen = np.ones(len(page.chars), np.bool_)
    chars = Sums(page, page.scan.blocks[1])
    most = _SHARE_OF_PAGE * chars[0]
    end = 0  # of what was out last: what is inside it is out already
    for number, said in enumerate(page.said):
        if said < weakest or page.first[number] < end:
            continue
        if chars[number] < most or (said == BY_TAG and page.tag[number] != "form"):
            end = page.end[number]
            seen[page.first[number] : end] = False
    return seen


def _choose(measures: Measures, seen: Flags) -> Flags:
    """Return the blocks of the best element, without what goes from it, or those of an index."""
    page = measures.page
    top = _index(measures, seen)
    if top:
        return _inside(page, top) & seen
    top = _best(page, Sums(page, _values(measures) * seen).all())
    prose = Sums(page, measures.prose * seen)
    if prose[top] < _NEXT_TO_ALL_PROSE * prose[0]:
        top = _around_like(page, top, prose)
    best = _without_links(page, top, seen, prose)
    if measures.prose[best].sum() >= _LEAST_SHARE_OF_PROSE * prose[0]:
        return best
    return _most_prose(measures, seen)


def _most_prose(measures: Measures, seen: Flags) -> Flags:
    """Return the blocks of the innermost element that has next to all prose, whatever else is in it."""
    prose = Sums(measures.page, measures.prose * seen)
    return _without_links(measures.page, _best(measures.page, prose.all()), seen, prose)


def _around_like(page: Blocks, top: int, prose: Sums) -> int:
    """Return what is around an element and others of its kind that have prose, or else the element.

    Such are the posts of a thread, of which the longest is not all. Of a kind is what has the same tag and class.
    """
    number, levels = top, 0
    while number and levels < _MOST_LEVELS:
        parent = page.parent[number]
        if page.tag[number] in _OF_A_KIND and prose[parent] - prose[number] >= _LIKE * OF_PROSE * FEW_WORDS:
            levels += 1
            if _has_like(page, number, prose):
                top = parent
        number = parent
    return top


def _has_like(page: Blocks, number: int, prose: Sums) -> bool:
    """Return whether enough others of an element's kind stand beside it."""
    parent, name = page.parent[number], page.attribute(number, "class")
    like, each = 0, parent
    while name and like <= _LIKE:  # the element itself is found, too
        try:
            each = page.parent.index(parent, each + 1)
        except ValueError:
            return False
        is_of_kind = page.tag[each] == page.tag[number] and prose[each] >= OF_PROSE * FEW_WORDS
        like += is_of_kind and page.attribute(each, "class") == name
    return like > _LIKE


def _inside(page: Blocks, element: int) -> Flags:
    """Return of each block whether it is in an element."""
    inside = np.zeros(len(page.chars), np.bool_)
    inside[page.first[element] : page.end[element]] = True
    return inside


def _without_links(page: Blocks, top: int, seen: Flags, prose: Sums) -> Flags:
    """Return the blocks of an element, without those not seen, and without the elements in it that are mostly links.

    One that has a good part of the prose is looked into, not left out. A part of a list or a table stays or goes with
    the whole, as does what an item consists of. prose: of each element, of what is seen.
    """
    chars, linked = (Sums(page, counts * seen).all() for counts in page.scan.blocks[1:3])
    kept = _inside(page, top) & seen
    most = _MOST_PROSE_IN_LINKS * prose[top]
    end, of_item = 0, dict[int, bool]()
    for number in (linked > _MOST_LINKED[page.scan.elements[0]] * chars).nonzero()[0].tolist():
        if number <= top or not end <= page.first[number] < page.end[top] or prose[number] > most:
            continue
        if not _is_of_item(page, number, top, of_item):
            end = page.end[number]
            kept[page.first[number] : end] = False
    return kept


def _is_of_item(page: Blocks, number: int, top: int, known: dict[int, bool]) -> bool:
    """Return whether an element is what an item inside another one consists of. Adds to what is known of elements."""
    way = []
    is_of_item = False
    while number not in known and page.tag[number] not in _LISTS:
        way.append(number)
        number = page.parent[number]
        if number <= top or page.tag[number] in _ITEMS:
            is_of_item = number > top
            break
    else:
        is_of_item = known.get(number, False)
    known.update(dict.fromkeys(way, is_of_item))
    return is_of_item


def _best(page: Blocks, score: Counts) -> int:
    """Return the innermost element that has next to all of the greatest sum, and may hold paragraphs."""
    may = ~_IS_PARAGRAPH[page.scan.elements[0]]
    most = score[may].max()
    best = int((may & (score == most)).nonzero()[0][-1])
    for number in (may & (score >= _SHARE_OF_BEST * most)).nonzero()[0].tolist():
        if page.parent[number] == best and number > best:
            best = number
    return best


def _index(measures: Measures, seen: Flags) -> int:
    """Return the element that is the main text of an index, such as a table of contents or a list of names, or 0.

    A page is one where a single list or table, or lists that each have a heading, most of them links, have most of the
    text that is not said to be boilerplate. What has more than half of a text has its middle.
    """
    page = measures.page
    chars, linked = Sums(page, measures.chars * seen), Sums(page, measures.linked * seen)
    if linked[0] <= _SHARE_OF_PAGE / _TIMES_LINKED * chars[0]:
        return 0
    least = _SHARE_OF_PAGE * chars[0]
    around = inner = 0
    middle = int(chars.before[1:].searchsorted((chars[0] + 1) // 2))
    element = page.element[min(middle, len(page.chars) - 1)]
    while element > 0:
        if chars[element] >= least:
            inner = inner or element
            around = element if page.tag[element] in _LISTS else around
        element = page.parent[element]
    if not around and linked[0] >= _LINKED_OF_INDEX * chars[0] and _headed(page, inner, chars) >= least:
        around = inner
    if not around or _TIMES_LINKED * linked[around] <= chars[around]:
        return 0
    shown = Sums(page, page.scan.blocks[1] * seen)
    while page.parent[around] > 0 and shown[around] >= _SHARE_OF_SURROUNDINGS * shown[page.parent[around]]:
        around = page.parent[around]
    return around


def _headed(page: Blocks, around: int, chars: Sums) -> int:
    """Return the characters of the lists in an element that stand under a heading, 0 where a single one has them."""
    characters = headings = 0
    end = page.first[around]  # of the list before
    for number in range(around + 1, len(page.tag)):
        begin = page.first[number]
        if begin >= page.end[around]:
            break
        if page.tag[number] in _LISTS and begin >= max(end, 1):
            is_first = page.tag[page.element[begin - 1]] in _HEADINGS
            if is_first or (headings and begin == end):
                headings += is_first
                characters += chars[number]
                end = page.end[number]
    return characters if headings > 1 else 0


def _values(measures: Measures) -> Counts:
    """Return twice what each block counts for the element that it is in: its characters, or less than nothing.

    Short items and cells count by both, for half as much, so that the links of a list or table decide of the whole:
    more than a third of its text makes it worth less than nothing. A term is the heading of what follows.
    """
    page, chars, linked = measures.page, measures.chars, measures.linked
    names = page.scan.elements[0, page.scan.blocks[0]]
    is_long = chars >= _LONG
    sign = np.where(is_long, 1, _SIGN[names])
    sign[_TIMES_LINKED * linked > chars] = -1
    sign[measures.notices] = -1
    is_short_part = (_IS_PART[names] & ~is_long).nonzero()[0]
    values: Counts = 2 * chars * sign
    values[is_short_part] = chars[is_short_part] - _TIMES_LINKED * linked[is_short_part]
    values[names == _TERM] = 0
    return values
