"""report.html of a run of curation: which rules remove how much, from which sources, and what lies at their borders."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from sparkprep.filter.judging import Tally
from sparkprep.filter.rules import RULES
from sparkprep.filter.settings import FilterSettings
from sparkprep.io.files import write_text
from sparkprep.pages.environment import environment, ratio


def borderline(tally: Tally, settings: FilterSettings) -> list[dict[str, Any]]:
    """Return, for each rule with a threshold, the documents nearest to it: those that it removed, those that stayed."""
    found = []
    for name in settings.rules:
        for rule in RULES:
            gone, stays = (tally.nearest.get((rule.name, side), []) for side in (False, True))
            if rule.set == name and (gone or stays):
                limit = getattr(settings, rule.setting or "")
                found.append({"rule": rule.name, "about": rule.about, "limit": limit, "removed": gone, "kept": stays})
    return found


def write(path: str, metrics: Mapping[str, Any], examples: list[dict[str, Any]]) -> None:
    """Write the page; whoever opens it while it is written sees the old page or the whole new one."""
    write_text(path, render(metrics, examples))


def render(metrics: Mapping[str, Any], examples: list[dict[str, Any]]) -> str:
    """Return the page of a run: metrics as metrics.json has them, examples as `borderline` returns them.

    Every text in either may be hostile: all is escaped, and invisible characters are shown as their code point.
    """
    source = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    pages = environment(str(__package__))
    pages.filters |= {"measure": measure}
    return pages.from_string(source).render(m=metrics, examples=examples, ratio=ratio)


def measure(value: float | None) -> str:
    """Show what a rule measures, or its threshold: 50 -> "50", 0.1256 -> "0.1256", 1234.0 -> "1,234"."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
