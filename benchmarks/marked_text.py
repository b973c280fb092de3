"""Main text that was marked by hand: how pages are cut into blocks, and the gold text that the marks give.

Cut by Python's own parser of tags, which none of the extractors that are measured is built on but one, the slowest:
what the marks mean depends on none of them. `benchmarks/marked/README.md` has the rules by which was marked.
"""

from __future__ import annotations

import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

MARKS = Path(__file__).parent / "marked" / "marks.json"
UNSEEN = MARKS.with_name("unseen.json")
"""Of pages on which no rule of an extractor was tried."""
_UNSEEN = frozenset(("script", "style", "noscript", "template", "title", "iframe", "textarea", "select"))
_INLINE = frozenset(
    (
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn", "em"),
        *("font", "i", "img", "ins", "kbd", "label", "mark", "nobr", "q", "rp", "rt", "ruby", "s", "samp", "small"),
        *("span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    )
)


class Mark(NamedTuple):
    """What was marked of a page. offset: of its record in the archive. sha256: of its body. blocks: how many it has.
    main: the numbers of those that are main text."""

    url: str
    offset: int
    sha256: str
    encoding: str
    blocks: int
    main: list[int]


class _Blocks(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._pieces: list[str] = []
        self._unseen = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INLINE:
            self.end_block()
        if tag in _UNSEEN and not self._unseen:
            self._unseen = tag

    def handle_endtag(self, tag: str) -> None:
        if tag not in _INLINE:
            self.end_block()
        if tag == self._unseen:
            self._unseen = ""

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._pieces.append(data)

    def end_block(self) -> None:
        text = " ".join("".join(self._pieces).split())
        if text:
            self.blocks.append(text)
        self._pieces.clear()


def visible_blocks(html: str) -> list[str]:
    """Return the texts between borders of a page, with single blanks, in the order of its source."""
    parser = _Blocks()
    parser.feed(html)
    parser.close()
    parser.end_block()
    return parser.blocks


def numbers_of(ranges: str) -> list[int]:
    """Return the numbers of ranges: "2-4,7" are 2, 3, 4, 7."""
    numbers: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def read_marks(path: Path = MARKS) -> list[Mark]:
    return [Mark(**{**row, "main": numbers_of(row["main"])}) for row in json.loads(path.read_text())]


def marked_text(mark: Mark, body: bytes) -> str:
    """Return the main text of a page. body: of the page as it was marked; of another ValueError is raised."""
    if hashlib.sha256(body).hexdigest() != mark.sha256:
        raise ValueError(f"{mark.url}: not the page that was marked")
    blocks = visible_blocks(body.decode(mark.encoding, "replace"))
    if len(blocks) != mark.blocks:
        raise ValueError(f"{mark.url}: {len(blocks)} blocks, {mark.blocks} when it was marked")
    return "\n".join(blocks[number] for number in mark.main)
