"""Characters that are not seen: which of them a text keeps, which become blanks, and which go.

The rule. What a reader does not see and no script needs is removed, so that it cuts no word: soft hyphens, zero-width
spaces, word joiners and byte order marks, marks of direction, controls, invisible operators of mathematics, tags that
spell hidden words, characters that Unicode reserves as none. Controls that are white space become a blank, and ends of
lines and paragraphs an end of a line. What some writing needs stays where that writing is next to it:

- zero-width joiner and non-joiner beside a letter or mark of a script that joins letters or builds clusters (Arabic,
  Persian and Syriac, the scripts of India and Tibet, Khmer, Mongolian and others), the joiner between two signs of an
  emoji too;
- the zero-width space between letters of scripts that write no blanks between words (Thai, Lao, Khmer, Myanmar and
  others), where it is the border of words;
- tags in the flag of a region, behind U+1F3F4.

Variation selectors, which choose between forms, combining marks, and private characters stay.
"""

from __future__ import annotations

import re

_JOINING = (
    "\u0600-\u061b\u061d-\u08ff\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1700-\u180d\u180f-\u18af\u1900-\u1aff\u1b00-\u1c4f\u1cd0-\u1cff"
    "\ua800-\ua82f\ua840-\ua87f\ua880-\ua9ff\uaa00-\uaadf\uaae0-\uaaff\uabc0-\uabff\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefe"
    "\U00010a00-\U00010a5f\U00010ac0-\U00010aff\U00010d00-\U00010d3f\U00011000-\U000114df\U00011580-\U0001194f"
    "\U000119a0-\U00011fff\U0001e900-\U0001e95f"
)
"""Blocks of scripts whose letters join, or build clusters, so that a joiner or non-joiner changes what is seen."""
_WITHOUT_BLANKS = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\uaa60-\uaadf"
"""Blocks of scripts that write no blanks between words."""
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d"
    "\u3297\u3299\ufe0f\U0001f000-\U0001faff"
)
_KEPT = re.compile(
    f"(?<=[{_JOINING}])[\u200c\u200d]|[\u200c\u200d](?=[{_JOINING}])"
    f"|(?<=[{_EMOJI}])\u200d(?=[{_EMOJI}])"
    f"|(?<=[{_WITHOUT_BLANKS}])\u200b(?=[{_WITHOUT_BLANKS}])"
    "|(?<=[\u1800-\u180d\u180f-\u18af])\u180e"
    "|(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,16}\U000e007f"
)
_LINE_ENDS = "\r\x85\u2028\u2029"
_BLANKS = "\x0b\x0c\x1c-\x1f"
_REMOVED = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
)
_TAGS = "\U000e0000-\U000e007f"
_UNSEEN = re.compile(f"\r\n?|[{_TAGS}]+|[{_LINE_ENDS}{_BLANKS}{_REMOVED}]")
_HAS_UNSEEN = re.compile(f"[{_LINE_ENDS}{_BLANKS}{_REMOVED}{_TAGS}]")
_UNSEEN_OF_ASCII = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_INSTEAD = {**dict.fromkeys(("\r\n", *_LINE_ENDS), "\n"), **dict.fromkeys("\x0b\x0c\x1c\x1d\x1e\x1f", " ")}


def visible(text: str) -> str:
    """Return a text without the characters that nobody sees, but those that its writing needs.

    >>> visible("co\u00adop\u200bera\ufefftion"), visible("می\u200cخواهم") == "می\u200cخواهم"
    ('cooperation', True)
    """
    if text.isascii():
        if not _UNSEEN_OF_ASCII.search(text):
            return text
    elif text.replace("\n", "").replace("\t", "").isprintable() or not _HAS_UNSEEN.search(text):
        return text  # the first is the faster to ask
    return _UNSEEN.sub(_instead, text)


def _instead(found: re.Match[str]) -> str:
    if found[0] in _INSTEAD:
        return _INSTEAD[found[0]]
    kept = _KEPT.match(found.string, found.start())
    return kept[0] if kept else ""
