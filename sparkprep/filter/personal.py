"""Addresses of people in texts: e-mail, public IP addresses, telephone numbers; counted, or replaced by nobody's.

The replacements are reserved for documentation (RFC 2606, 5737, 3849) or for fiction (555-01xx), so that a text reads
as before. All goes by form: a telephone number is what is written as one, with a country code or as in North America;
an IP address is one that `ipaddress` takes for global, as in FineWeb, a version of four numbers included.
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
_SCRIPTS = (
    "A-Za-zªºÀ-ÖØ-öø-ɏḀ-ỿ",
    "Ͱ-ͽͿΆΈ-Ͽἀ-ῼ",
    "Ѐ-ԯ",
    "Ա-Ֆա-և",
    "א-ת",
    "ؠ-ٟٮ-ۓەۺ-ۿݐ-ݿ",
    "ऀ-ॣॱ-෿",
    "ა-ჺ",
)
"""The letters of scripts that write blanks between words, so that it can be told where a name begins or ends."""
_MARKS = "\u0300-\u036f"
"""Accents behind the letters of any of them."""
_LETTERS = "".join((*_SCRIPTS, _MARKS))
_OF_NAME = re.compile(rf"[0-9!#$%&'*+/=?^_`{{|}}~.{_LETTERS}-]")
_IN_NAME = re.compile(rf"[0-9{_LETTERS}]")
_NAME = re.compile(rf"[0-9!#$%&'*+/=?^_`{{|}}~{_LETTERS}-]+(?:\.{{1,2}}[0-9!#$%&'*+/=?^_`{{|}}~{_LETTERS}-]+)*+\Z")
_SCRIPT = re.compile("|".join(f"([{letters}])" for letters in _SCRIPTS))
_MARK = re.compile(f"[{_MARKS}]")
_LABEL = rf"[0-9{_LETTERS}](?:[0-9{_LETTERS}-]{{0,61}}[0-9{_LETTERS}])?"
_TOP = "|".join(f"[{letters}{_MARKS}]{{2,63}}+" for letters in _SCRIPTS)
_HOST = re.compile(rf"(?:{_LABEL}\.)+({_TOP})(?![0-9_])")
_OF_FILES = re.compile(
    r"png|jpe?g|gif|svg|webp|avif|bmp|ico|tiff?|pdf|s?css|less|m?js|jsx|tsx?|json|xml|ya?ml|html?|php|aspx?|jsp|txt|csv"
    r"|t?gz|tar|mp[34]|webm|woff|ttf",
    re.IGNORECASE,
)
"""Endings of files that end no host: `logo@2x.png`, `jquery@3.js`."""
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\w)", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])", re.ASCII)
"""Of what is given to networks (2000::/3), which also begins with a digit, as no name of a program does."""
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+[1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d{2,5}){2,5}"
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4})(?![\w+-]|\.\d)",
    re.ASCII,
)
_COUNTRY = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|(?:2[1-689]|3[578]|42|5[09]|6[789]|8[0578]|9[679])\d"
)
"""Codes of countries (ITU E.164), of which none is the beginning of another."""
_OF_NORTH_AMERICA = re.compile(r"\+1[ .(-]*[2-9](?:[ .()-]*\d){2}[ .()-]*[2-9](?:[ .-]*\d){6}(?!\d)")
_OF_RUSSIA = re.compile(r"\+7[ .(-]*[3-9](?:[ .()-]*\d){9}(?!\d)")
_AS_ONE = re.compile(r"\+\d+(?:\.\d+)?")
_FEWEST_AS_ONE = 10
_ROUND = "00000"
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
        host = _HOST.match(text, at + 1, at + 1 + _LONGEST_HOST)
        name = _name_before(text, end, at) if host and not _OF_FILES.fullmatch(host[1]) else None
        if host and name is not None:
            yield name, host.end(), _REPLACEMENT[EMAIL]
            end = host.end()
        at = text.find("@", max(at + 1, end))


def _name_before(text: str, end: int, at: int) -> int | None:
    """Return where the name before an "@" begins, not before `end`: with a letter or digit, as far back as one script
    goes, and behind three dots; None where none can stand there, or only a longer one than there may be."""
    first = max(end, at - _LONGEST_NAME)
    start, script = at, None
    while start > first and _OF_NAME.match(text, start - 1):
        letter = _SCRIPT.match(text, start - 1)
        if letter is not None and script not in (None, letter.lastindex):
            break
        if letter is not None or not _MARK.match(text, start - 1):
            script = letter.lastindex if letter is not None else None
        start -= 1
    if start == first > end and _OF_NAME.match(text, start - 1):
        while start < at and _IN_NAME.match(text, start):
            start += 1  # the rest of a word that began before
    start += text[start:at].rfind("...") + 3 if "..." in text[start:at] else 0
    while start < at and not _IN_NAME.match(text, start):
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
        length = _length_of_phone(match[0]) if match[0].startswith("+") else len(match[0])
        if length:
            yield match.start(), match.start() + length, _REPLACEMENT[PHONE]


def _length_of_phone(written: str) -> int:
    """Return how much of what begins with "+" is a number with its country code; 0 for a quantity with its sign.

    North America's and Russia's have 11 digits; what follows on them is something else.
    """
    country = _COUNTRY.match(written, 1)
    if country is None:
        return 0
    for code, pattern in (("1", _OF_NORTH_AMERICA), ("7", _OF_RUSSIA)):
        if country[0] == code:
            number = pattern.match(written)
            return number.end() if number else 0
    digits = "".join(filter(str.isdigit, written))
    return len(written) if len(digits) in _DIGITS and not _is_quantity(written, digits, country[0]) else 0


def _is_quantity(written: str, digits: str, country: str) -> bool:
    """Return whether what is written as one, or with a decimal point, is short, round, or 0 behind a country's code."""
    if not _AS_ONE.fullmatch(written):
        return False
    is_trunk = digits[len(country)] == "0" and country != "39"  # which Italy alone writes there
    return len(digits) < _FEWEST_AS_ONE or is_trunk or digits.endswith(_ROUND)


_FINDERS = (
    (EMAIL, _emails),
    (IP, _addresses(_IPV4, "192.0.2.1")),
    (IP, _addresses(_IPV6, "2001:db8::1")),
    (PHONE, _phones),
)
