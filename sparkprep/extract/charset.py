"""The characters of a page: by byte order mark, HTTP header, meta element or content, in that order, as browsers do.

Labels mean what the WHATWG's standard says, as pages are written for browsers: `iso-8859-1` is windows-1252, `gb2312`
is GB 18030. What is declared and cannot be true is not believed: bytes that are no UTF-8 where that is declared, and
bytes that are UTF-8 to the last where something else is.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MARKS_32 = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"))
_LABEL = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,>]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,512}?charset\s*=\s*[\"']?\s*([^\s\"'/;>]+)", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,256}?encoding\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_LOOKED_AT = 1 << 12
"""Bytes in which a page may declare its characters; the standard says 1,024, pages do not keep to it."""
_DETECTED_IN = 1 << 17
_LONGEST_HEADER = 1_000
_CODECS = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "windows-1252": "cp1252",
    "windows-31j": "cp932",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "iso-8859-8-i": "iso-8859-8",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "utf-16": "utf-16-le",
    "unicode": "utf-16-le",
    "x-mac-cyrillic": "mac-cyrillic",
    "macintosh": "mac-roman",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "utf8": "utf-8",
}
"""Label -> Python's codec, where that is not what Python takes the label for."""


_OF_THE_WEB = re.compile(
    r"utf-8|utf-(?:16|32)-[lb]e|cp(?:866|874|932|949|125\d)|iso8859-\d+|koi8-[ru]|mac-(?:roman|cyrillic)"
    r"|gb18030|big5hkscs|euc_jp|iso2022_jp"
)
"""Python's codecs for characters of pages: it has others, such as `zlib` and `undefined`."""


class Decoded(NamedTuple):
    """A page's text, by which of Python's codecs, and who said so: "mark", "header", "meta", "content"."""

    text: str
    encoding: str
    by: str


def decode(data: bytes, content_type: str = "") -> Decoded:
    """Return the text of a page. content_type: the value of that header of HTTP. Never fails: what cannot be decoded
    becomes U+FFFD."""
    for mark, codec in (*_MARKS_32, *_MARKS):
        if data.startswith(mark):
            return Decoded(data[len(mark) :].decode(codec, "replace"), codec, "mark")
    if (wide := _wide(data)) is not None:
        return Decoded(data.decode(wide, "replace"), wide, "content")
    if data.isascii() and not _ESCAPE.search(data):
        return Decoded(data.decode("ascii"), "ascii", "content")
    labels = ((_of_header(content_type), "header"), (_of_meta(data), "meta"))
    declared = next(((codec, by) for codec, by in labels if codec), None)
    utf_8 = _strict(data, "utf-8")
    if utf_8 is not None and (declared is None or declared[0] not in _BY_ESCAPES):
        return Decoded(utf_8, "utf-8", declared[1] if declared and declared[0] == "utf-8" else "content")
    if declared is not None:
        text = _text(data, declared[0])
        if declared[0] != "utf-8" or _is_mostly_right(text, data):
            return Decoded(text, declared[0], declared[1])
    else:
        text = data.decode("utf-8", "replace")
        if _is_mostly_right(text, data):
            return Decoded(text, "utf-8", "content")
    codec = _detected(data)
    return Decoded(_text(data, codec), codec, "content")


_ESCAPE = re.compile(rb"\x1b[$(]")
_BY_ESCAPES = ("iso2022_jp", "iso-2022-jp", "hz")


def _text(data: bytes, codec: str) -> str:
    text = data.decode(codec, "replace")
    if codec == "cp1252" and "\ufffd" in text:  # five bytes that the standard takes for controls, and Python for none
        return data.decode("latin-1").translate(_WINDOWS)
    return text


_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}


def _strict(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":  # cut inside a character
            return data[: error.start].decode(codec)
        return None


def _is_mostly_right(text: str, data: bytes) -> bool:
    """Return whether what could not be decoded is next to nothing, or a fifth of what is beyond ASCII."""
    wrong = text.count("\ufffd")
    return wrong * _TOLERATED <= len(data) or wrong * 5 <= len(_BEYOND.findall(text))


_TOLERATED = 5_000
"""Bytes of a page for each that cannot be decoded."""
_BEYOND = re.compile("[^\x00-\x7f]")


def _wide(data: bytes) -> str | None:
    """Return the codec of UTF-16 or UTF-32 without a mark, by where the zeros of its "<" lie; None for others."""
    head = data[:400].lstrip(b"\r\n\t ")
    for pattern, codec in _ZEROS:
        if pattern.match(head):
            return codec
    return None


_ZEROS = (
    (re.compile(rb"(?:[\x01-\x7f]\0\0\0){4}"), "utf-32-le"),
    (re.compile(rb"(?:\0\0\0[\x01-\x7f]){4}"), "utf-32-be"),
    (re.compile(rb"(?:[\x01-\x7f]\0){8}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\x01-\x7f]){8}"), "utf-16-be"),
)


def _of_header(content_type: str) -> str | None:
    label = _LABEL.search(content_type[:_LONGEST_HEADER])
    return _codec(label[1]) if label else None


def _of_meta(data: bytes) -> str | None:
    head = data[:_LOOKED_AT]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    label = _META.search(head) or _XML.search(head)
    codec = _codec(label[1].decode("ascii", "replace")) if label else None
    # What says so in letters of one byte is not of two: the standard takes UTF-8 then.
    return "utf-8" if codec is not None and codec.startswith("utf-16") else codec


def _codec(label: str) -> str | None:
    """Return Python's codec for a label of the web; None for one that nobody knows."""
    label = label.strip().lower()
    if label in _CODECS:
        return _CODECS[label]
    try:
        name = codecs.lookup(map_encoding_to_html5(label, fallback_utf8=False) or label).name
    except (LookupError, ValueError):
        return None
    name = _CODECS.get(name, name)
    return name if _OF_THE_WEB.fullmatch(name) else None


def _detected(data: bytes) -> str:
    """Return the codec that the bytes look like most; windows-1252 where nothing does."""
    name = detect_encoding(data, max_len=_DETECTED_IN, html5_compatible=False)
    codec = _codec(name) if name else None
    if codec in (None, "ascii", "utf-8"):
        return _of_east_asia(data[:_DETECTED_IN]) or "cp1252"
    return str(codec)


_BORDER = re.compile(rb"[<>\n]")
_COMMON = re.compile("[\u3041-\u30ff\uac00-\ud7a3]")
"""Kana and Hangul syllables, of which Japanese and Korean are full, and what is decoded wrongly is not."""
_CODECS_OF_COMMON = ("cp932", "euc_jp", "cp949")


def _of_east_asia(data: bytes) -> str | None:
    """Return the codec of Japanese or Korean by which lines decode to what these languages write; None for others.

    For pages of few such letters among much ASCII, of which the detector says nothing.
    """
    sample = b"\n".join(part for part in _BORDER.split(data) if not part.isascii())
    best, most = None, 0.3
    for codec in _CODECS_OF_COMMON:
        text = _strict(sample, codec)
        beyond = len(_BEYOND.findall(text)) if text else 0
        if text and beyond and (share := len(_COMMON.findall(text)) / beyond) > most:
            best, most = codec, share
    return best
