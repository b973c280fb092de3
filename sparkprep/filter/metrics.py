"""The figures of a run: metrics.json."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

from sparkprep.documents.surroundings import Surroundings
from sparkprep.filter.judging import OTHERS, STAYS, Columns, Tally
from sparkprep.filter.rules import RULES, Bound
from sparkprep.filter.settings import FilterSettings
from sparkprep.io.left_out import name_left_out

FORMAT = 1
TOP = 30
LOST = 0.9
"""A source that loses more than this share is worth a warning."""
LEAST = 10
"""A source of fewer documents is not."""


def build(run: Surroundings[FilterSettings], columns: Columns, tally: Tally) -> dict[str, Any]:
    """Return everything that metrics.json holds, but for the stages."""
    settings, opened = run.settings, run.opened
    removed = sum(tally.by_rule.values())
    sources = _sources(columns.source, tally)
    lost = sources["lost_over_90_percent"] if sources else []
    return {
        **run.head(FORMAT, tally.documents, text_bytes=tally.text_bytes, kept_text_bytes=tally.kept_bytes),
        "counts": {
            "input": tally.documents + opened.rejected,
            "kept": tally.documents - removed,
            "removed": removed,
            "rejected": opened.rejected,
            "null_text": tally.null_text,
            "changed": tally.changed,
        },
        "rules": [
            {
                "rule": rule.name,
                "set": rule.set,
                "about": rule.about,
                "removes": Bound(rule.bound).name.lower(),
                "limit": getattr(settings, rule.setting) if rule.setting else None,
                "documents": tally.by_rule[rule.name],
            }
            for rule in _asked(settings)
            if not rule.of_lines
        ],
        "lines": {rule.name: tally.lines[rule.name] for rule in _asked(settings) if rule.of_lines},
        "personal": _personal(settings, tally),
        "sources": sources,
        "parts": run.parts,
        "warnings": [*opened.warnings, *(f"{source} loses over 90 % of its documents" for source in lost)],
        "left_out": name_left_out(opened.listing.left_out),
    }


def _asked(settings: FilterSettings) -> list[Any]:
    """Return the rules that are asked, in the order in which they are."""
    return [rule for name in settings.rules for rule in RULES if rule.set == name and rule.name not in settings.skip]


def _personal(settings: FilterSettings, tally: Tally) -> dict[str, Any] | None:
    if settings.personal == "keep":
        return None
    found = {kind: tally.personal[kind] for kind in ("email", "ip", "phone")}
    return {**found, "documents": tally.personal_documents, "replaced": settings.personal == "replace"}


def _sources(column: str | None, tally: Tally) -> dict[str, Any] | None:
    """Return the sources that lose most, those with most documents first among equals."""
    if column is None:
        return None
    documents = {name: counts.total() for name, counts in tally.sources.items()}
    gone = {name: documents[name] - counts[STAYS] for name, counts in tally.sources.items()}
    others = {"documents": documents.pop(OTHERS, 0), "removed": gone.pop(OTHERS, 0)}

    def most_lost(names: Iterable[Any]) -> list[Any]:
        return heapq.nsmallest(TOP, names, key=lambda name: (-gone[name], -documents[name], str(name)))

    def by_rule(name: Any) -> dict[str, int]:
        return {rule: n for rule, n in tally.sources[name].most_common() if rule != STAYS}

    return {
        "column": column,
        "total": len(documents),
        "all": tally.has_all_sources,
        "others": others,
        "losing": sum(1 for n in gone.values() if n),
        "least_documents": LEAST,
        "lost_over_90_percent": most_lost(s for s, n in documents.items() if n >= LEAST and gone[s] > LOST * n),
        "top": [
            {"source": name, "documents": documents[name], "removed": gone[name], "rules": by_rule(name)}
            for name in most_lost(documents)
        ],
    }
