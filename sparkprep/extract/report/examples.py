"""Records that the report shows, the same for any number of workers. No Spark."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from sparkprep.extract.outcomes import DAMAGED, NO_PAGE, Outcome

TEXT_LIMIT = 4_000
"""Characters that are shown of a text."""
_DOCUMENTS = {"drawn": 10, "shortest": 5, "unreadable": 5, "least": 5}
_OF_REASON = 5
_LONGEST_URL, _LONGEST_KIND = 500, 80
_LITTLE_HTML = 5_000
"""Bytes of a page below which it is no wonder that it has little text."""
ARCHIVES = 400
"""Of a run over more archives, the examples come from about so many: what tasks tell must fit on the driver."""

Rank = tuple[int, int]


class Ranked(NamedTuple):
    """A row to show. rank: that of the smallest are shown."""

    rank: Rank
    row: dict[str, Any]


@dataclass
class Examples:
    """Documents to show by why they are: "drawn" at random, "shortest", with characters that are "unreadable", with the
    "least" text for their HTML. reasons: records without a document, by reason."""

    documents: dict[str, list[Ranked]] = field(default_factory=dict)
    reasons: dict[str, list[Ranked]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Look at what a record has given."""
        if outcome.document is not None:
            self._add_document(outcome.document)
        elif outcome.reason not in (NO_PAGE, DAMAGED):
            row = {"url": outcome.url[:_LONGEST_URL], "kind": outcome.kind[:_LONGEST_KIND]}
            _put(self.reasons, outcome.reason, Ranked((_draw(outcome.url), 0), row), _OF_REASON)

    def _add_document(self, document: dict[str, Any]) -> None:
        text, size = document["text"], document["payload_bytes"]
        draw = _draw(f"{document['url']} {document['offset']}")
        ranks: dict[str, Rank] = {"drawn": (draw, 0), "shortest": (len(text), draw)}
        if (unread := text.count("\ufffd")) > 0:
            ranks["unreadable"] = (-unread, draw)
        if size >= _LITTLE_HTML:
            ranks["least"] = (len(text) * 1_000_000 // size, draw)
        for why, rank in ranks.items():
            if _has_room(self.documents.get(why), rank, _DOCUMENTS[why]):
                _put(self.documents, why, Ranked(rank, _shown(document)), _DOCUMENTS[why])

    def merge(self, other: Examples) -> None:
        """Take what is to be shown of both."""
        for why, documents in other.documents.items():
            for each in documents:
                _put(self.documents, why, each, _DOCUMENTS[why])
        for reason, records in other.reasons.items():
            for each in records:
                _put(self.reasons, reason, each, _OF_REASON)

    def rows(self) -> dict[str, Any]:
        """Return what the page is made from: rows under "documents" and "reasons", by why they are there."""
        return {
            "documents": {why: [each.row for each in chosen] for why, chosen in self.documents.items()},
            "reasons": {reason: [each.row for each in chosen] for reason, chosen in self.reasons.items()},
        }


def _has_room(chosen: list[Ranked] | None, rank: Rank, most: int) -> bool:
    return not chosen or len(chosen) < most or rank < chosen[-1].rank


def _put(chosen: dict[str, list[Ranked]], why: str, ranked: Ranked, most: int) -> None:
    """Keep a row if it is among the first so many by rank."""
    rows = [*chosen.get(why, []), ranked]
    chosen[why] = heapq.nsmallest(most, rows, key=lambda each: each.rank)


def _shown(document: Mapping[str, Any]) -> dict[str, Any]:
    text = document["text"]
    return {
        **{name: document[name] for name in ("title", "language", "archive", "offset", "payload_bytes")},
        "url": document["url"][:_LONGEST_URL],
        "characters": len(text),
        "text": text[:TEXT_LIMIT],
    }


def _draw(text: str) -> int:
    """Return a number that says nothing of the record, and is the same in every run."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
