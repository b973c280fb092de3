"""The characters of a page: by byte order mark, HTTP header, XML declaration or meta element, or by their content.

Labels mean what the WHATWG's standard says, as pages are written for browsers: `iso-8859-1` is windows-1252, `gb2312`
is GB 18030, `utf-16` without a mark is little-endian; a meta element that says `utf-16` means UTF-8, since it could not
be read otherwise, and one that says `x-user-defined` windows-1252. The rules, the first that says something:

1. A byte order mark, or the zeros that UTF-16 and UTF-32 have in their markup.
2. Bytes that are ASCII with the escapes of ISO-2022-JP are that, others that are UTF-8 to the last are UTF-8, whatever
   is declared.
3. What is declared, and the bytes do not disprove: by the header, then by the page itself. In XHTML, as its type says,
   that is the XML declaration before a meta element, else the meta element before the declaration. Bytes disprove
   UTF-8, or a code of several bytes, where more than next to nothing of them cannot be decoded; and a code of Western
   Europe, which servers name for all that they have, where nearly all letters beyond ASCII stand in rows: there they
   stand alone, among others.
4. Where header and page contradict each other and neither is disproved, the content decides between the two; where it
   speaks for neither, the header, as in browsers.
5. UTF-8 that is damaged in a few places; else what the bytes look like most.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MARKS_32 = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"))
_LABEL = re.compile(r"charset\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|[\"']?\s*([^\s\"';,>]+))", re.IGNORECASE)
_META = re.compile(rb"<meta(?=[\s/])((?:[^>\"']|\"[^\"]*\"|'[^']*')*+)", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"([^\s\"'>/=]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_XML = re.compile(rb"\s*<\?xml[^>]{0,256}?\sencoding\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
_XHTML = re.compile(r"\s*(?:application/(?:xhtml\+xml|xhtml|xml)|text/xml)\b", re.IGNORECASE)
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
    "win-1251": "cp1251",
    "win-1252": "cp1252",
}
"""Label -> Python's codec, where that is not what Python takes the label for."""


_OF_THE_WEB = re.compile(
    r"utf-8|utf-(?:16|32)-[lb]e|cp(?:866|874|932|949|125\d)|iso8859-\d+|koi8-[ru]|mac-(?:roman|cyrillic)"
    r"|gb18030|big5hkscs|euc_jp|iso2022_jp"
)
"""Python's codecs for characters of pages: it has others, such as `zlib` and `undefined`."""


class Decoded(NamedTuple):
    """A page's text, by which of Python's codecs, and who said so: "mark", "header", "meta", "xml", "content"."""

    text: str
    encoding: str
    by: str


def decode(data: bytes, content_type: str = "") -> Decoded:
    """Return the text of a page. content_type: the value of that header of HTTP. Never fails: what cannot be decoded
    becomes U+FFFD."""
    for mark, codec in (*_MARKS_32, *_MARKS):
        if data.startswith(mark):
            return Decoded(data[len(mark) :].decode(codec, "replace"), codec, "mark")
    of_header = _of_header(content_type)
    if (wide := _wide(data, of_header)) is not None:
        return Decoded(data.decode(wide, "replace"), wide, "header" if wide == of_header else "content")
    if data.isascii() and not _ESCAPE.search(data):
        return Decoded(data.decode("ascii"), "ascii", "content")
    declared = _of_page(data, content_type)
    if of_header is not None and not of_header.startswith("utf-16"):  # which has zeros
        declared.insert(0, (of_header, "header"))
    if (japanese := _by_escapes(data)) is not None:
        by = next((by for codec, by in declared if codec == "iso2022_jp"), "content")
        return Decoded(japanese, "iso2022_jp", by)
    utf_8 = _strict(data, "utf-8")
    if utf_8 is not None and not (declared and declared[0][0] in _BY_ESCAPES):
        by = next((by for codec, by in declared[:1] if codec == "utf-8"), "content")
        return Decoded(utf_8, "utf-8", by)
    return _believed(data, declared) or _told_by_content(data, next((codec for codec, _ in declared), ""))


def _believed(data: bytes, declared: list[tuple[str, str]]) -> Decoded | None:
    """Return the text by the declaration that the bytes do not disprove; None where there is none."""
    texts = {codec: Decoded(_text(data, codec), codec, by) for codec, by in reversed(declared)}
    sound = [each for each in reversed(texts.values()) if not _is_disproved(each, data, len(texts) > 1)]
    if len(sound) > 1:
        content = "utf-8" if any(each.encoding == "utf-8" for each in sound) else _detected(data)
        sound.sort(key=lambda each: each.encoding != content)  # of both, or neither, the first stays the first
    return sound[0] if sound else None


