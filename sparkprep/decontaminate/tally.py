"""What tasks tell of the documents that they have searched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SHOWN = 4
"""Documents of each benchmark that are shown: so many that hold most of it, and so many that hold least."""


@dataclass
class Tally:
    """What is told of documents that were searched; of several tasks, by `add`."""

    documents: int = 0
    text_bytes: int = 0
    clean_bytes: int = 0
    null_text: int = 0
    contaminated: int = 0
    by_benchmark: Counter[int] = field(default_factory=Counter)
    """documents that hold something of each"""
    examples: dict[tuple[int, bool], list[dict[str, Any]]] = field(default_factory=dict)
    """by benchmark, and whether they hold most or least of it, in that order"""

    def add(self, other: Tally) -> None:
        """Add what another task tells."""
        for name in ("documents", "text_bytes", "clean_bytes", "null_text", "contaminated"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.by_benchmark.update(other.by_benchmark)
        for place, rows in other.examples.items():
            self.note(place, rows)

    def wants(self, place: tuple[int, bool], ngrams: int, key: int) -> bool:
        """Return whether a document of so many n-grams is one to be shown, by what is known so far."""
        known = self.examples.get(place, [])
        return len(known) < SHOWN or _order(ngrams, key, place[1]) < _order(
            known[-1]["ngrams"], known[-1]["key"], place[1]
        )

    def note(self, place: tuple[int, bool], rows: list[dict[str, Any]]) -> None:
        """Keep the foremost of documents, with those that are known; of documents that hold as much, the first."""
        together = [*self.examples.get(place, []), *rows]
        together.sort(key=lambda row: _order(row["ngrams"], row["key"], place[1]))
        self.examples[place] = together[:SHOWN]


def _order(ngrams: int, key: int, most: bool) -> tuple[int, int]:
    return (-ngrams if most else ngrams), key
