"""Marks that a page sets into its sentences and that are none of them: numbers of footnotes, links to edit a section.

The rule, on serialized HTML (`scanning`), outside code:

- `sup` goes that holds nothing but links to places of the same page (`href="#..."`, or with the page's address before
  it), in square brackets: the brackets may stand in the link or around it, with blanks, or elements around the text;
- so do MediaWiki's, by the classes that it gives them: `reference` and `Inline-Template` of a `sup` ("[1]", "[citation
  needed]"), `mw-editsection` of a `span` ("[edit]").

Brackets in running text or in code, such as `a[1]`, are no `sup`, and stay.
"""

from __future__ import annotations

import re

_ATTRIBUTES = r'(?: [^\s"=<>]+(?:="[^"]*")?)*'
_TEXT = r"[^<>]{0,40}"
_INLINE = rf"</?(?:span|i|b|em|small|strong|sup){_ATTRIBUTES}>"
_LINK = rf'<a(?={_ATTRIBUTES} href="[^"]{{0,500}}#){_ATTRIBUTES}>(?:{_TEXT}{_INLINE}){{0,6}}{_TEXT}</a>'
_SUP = re.compile(
    rf"<sup(?P<attributes>{_ATTRIBUTES})>(?P<inside>(?:[^<]|<(?!/?sup[ >])[^>]*>){{0,3000}}?)</sup>".encode()
)
_ONLY_LINK = re.compile(rf"(?:[\s\[\],;]|&nbsp;|{_INLINE}|{_LINK})*".encode())
_TAG = re.compile(rb"<[^>]*>|&nbsp;|\s")
_BRACKETED = re.compile(rb"\[[^\[\]]{1,40}\](?:[,;]?\[[^\[\]]{1,40}\])*")
_EDIT = re.compile(
    rb'<span(?= [^>]*\bmw-editsection[" ])[^>]*>'
    rb"(?:[^<]|<(?!/?span[ >])[^>]*>|<span(?: [^>]*)?>(?:[^<]|<(?!/?span[ >])[^>]*>)*</span>)*</span>"
)
_BY_CLASS = re.compile(rb' class="(?:[^"]* )?(?:reference|Inline-Template)[ "]')
_CODE = re.compile(rb"<(pre|code|kbd|samp|tt|xmp|listing)[ >]")


def without_marks(html: bytes) -> bytes:
    """Return serialized HTML without marks of footnotes and links to edit a section; the same where it has none."""
    if b"<sup" in html:
        html = _outside_code(_SUP, html)
    if b"mw-editsection" in html:
        html = _outside_code(_EDIT, html)
    return html


def _outside_code(pattern: re.Pattern[bytes], html: bytes) -> bytes:
    parts: list[bytes] = []
    place = 0
    code = _next_code(html, 0)
    for found in pattern.finditer(html):
        while code is not None and code[1] <= found.start():
            code = _next_code(html, code[1])
        is_in_code = code is not None and code[0] < found.start()
        if not is_in_code and (pattern is _EDIT or _is_mark(found)):
            parts.append(html[place : found.start()])
            place = found.end()
    return b"".join([*parts, html[place:]]) if parts else html


def _next_code(html: bytes, start: int) -> tuple[int, int] | None:
    found = _CODE.search(html, start)
    if found is None:
        return None
    end = html.find(b"</%b>" % found[1], found.end())
    return found.start(), end if end >= 0 else len(html)


def _is_mark(found: re.Match[bytes]) -> bool:
    if _BY_CLASS.search(found["attributes"]):
        return True
    inside = found["inside"]
    return (
        b"<a " in inside
        and _ONLY_LINK.fullmatch(inside) is not None
        and bool(_BRACKETED.fullmatch(_TAG.sub(b"", inside)))
    )
