"""What faces print in the same way: the summary of a job that has ended, its first warnings, and a document."""

from __future__ import annotations

from collections.abc import Sequence

from sparkprep.console import safe_text, say_line

_SHOWN = 5
_WIDTH = 15
_BEGINNING, _AROUND = 300, 150
"""Characters that are shown of a text, and on either side of a passage in it."""


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print a summary, one value on a line."""
    width = max(_WIDTH, *(len(name) for name, _ in rows))
    for name, value in rows:
        say_line(f"  {name:<{width}} {value}")


def print_warnings(warnings: Sequence[str], file: str) -> None:
    """Print the first warnings of a run, below its summary. file: where all of them are."""
    for warning in warnings[:_SHOWN]:
        say_line(f"  warning: {warning}")
    if len(warnings) > _SHOWN:
        say_line(f"  and {len(warnings) - _SHOWN} more warnings in {file}")


def document_line(word: str, name: object, source: object, characters: int) -> str:
    """Return the line that names a document: what became of it, its identifier, its source, its length."""
    place = f"  {safe_text(str(source))}" if source is not None else ""
    shown = "null" if name is None else safe_text(str(name))
    return f"  {word:<10} {shown}{place}  ({characters:,} characters)"


def text_lines(text: str | None, whole: bool) -> list[str]:
    """Return the lines that show the beginning of a text, or all of it."""
    if whole:
        return ["", safe_text(text or "", keep="\n\t")]
    begins = " ".join((text or "")[:_BEGINNING].split())
    more = " …" if len(text or "") > _BEGINNING else ""
    return [f"  {'text':<10} {safe_text(begins)}{more}"]


def lines_around(text: str, start: int, end: int, whole: bool) -> list[str]:
    """Return the lines that show text[start:end] between »« with what stands around it, or all of the text.

    start, end: in code points. Of a longer passage its beginning and its end are shown.
    """
    if whole:
        return text_lines(text, whole)
    before, here, behind = text[max(0, start - _AROUND) : start], text[start:end], text[end : end + _AROUND]
    if len(here) > 2 * _BEGINNING:
        here = f"{here[:_BEGINNING]} … {here[-_BEGINNING:]}"
    shown = "".join(
        [
            "… " if start > _AROUND else "",
            safe_text(" ".join(f"{before}»{here}«{behind}".split())),
            " …" if end + _AROUND < len(text) else "",
        ]
    )
    return [f"  {'text':<10} {shown}"]