def _is_disproved(text: Decoded, data: bytes, has_rival: bool) -> bool:
    """Return whether bytes cannot be what they were decoded as. has_rival: whether they were told as something else."""
    if not _is_mostly_right(text.text, data, 5 if text.encoding == "utf-8" else 100):
        return True
    if text.encoding in _WESTERN and _is_in_rows(data):
        return True
    wrong = text.text.count("\ufffd")
    return has_rival and text.encoding == "utf-8" and 2 * wrong > len(_BEYOND.findall(text.text))


def _told_by_content(data: bytes, fallback: str) -> Decoded:
    """Return the text by what the bytes look like. fallback: where they look like nothing."""
    text = data.decode("utf-8", "replace")
    if _is_mostly_right(text, data):
        return Decoded(text, "utf-8", "content")
    codec = _detected(data, "" if fallback == "utf-8" else fallback)
    return Decoded(_text(data, codec), codec, "content")


_WESTERN = ("cp1252", "iso8859-15", "cp1254")
_ROW = re.compile(rb"[\xa1-\xff]{3,}")
_BEYOND_ASCII = re.compile(rb"[\xa1-\xff]")
_FEWEST_IN_ROWS, _FEWEST_DIFFERENT = 12, 8
"""Letters, and how many of them are different: a row of signs that adorns a page has one or two."""


def _is_in_rows(data: bytes) -> bool:
    """Return whether the bytes beyond ASCII are those of another script: three in four have others on both sides."""
    sample = data[:_DETECTED_IN]
    rows = _ROW.findall(sample)
    in_rows = sum(map(len, rows))
    if in_rows < _FEWEST_IN_ROWS or in_rows * 4 < len(_BEYOND_ASCII.findall(sample)) * 3:
        return False
    return len(set(b"".join(rows))) >= _FEWEST_DIFFERENT


_ESCAPE = re.compile(rb"\x1b[$(]")
_JAPANESE = re.compile(rb"\x1b\$[@B](?:[!-~]{2})+\x1b\([BJ]")


def _by_escapes(data: bytes) -> str | None:
    """Return the text of ISO-2022-JP, by its escapes; None for other bytes. What cannot be decoded is U+FFFD."""
    if not data.isascii() or not _JAPANESE.search(data):
        return None
    text = _strict(data, "iso2022_jp")
    return data.decode("iso2022_jp_ext", "replace") if text is None else text  # which has katakana of half a width


_BY_ESCAPES = ("iso2022_jp", "iso-2022-jp", "hz")


def _text(data: bytes, codec: str) -> str:
    text = data.decode(codec, "replace")
    if codec == "euc_jp" and "\ufffd" in text:
        return data.decode(codec, _WITH_NEC)
    if codec == "cp1252" and "\ufffd" in text:  # five bytes that the standard takes for controls, and Python for none
        return data.decode("latin-1").translate(_WINDOWS)
    return text


def _of_nec(error: UnicodeError) -> tuple[str, int]:
    """Return a character of the rows that NEC and IBM have added (①, ㈱), which EUC-JP of the web has and Python's has
    not, by its place in Shift_JIS."""
    assert isinstance(error, UnicodeDecodeError)
    pair = error.object[error.start : error.start + 2]
    if len(pair) == 2 and min(pair) > 0xA0:
        row, cell = pair[0] - 0xA0, pair[1] - 0xA0
        first = (row - 1) // 2 + (0x81 if row <= 62 else 0xC1)
        second = cell + 0x3F + (cell >= 64) if row % 2 else cell + 0x9E
        try:
            return bytes((first, second)).decode("cp932"), error.start + 2
        except UnicodeDecodeError:
            pass
    return "\ufffd", error.end


_WITH_NEC = "sparkprep-nec"
codecs.register_error(_WITH_NEC, _of_nec)
_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}


