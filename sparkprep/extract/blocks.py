"""A page as its blocks of text, in their order, and the elements that contain them.

The tree is built by the parser of browsers (lexbor) and written out again, so that every element that was opened is
closed in its place: one pass over the tags of that, in time linear in them, needs no tree of Python objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_REST_OF_TAG = r'[^>"]*(?:"[^"]*"[^>"]*)*>'
_TAG = re.compile(rf"<(/?[a-z][a-z0-9-]*)({_REST_OF_TAG[:-1]})>")
_UNSEEN = re.compile(
    r"<(?:(script|style|noscript|svg|annotation|annotation-xml|template|iframe|object|canvas|audio|video|select|textarea|button|datalist)"
    r"(?=[ >])[^<]*(?:<(?!/\1>)[^<]*)*</\1>"
    r"|!--[^-]*(?:-(?!->)[^-]*)*-->"
    r"|/?(?:span|b|i|em|strong|u|s|small|font|img|code|tt|sub|sup|abbr|cite|time|picture|source|input|label|wbr|mark)"
    rf"(?=[ >]){_REST_OF_TAG})",
    re.DOTALL,
)
"""What a browser shows no text of, or text of its controls alone; and tags that make no border between words."""
_BREAK = "\0"
"""Stands for <br> until a block has its end: there is no such character in a page."""
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"),
        *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("header", "hgroup", "legend", "li", "listing", "main", "menu", "nav", "ol", "p", "pre", "search", "section"),
        *("summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul", "xmp"),
    )
)
_END = ""
_BORDERS = _BLOCKS | {"/" + name for name in _BLOCKS} | {_END}
_KEPT_LINES = frozenset(("pre", "listing", "xmp"))

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
        *("footer", "hidden", "legal", "login", "masthead", "menu", "menus", "modal", "nav", "navbar", "navfooter"),
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


@dataclass(slots=True)
class Block:
    """Text without a border in it: a paragraph, an item, a cell, a heading. element: number of the one that it is in.

    text: with single blanks, or as it lies where lines are kept. chars, linked: characters, and those that are links.
    """

    text: str
    element: int
    chars: int
    linked: int


@dataclass(slots=True)
class Element:
    """An element that makes a block, with text in it. first, last: the blocks inside it are blocks[first:last].

    said: what it says of itself, one of NOTHING, BY_NAME, BY_TAG.
    """

    tag: str
    parent: int
    first: int
    said: int
    last: int = 0


NOTHING, BY_NAME, BY_TAG = 0, 1, 2
"""An element says that it is boilerplate by its tag, its role or its style, or by its class or name alone, or not."""


@dataclass
class Blocks:
    """The blocks of a page and its elements, both in document order: element 0 is around all of them."""

    blocks: list[Block]
    elements: list[Element]


def blocks_of(html: str) -> Blocks:
    """Return the blocks of a page. html: as a parser has written it out, every element closed."""
    blocks: list[Block] = []
    elements = [Element("", -1, 0, NOTHING)]
    stack: list[tuple[str, str]] = []  # the open elements, of which only those with text in them get a number
    numbers = [0]
    pieces: list[str] = []
    linked = keeps_lines = 0
    in_link = False
    parts = iter([*_TAG.split(_UNSEEN.sub("", html.replace(_BREAK, " "))), _END, ""])
    for text, name, attributes in zip(parts, parts, parts, strict=True):
        if text and (pieces or not text.isspace()):
            pieces.append(text)
            if in_link:
                linked += len(text.strip())
        if name in _BORDERS:
            if pieces:
                text = _joined(pieces, keeps_lines > 0)
                if text:
                    for tag, its in stack[len(numbers) - 1 :]:
                        elements.append(Element(tag, numbers[-1], len(blocks), _said(tag, its)))
                        numbers.append(len(elements) - 1)
                    blocks.append(Block(text, numbers[-1], len(text), linked if linked < len(text) else len(text)))
                pieces, linked = [], 0
            if name in _BLOCKS:
                stack.append((name, attributes))
                keeps_lines += name in _KEPT_LINES
            elif stack and stack[-1][0] == name[1:]:
                stack.pop()
                if len(numbers) > len(stack) + 1:
                    elements[numbers.pop()].last = len(blocks)
                keeps_lines -= name[1:] in _KEPT_LINES
        elif name == "a":
            in_link = True
        elif name == "/a":
            in_link = False
        elif name == "br" or name == "hr":
            pieces.append(_BREAK)
    for number in numbers:
        elements[number].last = len(blocks)
    return Blocks(blocks, elements)


def _joined(pieces: list[str], keeps_lines: bool) -> str:
    """Return the text of a block; empty where it is all blanks."""
    text = "".join(pieces)
    if keeps_lines:
        text = text.replace(_BREAK, "\n").strip("\n") if text.strip() else ""
    elif _BREAK in text:
        text = "\n".join(" ".join(line.split()) for line in text.split(_BREAK)).strip("\n")
    else:
        text = " ".join(text.split())
    if "&" in text:
        text = text.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return text


@lru_cache(maxsize=20_000)
def _said(tag: str, attributes: str) -> int:
    """Return whether an element says that it is boilerplate, and by what."""
    if tag in _BOILERPLATE_TAGS:
        return BY_TAG
    by_name = False
    for name, value in _ATTRIBUTE.findall(attributes) if attributes else ():
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
