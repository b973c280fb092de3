"""What both passes over JSON Lines share: their settings, and a line judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sparkprep.documents.jsonl.lines import Split, parse, read_lines
from sparkprep.documents.jsonl.max_bad import DEFAULT, MaxBad, parse_max_bad


@dataclass(frozen=True)
class JsonlSettings:
    """How JSON Lines are read.

    Sizes in bytes: `split_bytes` of a plain file for each task, `line_limit` for the longest line, `batch_bytes` of
    JSON for each Arrow batch handed to Spark (a longer line makes a batch of its own).
    """

    text_column: str = "text"
    max_bad: MaxBad = field(default_factory=lambda: parse_max_bad(DEFAULT))
    split_bytes: int = 32 << 20
    line_limit: int = 256 << 20
    batch_bytes: int = 4 << 20


def judge(split: Split, line: bytes, length: int, settings: JsonlSettings) -> tuple[dict[str, Any] | None, str]:
    """Return (record, "") for a document, (None, reason) for a bad line, (None, "") for a blank one."""
    if length <= settings.line_limit and not line.strip():
        return None, ""
    record, why = parse(line, length, settings.text_column, settings.line_limit)
    if record is not None:
        for column, value in split.folder_values.items():
            record.setdefault(column, value)
    return record, why


def records_of(split: Split, settings: JsonlSettings) -> Iterator[tuple[dict[str, Any] | None, str, int]]:
    """Yield (record, reason, bytes) for each line, as `judge` has it; the line itself is let go as early as can be."""
    for line, length in read_lines(split, settings.line_limit):
        yield *judge(split, line, length, settings), length
