"""Addresses of people in texts: e-mail, public IP addresses, telephone numbers; counted, or replaced by nobody's.

The replacements are reserved for documentation (RFC 2606, 5737, 3849) or for fiction (555-01xx), so that a text reads
as before. All goes by form: a telephone number is what is written as one, with a country code or as in North America.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

EMAIL, IP, PHONE = "email", "ip", "phone"
KINDS = (EMAIL, IP, PHONE)

_REPLACEMENT = {EMAIL: "email@example.com", PHONE: "+1-202-555-0100"}
_LONGEST_NAME, _LONGEST_HOST = 64, 253
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}\b")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])", re.ASCII)
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+[1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d{2,5}){2,5}"
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4})(?![\w-]|\.\d)",
    re.ASCII,
)
_DIGITS = range(8, 16)
"""Of a telephone number with its country code (ITU E.164: 15 at most)."""
# What a text must hold to be looked at: in Arrow's own expressions, which take a hundredth of the time.
_HINT = r"@|\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f]{0,4}:|\+\d|\d{3}\)? ?[.-]?\d{3}[.-]\d{4}"

Found = tuple[int, int, str]
"""Where it begins and ends in the text, and what stands in its place."""


def personal_data(texts: pa.Array, replace: bool) -> tuple[pa.Array, Counter[str], int]:
    """Return an array of strings with what was found replaced, if so; how many of each kind; in how many texts.

    What stands there in place of an address already is none.
    """
    counts: Counter[str] = Counter()
    found: dict[int, str] = {}
    rows = pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(texts, _HINT), False)).to_pylist()
    for row in rows:
        text = texts[row].as_py()
        changed = text
        for kind, find in _FINDERS:
            places = [each for each in find(changed) if changed[each[0] : each[1]] != each[2]]
            counts[kind] += len(places)
            changed = _replaced(changed, places)
        if changed != text:
            found[row] = changed
    if not (replace and found):
        return texts, counts, len(found)
    values = texts.to_pylist()
    for row, text in found.items():
        values[row] = text
    return pa.array(values, texts.type), counts, len(found)


def _replaced(text: str, places: list[Found]) -> str:
    parts, end = [], 0
    for start, after, instead in places:
        parts += [text[end:start], instead]
        end = after
    return "".join([*parts, text[end:]])


def _emails(text: str) -> Iterator[Found]:
    """Yield the e-mail addresses, looked for around each "@": a run of letters without one costs nothing."""
    end, at = 0, text.find("@")
    while at >= 0:
        first = max(end, at - _LONGEST_NAME)
        host = _HOST.match(text, at + 1, at + 1 + _LONGEST_HOST)
        name = _name_before(text, first, at) if host else None
        if host and name is not None:
            yield name, host.end(), _REPLACEMENT[EMAIL]
            end = host.end()
        at = text.find("@", max(at + 1, end))


_OF_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]")


def _name_before(text: str, first: int, at: int) -> int | None:
    """Return where the name before an "@" begins: with a letter or digit, without a dot at its end."""
    start = at
    while start > first and _OF_NAME.match(text, start - 1):
        start -= 1
    while start < at and not text[start].isalnum():
        start += 1
    return start if start < at and _NAME.match(text[start:at]) else None


def _addresses(pattern: re.Pattern[str], instead: str) -> Callable[[str], Iterator[Found]]:
    def find(text: str) -> Iterator[Found]:
        for match in pattern.finditer(text):
            try:
                is_public = ipaddress.ip_address(match[0]).is_global
            except ValueError:
                continue
            if is_public:
                yield match.start(), match.end(), instead

    return find


def _phones(text: str) -> Iterator[Found]:
    for match in _PHONE.finditer(text):
        if sum(char.isdigit() for char in match[0]) in _DIGITS or not match[0].startswith("+"):
            yield match.start(), match.end(), _REPLACEMENT[PHONE]


_FINDERS = (
    (EMAIL, _emails),
    (IP, _addresses(_IPV4, "192.0.2.1")),
    (IP, _addresses(_IPV6, "2001:db8::1")),
    (PHONE, _phones),
)
