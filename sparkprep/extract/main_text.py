"""HTML to its main text, by one of some extractors, with the page's title and the language that it declares."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from sparkprep.extract.blocks import blocks_of
from sparkprep.extract.characters import visible
from sparkprep.extract.charset import decode
from sparkprep.extract.choosing import main_blocks
from sparkprep.extract.page import Page
from sparkprep.extract.rendering import text_of

_GAPS = re.compile(r"\n{3,}")
_SPACE = re.compile(r"\s+")
_ROOT = re.compile(r"<html\s[^>]*>", re.IGNORECASE)
_ROOT_WITHIN = 10_000
"""Characters in which a page's root element must begin."""
_LANG = re.compile(r"\s(?:xml:)?lang\s*=\s*[\"']?([a-z]{2,3}(?:[-_][a-z0-9]{2,8})*)[\"'\s>]", re.IGNORECASE)
_LONGEST_TITLE = 1_000


def page_of(data: bytes, content_type: str, extractor: str) -> Page:
    """Return the main text of a page.

    data: as it lies in the body. content_type: that header of HTTP. extractor: one of EXTRACTORS. Paragraphs are
    separated by an empty line, lines of code and rows of tables by a line's end, cells by tabs.
    """
    html, charset, _ = decode(data, content_type)
    tree = HTMLTree.parse(html)
    title, language = _title(tree), _language(html)
    text = EXTRACTORS[extractor](tree, html)
    return Page(_tidy(text), title, language, charset)


def _title(tree: HTMLTree) -> str:
    return _SPACE.sub(" ", visible(tree.title or "")).strip()[:_LONGEST_TITLE]


def _language(html: str) -> str:
    root = _ROOT.search(html, 0, _ROOT_WITHIN)
    declared = _LANG.search(root[0]) if root else None
    return declared[1].replace("_", "-").lower() if declared else ""


def _tidy(text: str) -> str:
    """Return a text without what is not seen, blanks at the ends of lines, and more than one empty line between two."""
    lines = [line.rstrip() for line in visible(text).split("\n")]
    text = "\n".join(lines).strip("\n")
    return _GAPS.sub("\n\n", text) if "\n\n\n" in text else text


def _resiliparse(tree: HTMLTree, html: str) -> str:
    return extract_plain_text(tree, preserve_formatting=True, main_content=True, alt_texts=False)


def _all_text(tree: HTMLTree, html: str) -> str:
    return extract_plain_text(tree, preserve_formatting=True, main_content=False, alt_texts=False)


def _trafilatura(tree: HTMLTree, html: str) -> str:
    trafilatura = import_module("trafilatura")
    return trafilatura.extract(html, include_comments=False, favor_precision=False) or ""


def _blocks(tree: HTMLTree, html: str) -> str:
    if tree.body is None:
        return ""
    page = blocks_of(tree.body.html)
    return text_of(page, main_blocks(page))


Extractor = Callable[[HTMLTree, str], str]
"""The text of a page, by its tree or the text that this was made of. It may change the tree."""

EXTRACTORS: dict[str, Extractor] = {
    "blocks": _blocks,
    "resiliparse": _resiliparse,
    "all": _all_text,
    "trafilatura": _trafilatura,
}
