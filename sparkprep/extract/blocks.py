"""A page as its blocks of text, in their order, and the elements that contain them, with what these say of themselves.

The tree is built by the parser of browsers (lexbor) and written out again, so that every element that was opened is
closed in its place: one pass over the bytes of that, in time linear in them, needs no tree of Python objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from sparkprep.extract.reference_marks import without_marks
from sparkprep.extract.scanning import NAMES, Scan, scan

_BOILERPLATE_TAGS = frozenset(("nav", "footer", "aside", "dialog", "menu", "search", "form"))
_BOILERPLATE_ROLES = frozenset(
    (
        *("navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog"),
        *("menu", "menubar", "toolbar", "tablist"),
    )
)
_ATTRIBUTE = re.compile(r' (class|id|role|style|hidden|aria-hidden|aria-modal)="([^"]*)"')
_WORDS_OF_BOILERPLATE = frozenset(
    (
        *("ad", "ads", "advert", "advertisement", "advertisements", "advertising", "advertorial", "banner", "bio"),
        *("breadcrumb", "breadcrumbs", "byline", "comment", "comments", "cookie", "cookies", "copyright", "disqus"),
        *(
            "foot",
            "footer",
            "hidden",
            "legal",
            "login",
            "masthead",
            "menu",
            "menus",
            "modal",
            "nav",
            "navbar",
            "navfooter",
        ),
        *("navheader", "navigation", "newsletter", "outbrain", "pager", "pagination", "popup", "print", "promo"),
        *("promos", "promotion", "rail", "recirc", "recirculation", "recommendations", "recommended", "related"),
        *("share", "sharing", "sidebar", "signup", "skip", "social", "sponsor", "sponsored", "sponsors", "subscribe"),
        *("subscription", "taboola", "tag", "tags", "toolbar", "tools", "tooltip", "trending", "widget", "widgets"),
    )
)
_WORDS_OF_CONTENT = frozenset(("article", "main", "content", "body", "post", "entry", "story", "text"))
_WORDS_OF_HEADING = 4
"""Words in an identifier from which it is no name."""
_NAME = re.compile(r"[a-z]+|[A-Z]+[a-z]*")
_UNSEEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


NOTHING, BY_NAME, BY_TAG = 0, 1, 2
"""An element says that it is boilerplate by its tag, its role or its style, or by its class or name alone, or not."""
_BY_ITSELF = dict.fromkeys(_BOILERPLATE_TAGS, BY_TAG)


@dataclass(slots=True)
class Blocks:
    """The blocks of a page and the elements with text in them, both by number, in document order; 0 is around all.

    A block is text without a border in it: a paragraph, an item, a cell, a heading. Of block n: `text_of(n)`, with
    single blanks, or with its lines where these are kept; element[n], the innermost around it; chars[n]; linked[n] and
    dense[n], the characters in links, and those of Chinese, Japanese and Korean. Of element n: tag[n]; parent[n];
    first[n] and end[n], the blocks inside; said[n], one of NOTHING, BY_NAME, BY_TAG.
    """

    element: list[int]
    chars: list[int]
    linked: list[int]
    dense: list[int]
    coded: list[int]
    tag: list[str]
    parent: list[int]
    first: list[int]
    end: list[int]
    said: list[int]
    around: list[int]
    item: list[int]
    level: list[int]
    starts: list[int]
    scan: Scan
    html: bytes
    items: dict[int, list[int]] = field(default_factory=dict)
    """Of each list, once they were asked for."""

    @property
    def text(self) -> bytes:
        """UTF-8 of one block after the other."""
        return self.scan.text

    def text_of(self, number: int) -> str:
        """Return the text of a block."""
        return self.scan.text[self.starts[number] : self.starts[number + 1]].decode("utf-8", "replace")

    def items_of(self, number: int) -> list[int]:
        """Return the items of a list, by their numbers."""
        if not self.items:
            for each, tag in enumerate(self.tag):
                if tag == "li":
                    self.items.setdefault(self.parent[each], []).append(each)
        return self.items[number]

    def attribute(self, number: int, name: str) -> str | None:
        """Return what an element has for an attribute, "" where that has no value; None where it has none."""
        begin, end = self.scan.elements[4:6, number].tolist()
        found = re.search(rf' {name}="([^"]*)"', self.html[begin:end].decode("utf-8", "replace"))
        return found[1] if found else None


def blocks_of(html: str) -> Blocks:
    """Return the blocks of a page. html: as a parser has written it out, every element closed."""
    data = without_marks(html.encode("utf-8", "replace"))
    found = scan(data)
    names, parent, first, last, begins, ends, around, item, level = found.elements.tolist()
    tags = [NAMES[name] for name in names]
    said = [
        _said(tag, data[begin:end]) if end > begin else _BY_ITSELF.get(tag, NOTHING)
        for tag, begin, end in zip(tags, begins, ends, strict=True)
    ]
    element, chars, linked, dense, coded = found.blocks.tolist()
    starts = found.starts.tolist()
    # fmt: off
    return Blocks(
        element, chars, linked, dense, coded, tags, parent, first, last, said, around, item, level, starts, found, data,
    )
    # fmt: on


@lru_cache(maxsize=20_000)
def _said(tag: str, attributes: bytes) -> int:
    """Return whether an element says that it is boilerplate, and by what."""
    if tag in _BOILERPLATE_TAGS:
        return BY_TAG
    by_name = False
    for name, value in _ATTRIBUTE.findall(attributes.decode("utf-8", "replace")) if attributes else ():
        if name == "role":
            if value in _BOILERPLATE_ROLES:
                return BY_TAG
        elif name == "style":
            if _UNSEEN_STYLE.search(value):
                return BY_TAG
        elif name == "hidden" or name.startswith("aria"):
            if value != "false":
                return BY_TAG
        elif not by_name:
            words = _NAME.findall(value) if value.islower() else list(map(str.lower, _NAME.findall(value)))
            if name == "id" and len(words) >= _WORDS_OF_HEADING:
                continue  # it was made of a heading
            by_name = not _WORDS_OF_BOILERPLATE.isdisjoint(words) and _WORDS_OF_CONTENT.isdisjoint(words)
    return BY_NAME if by_name and tag not in ("body", "article", "main") else NOTHING
