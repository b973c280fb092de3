"""What a body is that is no page of HTML, by its first bytes, whatever it is said to be."""

from __future__ import annotations

import re

from sparkprep.extract.bodies import is_binary

BINARY, JSON, SCRIPT, UNTAGGED = "binary", "JSON", "a script", ""
_MAGICS = (b"%PDF-", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x1f\x8b", b"\0\0\x01\0")
_LOOKED_AT, _LOOKED_AT_OF_TEXT = 1 << 10, 1 << 16


def what_else(data: bytes, is_told: bool) -> str | None:
    """Return what a body is that cannot be HTML, UNTAGGED where nothing but that is sure; None for what can be.

    is_told: whether it is said to be HTML. Then it is, unless it is known for something else: by its mark, as binary,
    or as JSON or JavaScript without one tag; else it must begin as HTML does.
    """
    head = data[:_LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(_MAGICS) or is_binary(data):
        return BINARY
    if is_told:
        return _kind_of_text(data)
    head = head.replace(b"\0", b"").lower()
    is_html = head.startswith(b"<") and (b"<html" in head or b"<!doctype html" in head or b"<body" in head)
    return None if is_html else UNTAGGED


def _kind_of_text(data: bytes) -> str | None:
    """Return JSON or SCRIPT for text that is surely one; None for other text."""
    text = data[:_LOOKED_AT_OF_TEXT].lstrip(b"\xef\xbb\xbf \t\r\n")
    end = data[-_LOOKED_AT:].rstrip()
    if text.startswith((b"{", b"[")) and end.endswith((b"}", b"]")) and _is_json(text, len(data) > _LOOKED_AT_OF_TEXT):
        return JSON
    if end.endswith((b";", b"}", b")", b"/")) and _SCRIPT.match(text) and not _TAG.search(text):
        return SCRIPT
    return None


def _is_json(text: bytes, is_cut: bool) -> bool:
    """Return whether a text is made of JSON's words alone, of which one of several may be cut short at its end."""
    end = _JSON.match(text).end()  # type: ignore[union-attr]  # which matches nothing, too
    rest = text[end:]
    return not rest or (is_cut and (rest.startswith(b'"') or len(rest) < _LONGEST_WORD))


_JSON = re.compile(rb"(?:[\s{}\[\],:]++|\"(?:[^\"\\]|\\.)*+\"|-?\d[\d.eE+-]*+|true|false|null)*+", re.DOTALL)
_LONGEST_WORD = 6
_NAME = rb"[\w$.]++"
_SCRIPT = re.compile(
    rb"(?:\s++|//[^\n]*+\n|/\*(?:[^*]|\*(?!/))*+\*/|[\"']use strict[\"'];?|;)*+"
    rb"(?:(?:var|let|const)\s+" + _NAME + rb"\s*[=;,]"
    rb"|[!(]?\(?(?:async\s+)?function\b\s*" + rb"(?:" + _NAME + rb")?\s*\([^(){}]*+\)\s*\{"
    rb"|(?:window|document|self|module|exports|jQuery|\$)(?:\." + _NAME + rb")?(?:\s*=|\()"
    rb"|\(\s*\(?[\w$,\s]*+\)?\s*=>)"
)
"""How a script begins, behind comments: with a declaration, a function, or what browsers and modules give it."""
_TAG = re.compile(
    rb"<(?:!--|(?:!doctype|/?(?:html|head|body|title|meta|div|p|span|a|h[1-6]|table|ul|br|script))[\s/>])",
    re.IGNORECASE,
)
