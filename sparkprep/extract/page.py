"""What is made of a page, and whether it can be: known without loading what makes it."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from sparkprep.errors import UserError


class Page(NamedTuple):
    """What a page says. language: as `<html lang>` has it, in lower case with hyphens; "" where it has none. charset:
    by which codec of Python's it was read. code, score: of the language that its text is in (`languages.Language`),
    where that was asked."""

    text: str
    title: str
    language: str
    charset: str = ""
    code: str = ""
    score: float = 0.0


def check_extractor(name: str) -> None:
    """Raise UserError where an extractor's library is not there."""
    if name == "trafilatura":
        try:
            import_module("trafilatura")
        except ImportError:
            raise UserError(
                "the extractor trafilatura is not installed: install that package on every node, or take another"
            ) from None
