"""Blocks out of serialized HTML: the compiled pass against Python's own parser of tags, on seeded pages."""

import random
import re
from html.parser import HTMLParser

import pytest
from resiliparse.parse.html import HTMLTree

from sparkprep.extract import tags
from sparkprep.extract.blocks import blocks_of

BORDERS = [name for name, kind in tags.KINDS.items() if kind in (tags.BLOCK, tags.KEPT_LINES)]
KEPT_LINES = ("pre", "listing")
UNSEEN = [name for name, kind in tags.KINDS.items() if kind == tags.UNSEEN]
CODE = [name for name, kind in tags.KINDS.items() if kind == tags.CODE]
BOXES = [name for name, kind in tags.KINDS.items() if kind == tags.BOX]
IMAGES = [name for name, kind in tags.KINDS.items() if kind == tags.IMAGE]
BREAK, CLOSED, OPENED, CELL, INDENT, BOX = "\1\2\3\4\5\6"
"""What stands in the text for an end of a line, for borders inside `pre`, a no-break space in code, and a box."""


class Reference(HTMLParser):
    """Blocks as (text, tags around it), of HTML whose elements are all closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[tuple[str, list[str]]] = []
        self.stack: list[str] = []
        self.text, self.unseen, self.in_code = "", "", 0
        line = r"<code[^>]*>(?:(?!</code>)[^\n])*</code>"
        self.feed(re.sub(rf"<(td|div)([^>]*)>(?={line}</\1>)", r'<\1\2 style="white-space: pre">', html))
        self.close()
        self.end_block()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if self.unseen:
            return
        self.text += BOX if tag in BOXES + IMAGES else ""
        if tag in UNSEEN + BOXES:
            self.unseen = tag
        elif tag in BORDERS and self.in_pre() and tag not in KEPT_LINES:
            self.text += CELL if tag in ("td", "th") else OPENED + "r" * (tag == "tr")
        elif tag in BORDERS:
            self.end_block()
            self.stack.append((tag, self.is_styled(attrs) or tag in KEPT_LINES))
        elif tag in ("br", "hr"):
            self.text += BREAK
        elif tag in CODE:
            self.in_code += 1
        elif self.in_pre() and "display" in dict(attrs).get("style", ""):
            self.text += OPENED

    def handle_endtag(self, tag: str) -> None:
        if self.unseen:
            self.unseen = "" if tag == self.unseen else self.unseen
        elif tag in BORDERS and self.in_pre() and tag not in KEPT_LINES:
            self.text += "" if tag in ("td", "th") else CLOSED + "r" * (tag == "tr")
        elif tag in BORDERS:
            self.end_block()
            if self.stack and self.stack[-1][0] == tag:
                self.stack.pop()
        elif tag in CODE:
            self.in_code = max(0, self.in_code - 1)

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.text += data.replace("\xa0", INDENT) if self.in_code else data

    def in_pre(self) -> bool:
        return any(tag in KEPT_LINES for tag, _ in self.stack)

    @staticmethod
    def is_styled(attrs: object) -> bool:
        return "white-space" in dict(attrs).get("style", "")

    def end_block(self) -> None:
        self.text = re.sub(rf"(?<=[\w.,;:!?)\]}}%]){BOX}+(?=[\w(])", " ", self.text).replace(BOX, "")
        if any(kept for _, kept in self.stack):
            text = re.sub(r"[^\S\t\n]", " ", with_lines(self.text.replace(INDENT, " ")).replace(BREAK, "\n"))
            lines = [line.rstrip() for line in text.split("\n")]
        else:
            lines = [without_blanks(line) for line in self.text.split(BREAK)]
        text = re.sub("\n{3,}", "\n\n", "\n".join(lines).strip("\n"))
        if text:
            self.blocks.append((text, [tag for tag, _ in self.stack[::-1]]))
        self.text = ""


def without_blanks(line: str) -> str:
    """A line with single blanks, and those that are written as no-break spaces in code."""
    line = re.sub(rf"[^\S{INDENT}]+", " ", line)
    line = re.sub(rf"(?<={INDENT}) | $|^ ", "", line).replace(INDENT, " ")
    return line.rstrip()


def with_lines(text: str) -> str:
    """The text of `pre` with the lines that elements in it make: a border ends a line that has something on it."""
    lines, border = [""], ""
    for mark in re.findall(rf"[{CLOSED}{OPENED}]r?|.", text, re.DOTALL):
        if mark[0] in (CLOSED, OPENED, CELL):
            if not lines[-1].strip():
                lines[-1] = ""
            elif mark == CELL or (border == CELL and not mark.endswith("r")):
                border = border or CELL
            else:
                border = OPENED if OPENED in (mark[0], border) else CLOSED
            continue
        if mark in "\n" + BREAK:
            lines += [""] * (1 + (border == OPENED))
        elif border == CELL:
            lines[-1] = lines[-1].rstrip() + "\t" + mark
        elif border:
            lines.append(mark)
        else:
            lines[-1] += mark
        border = ""
    return "\n".join(lines)


PIECES = (
    *(
        "word ",
        " two words",
        "\n",
        "  \t",
        "&nbsp;",
        "&amp;",
        "&lt;p&gt;",
        "é",
        "中文字",
        "\u3000",
        "x\u2028y",
        "&",
        "<",
        "1 > 2",
    ),
    *("<b>", "</b>", "<br>", "<hr>", "<a href='x>y'>", "</a>", "<img alt='a \"b\" <c>'>", "<!-- <p>no</p> -->"),
    *(
        "<script>if (a<b) '</p>'</script>",
        "<style>p{}</style>",
        "<svg><text>no</text></svg>",
        "<ins>",
        "<x-y>",
        '<p x="\'>">',
        "<code>",
        "</code>",
        "<div style='white-space: pre-wrap'>",
        "<span style='display: block'>",
        "</span>",
    ),
    *(f"<{tag}>" for tag in BORDERS),
    *(f"</{tag}>" for tag in BORDERS),
)


def path(page, number: int) -> list[str]:
    tags = []
    while number > 0:
        tags.append(page.tag[number])
        number = page.parent[number]
    return tags


@pytest.mark.parametrize("seed", range(150))
def test_blocks_are_those_of_a_parser_of_tags(seed: int) -> None:
    made = random.Random(seed)
    body = HTMLTree.parse("".join(made.choices(PIECES, k=made.choice((5, 50, 500))))).body
    html = body.html if body is not None else ""
    page = blocks_of(html)
    mine = [(page.text_of(n), path(page, page.element[n])) for n in range(len(page.chars))]
    assert mine == Reference(html).blocks
    assert page.chars == [len(text) for text, _ in mine]
    for number in range(1, len(page.tag)):
        assert page.first[page.parent[number]] <= page.first[number] < page.end[number] <= page.end[page.parent[number]]


@pytest.mark.parametrize(
    ("html", "linked", "dense"),
    [
        ("<p><a href='/'>all of it</a></p>", 9, 0),
        ("<p>see <a href='/'> two&nbsp; words </a> here</p>", 9, 0),
        ("<p><a href='/'>é&amp;中</a></p>", 3, 1),
        ("<p>かな漢字한글 ABC</p>", 0, 6),
    ],
)
def test_characters_in_links_and_of_dense_scripts_are_counted(html: str, linked: int, dense: int) -> None:
    page = blocks_of(HTMLTree.parse(html).body.html)
    assert (page.linked, page.dense) == ([linked], [dense])


@pytest.mark.parametrize(
    "html", ["<", "<p", '<p x="', "<!", "<!--", "<!-- -", "<script>", "<script>a</scrip", "</", "&", "a&am", "\ud800"]
)
def test_bytes_that_no_parser_writes_are_borne(html: str) -> None:
    blocks_of(html)
    blocks_of("<p>text" + html)
