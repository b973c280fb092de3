"""What a run of extraction tells in words: what reasons mean, warnings by kind, the languages that it left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sparkprep.extract.archives import Archives, names_repeated, tell_unread
from sparkprep.extract.contents import REJECTED
from sparkprep.extract.outcomes import CRASHED, TOO_SLOW
from sparkprep.io.left_out import tell_left_out
from sparkprep.units import counted

_SHOWN = 5
ABOUT = {
    "not HTTP": "answers of other protocols, such as DNS",
    "not status 200": "redirects, and pages that were not there",
    "not HTML": "by what the server says of the answer, or by its first bytes",
    "empty": "answers without a body",
    "no text": "pages on which no text was found: frames, scripts, images",
    "other language": "texts in another language than language asks for, or not surely in it",
    "site boilerplate": "pages on which nothing was left when what recurs on their site was removed",
    "too large": "more bytes than max_bytes, packed or not",
    "truncated": "cut short; keep_truncated takes them all the same",
    "too slow": "took longer than max_seconds",
    "crashed": "ended the process that parses pages",
    "damaged": "bytes that are no record, or one that cannot be unpacked",
}
"""What a reason means, where its name may leave that open."""


class Warned(NamedTuple):
    """A warning. kind: the same for all runs; number: of the things that it is about."""

    kind: str
    number: int
    text: str


def warnings_of(
    archives: Archives, unread: Mapping[str, str], damaged: Sequence[str], reasons: Mapping[str, int], forgotten: int
) -> list[Warned]:
    """Return what a user should know of.

    unread: what is wrong with each archive without one record, by its path. damaged: paths of others. reasons: records
    by why they gave no document. forgotten: blocks of site boilerplate that were not counted to the end.
    """
    files: dict[str, list[Any]] = {}
    for each in archives.left_out:
        if each.is_data:
            files.setdefault(each.reason, []).append(each)
    found = [Warned(f"files {reason}", len(some), *tell_left_out(some)) for reason, some in files.items()]
    if unread:
        found.append(Warned("unread archives", len(unread), tell_unread(unread, len(archives.files))))
    if damaged:
        archive = "archive" if len(damaged) == 1 else "archives"
        read = f"read but for the places that {REJECTED}/ names"
        text = f"{len(damaged):,} damaged {archive}, {read}: {_some(damaged)}"
        found.append(Warned("damaged archives", len(damaged), text))
    for reason in (TOO_SLOW, CRASHED):
        if number := reasons.get(reason, 0):
            text = f"{counted(number, 'page')} given up ({reason}), which {REJECTED}/ names"
            found.append(Warned(f"pages {reason}", number, text))
    if repeated := names_repeated(archives.files):
        text = f"archives of one name in several folders, read as different ones: {_some(repeated)}"
        found.append(Warned("repeated names of archives", len(repeated), text))
    if forgotten:
        text = f"{counted(forgotten, 'block')} not counted to the end, since there were too many to tell all that recur"
        found.append(Warned("blocks not counted", forgotten, text))
    return found


def by_kind(warnings: Sequence[Warned]) -> dict[str, int]:
    """Return how many things there were warnings of, by kind."""
    counts: Counter[str] = Counter()
    for each in warnings:
        counts[each.kind] += each.number
    return dict(counts)


def left_out_languages(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Return the texts that `language` left out, by language, the most first; those it asks for by their score.

    metrics: as metrics.json has them.

    >>> asked = {"settings": {"language": ["en"], "language_score": 0.5}}
    >>> left_out_languages({"other_languages": {"de": 7, "en": 2}, "asked": asked})
    {'de': 7, 'en below 0.5': 2}
    """
    settings = metrics["asked"]["settings"]
    below = f" below {settings['language_score']:g}"
    return {
        code + (below if code in (settings["language"] or ()) else ""): number
        for code, number in metrics["other_languages"].items()
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
