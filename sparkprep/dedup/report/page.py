"""report.html: a run's figures and examples as one page that needs nothing but a browser."""

import re
import shlex
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from markupsafe import Markup

from sparkprep.dedup.report import diff, plots
from sparkprep.io.files import write_text
from sparkprep.pages.environment import environment, ratio

LEVEL_STEP = 0.1
"""Between the threshold and those that the first lines speak of."""
TEXT_LIMIT = 20_000
"""Characters of a sample text; a text this long is taken to have been cut, so its end is not compared."""


def render(
    metrics: Mapping[str, Any], examples: Mapping[str, Any], timed: Callable[[], Mapping[str, Any]] = dict
) -> str:
    """Return the page for one run.

    `metrics` is what metrics.json holds; `examples` has "clusters" (the largest, with kept_id, size, source, excerpt,
    removed), and "pairs" of removed documents and "misses", of near ones (id, kept_id, jaccard, rule, source,
    kept_source, text, kept_text). Every text in either may be hostile: all is escaped, and invisible characters are
    shown as their code point. The same input gives the same page, byte for byte. timed: gives figures anew that are
    known when all plots are drawn. Raises jinja2.UndefinedError where a figure is missing from `metrics`.
    """
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    clusters = sorted((int(documents), int(number)) for documents, number in metrics["clusters"].items())
    figures = plots.figures_of(metrics)
    pairs = [with_difference(pair) for pair in examples["pairs"]]
    misses = [with_difference(pair) for pair in examples["misses"]]
    metrics = {**metrics, **timed()}
    return (
        environment(__package__)
        .from_string(source)
        .render(
            m=metrics,
            examples=examples,
            clusters=clusters,
            together={
                "clusters": sum(number for _, number in clusters),
                "documents": sum(documents * number for documents, number in clusters),
            },
            output=shlex.quote(metrics["output"]),
            stays=_who_stays(metrics["settings"]["keep"]),
            lower=_level(metrics, -LEVEL_STEP),
            higher=_level(metrics, LEVEL_STEP),
            plots={name: Markup(svg) for name, svg in figures.items()},
            pairs=pairs,
            misses=misses,
            ratio=ratio,
            text_limit=TEXT_LIMIT,
        )
    )


def write(
    path: str,
    metrics: Mapping[str, Any],
    examples: Mapping[str, Any],
    timed: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Write the page; whoever opens it while it is written sees the old page or the whole new one."""
    write_text(path, render(metrics, examples, timed))


def _level(metrics: Mapping[str, Any], step: float) -> Mapping[str, Any] | None:
    """Return what a threshold so much higher or lower would come to, if that was counted."""
    wanted = metrics["settings"]["threshold"] + step
    return next((each for each in metrics["other_thresholds"] if abs(each["threshold"] - wanted) < 1e-9), None)


def _who_stays(keep: str) -> str:
    if keep in ("longest", "first"):
        return {"longest": "the one of most characters", "first": "the one with the smallest identifier"}[keep]
    return f"the one {'largest' if keep.startswith('-') else 'smallest'} in {keep.removeprefix('-')}"


def with_difference(pair: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a pair (text, kept_text, ...) the difference of its texts, ready for display."""
    removed, kept = pair["text"], pair["kept_text"]
    cut = max(len(removed), len(kept)) >= TEXT_LIMIT
    compared = diff.diff(_whole_words(removed), _whole_words(kept))
    spans = diff.collapse(compared.spans, open_end=cut or compared.cut)
    changed = {kind: sum(len(span.words) for span in spans if span.kind == kind) for kind in ("delete", "insert")}
    return {**pair, "diff": compared, "spans": spans, "cut": cut, **changed}


def _whole_words(text: str) -> str:
    """Return a cut text without the word that the cut went through, which would show as a difference."""
    if len(text) < TEXT_LIMIT:
        return text
    return re.sub(r"\s\S{0,40}\Z", "", text)
