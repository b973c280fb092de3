"""Text of unknown origin (names, keys, documents, what other programs say) as a terminal or a log may be given it."""

from __future__ import annotations

import re

_CONTROL_CHARACTERS = "\x00-\x1f\x7f-\x9f"  # they move the cursor, ring, change colours
_CONTROL = re.compile(f"[{_CONTROL_CHARACTERS}]")
# Beside them what hides or turns round text, and halves of characters.
_UNSAFE = re.compile(f"[{_CONTROL_CHARACTERS}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe_text(text: str, keep: str = "") -> str:
    r"""Return text of unknown origin as a terminal may be given it.

    Control characters and those that turn round the direction of writing become their escapes (\n, \x1b, \u202e), but
    for the characters in `keep`: "\n\t" for texts of several lines, none for what must stay on one.
    """
    return _escaped(_UNSAFE, text, keep)


def control_escaped(text: str, keep: str = "") -> str:
    r"""Return a text with escapes (\x1b) for its control characters but those in `keep`; its direction is its own."""
    return _escaped(_CONTROL, text, keep)


def without_control(text: str, keep: str = "") -> str:
    """Return a text without its control characters but for those in `keep`; its direction of writing is its own."""
    return _CONTROL.sub(lambda match: match.group() if match.group() in keep else "", text)


def _escaped(characters: re.Pattern[str], text: str, keep: str) -> str:
    def escape(match: re.Match[str]) -> str:
        character = match.group()
        return character if character in keep else character.encode("unicode_escape").decode("ascii")

    return characters.sub(escape, text)