def _strict(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if error.end == len(data) and error.reason == "unexpected end of data":  # cut inside a character
            return data[: error.start].decode(codec)
        return None


def _is_mostly_right(text: str, data: bytes, one_in: int = 5) -> bool:
    """Return whether what could not be decoded is next to nothing, or one in so many of what is beyond ASCII.

    What is no UTF-8 seldom looks like it; bytes of one code of East Asia are most often bytes of another.
    """
    wrong = text.count("\ufffd")
    return wrong * _TOLERATED <= len(data) or wrong * one_in <= len(_BEYOND.findall(text))


_TOLERATED = 5_000
"""Bytes of a page for each that cannot be decoded."""
_BEYOND = re.compile("[^\x00-\x7f]")


def _wide(data: bytes, declared: str | None) -> str | None:
    """Return the codec of UTF-16 or UTF-32 without a mark, by where the zeros of its markup lie; None for others.

    declared: by the header. Where that says UTF-16, a few zeros are enough: text of other scripts has none.
    """
    head = data[:400].lstrip(b"\r\n\t ")
    for pattern, codec in _ZEROS:
        if pattern.match(head):
            return codec
    if declared is None or not declared.startswith("utf-16"):
        return None
    little, big = (data[start:_LOOKED_AT:2].count(0) for start in (1, 0))
    if little == big:
        return declared if little else None
    return "utf-16-le" if little > big else "utf-16-be"


_ZEROS = (
    (re.compile(rb"(?:[\x01-\x7f]\0\0\0){4}"), "utf-32-le"),
    (re.compile(rb"(?:\0\0\0[\x01-\x7f]){4}"), "utf-32-be"),
    (re.compile(rb"(?:[\x01-\x7f]\0){8}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\x01-\x7f]){8}"), "utf-16-be"),
)


def _of_header(content_type: str) -> str | None:
    label = _LABEL.search(content_type[:_LONGEST_HEADER])
    codec = _codec("".join(filter(None, label.groups()))) if label else None
    return None if codec == _USER_DEFINED else codec  # of whose characters nothing can be known


def _of_page(data: bytes, content_type: str) -> list[tuple[str, str]]:
    """Return what a page says of itself: a codec, and by what, or nothing. Of meta elements the first with a label that
    is known."""
    head = data[:_LOOKED_AT]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    xml = _XML.match(head)
    metas = (label for each in _META.finditer(head) if (label := _label_of(each[1])))
    by_meta = next(filter(None, map(_codec, metas)), None)
    by_xml = _codec(xml[1].decode("ascii", "replace")) if xml else None
    told = [(by_meta, "meta"), (by_xml, "xml")]
    if _XHTML.match(content_type):
        told.reverse()
    return [(_OF_PAGE.get(codec, codec), by) for codec, by in told if codec][:1]


def _label_of(attributes: bytes) -> str:
    """Return the label that a meta element has; "" where it has none."""
    values: dict[str, str] = {}
    for name, *value in _ATTRIBUTE.findall(attributes):
        values.setdefault(name.decode("ascii", "replace").lower(), b"".join(value).decode("ascii", "replace"))
    if "charset" in values:
        return values["charset"]
    if values.get("http-equiv", "").strip().lower() != "content-type":
        return ""
    label = _LABEL.search(values.get("content", ""))
    return "".join(filter(None, label.groups())) if label else ""


_USER_DEFINED = "x-user-defined"
_OF_PAGE = {"utf-16-le": "utf-8", "utf-16-be": "utf-8", _USER_DEFINED: "cp1252"}
"""What a page means that says so of itself, in letters of one byte."""


def _codec(label: str) -> str | None:
    """Return Python's codec for a label of the web; None for one that nobody knows.

    Quotes and blanks around it count for nothing, those in it for hyphens.
    """
    label = label.strip(" \t\r\n\f\"',;").lower()
    if label == _USER_DEFINED:
        return label
    return _known(label) or _known(_SEPARATORS.sub("-", label))


_SEPARATORS = re.compile(r"[\s_]+")


@lru_cache(maxsize=1_000)
def _known(label: str) -> str | None:
    if label in _CODECS:
        return _CODECS[label]
    try:
        name = codecs.lookup(map_encoding_to_html5(label, fallback_utf8=False) or label).name
    except (LookupError, ValueError):
        return None
    name = _CODECS.get(name, name)
    return name if _OF_THE_WEB.fullmatch(name) else None


def _detected(data: bytes, fallback: str = "") -> str:
    """Return the codec that the bytes look like most; where nothing does, another, by default windows-1252."""
    name = detect_encoding(data, max_len=_DETECTED_IN, html5_compatible=False)
    codec = _codec(name) if name else None
    if codec in (None, "ascii", "utf-8"):
        return _of_east_asia(data[:_DETECTED_IN]) or fallback or "cp1252"
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
