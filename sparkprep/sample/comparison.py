"""An embedded subset that went through a job, held against what went in, word for word."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkprep.console import Shown
from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.paths import filesystem, join_path, normalise
from sparkprep.io.results import HasOutput, place_of
from sparkprep.sample.build import Subset

_DOCUMENTS = "documents"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Difference:
    """A document whose words are others. lost, added: runs of words, as they stand in the text."""

    id: str
    url: str
    lost: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def words(self) -> int:
        """How many words are lost or added."""
        return sum(len(run.split()) for run in (*self.lost, *self.added))


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """What became of the words of a subset. words: of the documents that went in."""

    documents: int
    words: int
    differences: tuple[Difference, ...]

    @property
    def differing(self) -> int:
        """Words that are lost or added."""
        return sum(each.words for each in self.differences)

    @property
    def share(self) -> float:
        """Of the words that went in, how many differ, 0 to 1 and beyond where much was added."""
        return self.differing / max(1, self.words)

    def shown(self) -> list[tuple[str, str]]:
        """Return what is shown of it, with the first documents that differ."""
        unequal = len(self.differences)
        return [
            ("documents", f"{self.documents:,}, {unequal:,} of them with other words"),
            ("words", f"{self.words:,}, {self.differing:,} of them lost or added ({100 * self.share:.4f} %)"),
            *((each.id, _told(each)) for each in self.differences[:5]),
            *([("...", f"and {unequal - 5:,} more (.differences)")] if unequal > 5 else []),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON, every difference with its words."""
        return {
            "documents": self.documents,
            "words": self.words,
            "differing": self.differing,
            "differences": [
                {"id": each.id, "url": each.url, "lost": each.lost, "added": each.added} for each in self.differences
            ],
        }


def compare_words(pages: HasOutput | str | os.PathLike[str], subset: Subset) -> Comparison:
    """Hold the documents that `extract` made of a subset's archives against the subset's own, by their ids.

    A word is a run of letters, digits and underscores; the order counts. A document that is not there has lost all
    its words, one that was not in the subset has added them. pages: what `extract_documents` returns, or its output
    folder. Raises UserError where that cannot be read.

    >>> compare_words(pages, embedded("1k"))                     # doctest: +SKIP
    """
    there = {row["id"]: row for row in _documents(normalise(place_of(pages)))}
    differences, words = [], 0
    rows = pq.read_table(subset.documents).to_pylist()
    for row in rows:
        before = _WORD.findall(row["text"])
        words += len(before)
        found = there.pop(row["id"], None)
        after = _WORD.findall(found["text"]) if found else []
        if before != after:
            differences.append(_difference(row["id"], row["url"], before, after))
    differences += [_difference(row["id"], row["url"], [], _WORD.findall(row["text"])) for row in there.values()]
    return Comparison(len(rows), words, tuple(differences))


def _documents(output: str) -> list[dict[str, str]]:
    """Return id, url and text of all documents in the output folder of `extract`."""
    folder = join_path(output, _DOCUMENTS)
    try:
        system, inner = filesystem(folder)
        table = pq.read_table(inner, filesystem=system, columns=["id", "url", "text"])
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{folder}: no documents can be read ({cause(error)}): name an output of `extract`") from error
    rows: list[dict[str, str]] = table.to_pylist()
    return rows


def _difference(id_: str, url: str, before: list[str], after: list[str]) -> Difference:
    lost, added = [], []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            lost += [" ".join(before[a:b])] * (b > a)
            added += [" ".join(after[c:d])] * (d > c)
    return Difference(id_, url, tuple(lost), tuple(added))


def _told(difference: Difference) -> str:
    """Return a difference in a line, as much as fits: `-` before what is lost, `+` before what is added."""
    return " ".join(_parts(difference))[:200]


def _parts(difference: Difference) -> Iterator[str]:
    yield difference.url
    yield from (f"-[{run}]" for run in difference.lost)
    yield from (f"+[{run}]" for run in difference.added)
