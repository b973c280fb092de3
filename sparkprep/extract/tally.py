"""What is counted of an archive's records: small, and added up over archives. No Spark."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from sparkprep.extract.outcomes import NO_PAGE, OTHER_LANGUAGE, REASONS, Outcome
from sparkprep.extract.site_blocks import host_of
from sparkprep.pages.drawing import LENGTH_STEPS

YIELD_STEPS = tuple(round(number / 50, 2) for number in range(1, 50))
"""Characters of text for a byte of HTML: the lower bounds of the bins but the first, which begins at 0."""
KINDS = 10
"""Of a reason, that are named; the others are counted together."""
HOSTS = 50
"""That are named: as many of the most records, and of the most records without a document."""
OTHERS = "(others)"
_MOST_HOSTS = 100_000
"""That are counted one by one at the same time."""
_MOST_VALUES = 10_000
_LONGEST = 80


_NO_REASONS = (0,) * len(REASONS)
_ONE_OF = {"": _NO_REASONS} | {reason: tuple(int(each == reason) for each in REASONS) for reason in REASONS}


class Host(NamedTuple):
    """What came of a host: records but for those that are no pages, documents, characters of their texts.

    reasons: records without a document by each of REASONS, which all hosts without one share.
    """

    records: int
    documents: int
    characters: int
    reasons: tuple[int, ...] = _NO_REASONS

    @property
    def lost(self) -> int:
        return self.records - self.documents

    def plus(self, other: Host) -> Host:
        """Return the sum of both."""
        reasons = self.reasons
        if other.reasons is not _NO_REASONS:
            reasons = tuple(a + b for a, b in zip(reasons, other.reasons, strict=True))
        return Host(
            self.records + other.records,
            self.documents + other.documents,
            self.characters + other.characters,
            reasons,
        )


@dataclass
class Tally:
    """What came of records.

    reasons: with "" for documents. kinds: of (reason, kind). languages: of documents; other_languages: of texts
    that are in another than is asked for. lengths, yields: by a bin's number. unreadable: documents with characters
    that could not be read, which stand in them as U+FFFD.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    other_languages: Counter[str] = field(default_factory=Counter)
    charsets: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    yields: Counter[int] = field(default_factory=Counter)
    hosts: dict[str, Host] = field(default_factory=dict)
    has_all_hosts: bool = True
    payload_bytes: int = 0
    characters: int = 0
    lost_bytes: int = 0
    unreadable: int = 0

    @property
    def records(self) -> int:
        return self.reasons.total()

    @property
    def documents(self) -> int:
        return self.reasons[""]

    def add(self, outcome: Outcome) -> None:
        """Count what a record has given."""
        self.reasons[outcome.reason] += 1
        characters = 0
        if outcome.document is not None:
            characters = self._add_document(outcome.document, outcome.charset)
        elif outcome.kind:
            _count(self.kinds, (outcome.reason, outcome.kind[:_LONGEST]), (outcome.reason, OTHERS))
        if outcome.document is not None and outcome.language:
            self.languages[outcome.language] += 1
        elif outcome.reason == OTHER_LANGUAGE:
            self.other_languages[outcome.language] += 1
        if outcome.rejected is not None:
            self.lost_bytes += int(str(outcome.rejected["bytes"]))
        if outcome.reason != NO_PAGE and (host := host_of(outcome.url)[:_LONGEST]):
            self._add_host(host, Host(1, int(outcome.document is not None), characters, _ONE_OF[outcome.reason]))

    def _add_document(self, document: dict[str, Any], charset: str) -> int:
        text, size = document["text"], document["payload_bytes"]
        self.charsets[charset] += 1
        self.lengths[bisect_right(LENGTH_STEPS, len(text))] += 1
        self.yields[bisect_right(YIELD_STEPS, len(text) / max(1, size))] += 1
        self.characters += len(text)
        self.payload_bytes += size
        self.unreadable += "\ufffd" in text
        return len(text)

    def _add_host(self, host: str, counted: Host) -> None:
        if (before := self.hosts.get(host)) is not None:
            counted = before.plus(counted)
        elif len(self.hosts) >= _MOST_HOSTS:
            self.forget_hosts(_MOST_HOSTS // 2)
        self.hosts[host] = counted

    def forget_hosts(self, most: int) -> None:
        """Forget all but so many hosts: half of them those of the most records, half those that have lost the most."""
        if len(self.hosts) > most:
            chosen = [*self._most("records", most // 2), *self._most("lost", most - most // 2)]
            self.hosts, self.has_all_hosts = dict(chosen), False

    def _most(self, what: str, number: int) -> list[tuple[str, Host]]:
        return sorted(self.hosts.items(), key=lambda item: (-getattr(item[1], what), item[0]))[:number]

    def merge(self, other: Tally) -> None:
        """Add what was counted of other records."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, int) and not isinstance(mine, bool):
                setattr(self, each.name, mine + theirs)
        self.has_all_hosts &= other.has_all_hosts
        for host, counted in other.hosts.items():
            self._add_host(host, counted)

    def figures(self) -> dict[str, Any]:
        """Return what metrics.json tells of it."""
        return {
            "kinds": {
                reason: _largest(Counter({kind: n for (of, kind), n in self.kinds.items() if of == reason}), KINDS)
                for reason in REASONS
                if any(of == reason for of, _ in self.kinds)
            },
            "lost_bytes": self.lost_bytes,
            "languages": _ordered(self.languages),
            "other_languages": _ordered(self.other_languages),
            "charsets": _ordered(self.charsets),
            "unreadable": self.unreadable,
            "payload_bytes": self.payload_bytes,
            "characters": self.characters,
            "lengths": {"edges": [0, *LENGTH_STEPS], "counts": _binned(self.lengths, LENGTH_STEPS)},
            "yields": {"edges": [0, *YIELD_STEPS], "counts": _binned(self.yields, YIELD_STEPS)},
            "hosts": {
                "number": len(self.hosts),
                "all": self.has_all_hosts,
                "largest": [_row(*item) for item in self._most("records", HOSTS)],
                "losing": [_row(*item) for item in self._most("lost", HOSTS) if item[1].lost],
            },
        }


def _count(counter: Counter[Any], value: Any, other: Any) -> None:
    """Count a value that anyone may have written, and so be another one each time."""
    counter[value if value in counter or len(counter) < _MOST_VALUES else other] += 1


def _ordered(counter: Counter[str]) -> dict[str, int]:
    """Return what was counted, the most first."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _largest(counter: Counter[str], number: int) -> dict[str, int]:
    """Return the values that were counted most often, and the sum of the others."""
    ordered = sorted(counter.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0]))
    rest = sum(count for _, count in ordered[number:])
    return dict(ordered[:number]) | ({OTHERS: rest + dict(ordered[:number]).get(OTHERS, 0)} if rest else {})


def _binned(counter: Counter[int], steps: tuple[float, ...]) -> list[int]:
    return [counter[number] for number in range(len(steps) + 1)]


def _row(host: str, counted: Host) -> dict[str, Any]:
    reasons = Counter({reason: number for reason, number in zip(REASONS, counted.reasons, strict=True) if number})
    return {"host": host, **counted._asdict(), "reasons": _ordered(reasons)}
