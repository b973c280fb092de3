"""A document as a page of HTML: its text in the markup that such a text has on the web, between a site's navigation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from urllib.parse import urlsplit

_GAP = re.compile(r"\n(?:[^\S\n]*\n)+")
_ITEM = re.compile(r"[-*•] +(?=\S)")
_UNDERLINE = re.compile(r"([=\-~^])\1{2,}\s*")
_CODE = re.compile(r"[^\S\n]{2,}|\t|>>>|\.\.\. ")
"""What a line begins with whose blanks mean something."""
_LONGEST_HEADING = 100
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>{meta}<title>{title}</title><style>body {{ margin: 2em }}</style><script>var shown = "{host}";</script></head>
<body>
<header><a href="/">{host}</a>
<nav><ul><li><a href="/">Home</a></li><li><a href="/docs/">Documentation</a></li><li><a href="/blog/">Blog</a></li>\
<li><a href="/search/">Search</a></li></ul></nav></header>
<main><article>
{blocks}
</article></main>
<aside class="sidebar"><h3>Related pages</h3>
<ul><li><a href="/docs/1/">Previous page</a></li><li><a href="/docs/2/">Next page</a></li></ul></aside>
<footer><p>Copyright {host}. <a href="/terms/">Terms</a> <a href="/privacy/">Privacy</a></p></footer>
</body>
</html>
"""


def html_of(url: str, text: str, charset: str = "") -> str:
    """Return the page at `url` whose main text is `text`.

    Blocks between empty lines become paragraphs, headings (lines that are underlined), lists (lines that begin with a
    dash or an asterisk), and preformatted text where lines are indented. charset: what the page says of its characters;
    "" where it says nothing.
    """
    text = text.replace("\r\n", "\n").strip("\n")
    return _PAGE.format(
        meta=f'<meta charset="{charset}">' if charset else "",
        title=escape(text.partition("\n")[0][:_LONGEST_HEADING].strip()),
        host=escape(urlsplit(url).hostname or "example.org"),
        blocks="\n".join(map(_block, _joined(_GAP.split(text)))),
    )


def _joined(blocks: list[str]) -> Iterator[str]:
    """Yield blocks, those of code that follow one another as one: an empty line in code is none between paragraphs."""
    code: list[str] = []
    for block in blocks:
        if _is_code(block):
            code.append(block)
            continue
        if code:
            yield "\n\n".join(code)
            code = []
        yield block
    if code:
        yield "\n\n".join(code)


def _is_code(block: str) -> bool:
    return any(_CODE.match(line) for line in block.split("\n"))


def _block(block: str) -> str:
    lines = block.split("\n")
    if _is_code(block):
        return f"<pre>\n{escape(block)}</pre>"
    if all(map(_ITEM.match, lines)):
        return "<ul>" + "".join(f"<li>{escape(_ITEM.sub('', line, 1))}</li>" for line in lines) + "</ul>"
    if len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]) and len(lines[0]) <= _LONGEST_HEADING:
        rest = "\n".join(lines[2:])
        return f"<h2>{escape(lines[0])}</h2>" + (f"\n{_block(rest)}" if rest.strip() else "")
    return f"<p>{escape(block)}</p>"
