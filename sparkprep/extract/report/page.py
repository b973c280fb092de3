"""report.html: what an extraction has lost and why, and some of its texts beside their addresses, as one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from markupsafe import Markup

from sparkprep.extract.outcomes import NO_PAGE, OTHER_LANGUAGE, REASONS
from sparkprep.extract.report.examples import TEXT_LIMIT
from sparkprep.extract.report.plots import figures_of
from sparkprep.extract.telling import ABOUT, left_out_languages
from sparkprep.pages.environment import environment, ratio

PLACES = 50
"""Rows of rejected/ that are shown."""
_ARCHIVES = 100
_HOSTS = 20
_WHY_SHOWN = {
    "drawn": ("Drawn at random", "What most pages look like: is navigation left in, is text missing?"),
    "shortest": ("The shortest texts", "Often what is no article; a least length is a rule for a filter."),
    "unreadable": (
        "The most characters that could not be read",
        "They stand in the text as U+FFFD: a page lies about its character set, or is damaged.",
    ),
    "least": (
        "The least text for their HTML",
        "Of pages of 5 kB or more: lists, forms, applications in a browser, or a main text that was not found.",
    ),
}


def render(
    metrics: Mapping[str, Any], examples: Mapping[str, Any], timed: Callable[[], Mapping[str, Any]] = dict
) -> str:
    """Return the page for one run.

    metrics: what metrics.json holds. examples: what `Examples.rows` returns, and rows of rejected/ as "places". Every
    text in either may be hostile: all is escaped. The same input gives the same page, byte for byte. timed: gives
    figures anew that are known when all plots are drawn. Raises jinja2.UndefinedError where a figure is missing.
    """
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    figures = figures_of(metrics)
    metrics = {**metrics, **timed()}
    lost = metrics["without_document"]
    return (
        environment(str(__package__))
        .from_string(source)
        .render(
            m=metrics,
            pages=metrics["records"] - lost.get(NO_PAGE, 0),
            no_page=NO_PAGE,
            other_language=OTHER_LANGUAGE,
            left_out=left_out_languages(metrics),
            about=ABOUT,
            why_shown=_WHY_SHOWN,
            lost=[(reason, lost[reason]) for reason in REASONS if reason in lost and reason != NO_PAGE],
            archives=_archives(metrics["by_archive"]),
            shown_archives=_ARCHIVES,
            shown_hosts=_HOSTS,
            examples=examples,
            plots={name: Markup(svg) for name, svg in figures.items()},
            ratio=ratio,
            text_limit=TEXT_LIMIT,
        )
    )


def _archives(by_archive: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the archives to show: those that lost the largest share of their pages first."""
    rows = []
    for each in by_archive:
        pages = each["records"] - each.get(NO_PAGE, 0)
        rows.append({**each, "pages": pages, "damaged": each.get("damaged", 0)})
    rows.sort(key=lambda row: (-row["damaged"], (row["documents"] + 1) / (row["pages"] + 1), row["archive"]))
    return rows[:_ARCHIVES]
