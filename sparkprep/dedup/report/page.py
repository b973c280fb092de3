"""report.html: a run's figures and examples as one page that needs nothing but a browser."""

import json
import math
import re
import shlex
import unicodedata
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sparkprep.dedup.report import diff, plots
from sparkprep.io.files import write_text
from sparkprep.units import human_bytes

LEVEL_STEP = 0.1
"""Between the threshold and those that the first lines speak of."""
TEXT_LIMIT = 20_000
"""Characters of a sample text; a text this long is taken to have been cut, so its end is not compared."""

# Characters that are invisible or change the order of what stands around them: controls except tab and line feed,
# soft hyphen, zero-width and bidirectional controls, separators, lone surrogates, tags. The joiners U+200C/D stay:
# Persian, Hindi and emoji need them. These are more than `console.safe_text` takes out for a terminal: here
# two texts are compared, and a difference that cannot be seen must be shown; there only what moves the cursor or turns
# the line round does harm, and an escape for every soft hyphen would.
_HIDDEN = re.compile(
    r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c"
    r"\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)


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
    banding = metrics["banding"]
    histogram = metrics["jaccard_histogram"]
    clusters = sorted((int(documents), int(number)) for documents, number in metrics["clusters"].items())
    figures = {
        "s_curve": plots.s_curve(banding["bands"], banding["rows"], metrics["settings"]["threshold"]),
        "jaccard": plots.jaccard_histogram(histogram["edges"], histogram["counts"], metrics["settings"]["threshold"]),
        "clusters": plots.cluster_sizes(dict(clusters)),
    }
    pairs = [with_difference(pair) for pair in examples["pairs"]]
    misses = [with_difference(pair) for pair in examples["misses"]]
    metrics = {**metrics, **timed()}
    return (
        environment()
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


def environment() -> Environment:
    """Return what pages are made by: every expression is escaped, and shows what hides; a missing value is an error."""
    made = Environment(
        loader=PackageLoader("sparkprep.dedup.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": count, "size": size, "duration": duration, "percent": percent}
    made.filters |= {"jaccard": jaccard, "setting": setting, "excerpt": excerpt, "moment": moment}
    made.filters |= {"about": about, "level": level, "signed": signed}
    return made


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


def visible(value: object) -> Markup:
    """Escape for HTML text and show characters that hide or reorder others as a marked code point, None as a dash.

    The template's finalize hook: every expression passes through it, so nothing is shown raw by oversight. The result
    holds elements, so a user's text must not stand inside an attribute.
    """
    if isinstance(value, Markup):
        return value
    text = "–" if value is None else str(value)
    out, end = [], 0
    for match in _HIDDEN.finditer(text):
        char = match.group()
        name = unicodedata.name(char, "invisible character")
        out.append(escape(text[end : match.start()]))
        out.append(Markup('<span class="hidden" title="{}">U+{:04X}</span>').format(name, ord(char)))
        end = match.end()
    out.append(escape(text[end:]))
    return Markup("").join(out)


def excerpt(text: str, characters: int = 300) -> str:
    """Return a text's beginning in one paragraph, with an ellipsis where it is cut or as long as a cut one."""
    folded = " ".join(text[:characters].split())
    return folded + " …" if len(text) >= characters else folded


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return part / whole, or None where there is no whole."""
    return None if part is None or not whole else part / whole


def count(value: float | None) -> str:
    """Show a count: 1234567 -> "1,234,567"."""
    return "–" if value is None or _missing(value) else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Show bytes in decimal units: 87015559 -> "87.0 MB"."""
    return "–" if value is None or _missing(value) else human_bytes(value)


def duration(seconds: float | None) -> str:
    """Show seconds: 65.2 -> "1 min 5 s"; never more than two units."""
    if seconds is None or _missing(seconds):
        return "–"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 1440:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def moment(date: str) -> str:
    """Show a date in ISO 8601, of UTC: "2026-03-01T12:00:00+00:00" -> "2026-03-01 12:00 UTC"."""
    return f"{date[:10]} {date[11:16]} UTC"


def about(number: float | None) -> str:
    """Show an estimated count: 0.3 -> "0", 17.6 -> "18"."""
    return "–" if number is None or _missing(number) else f"{round(number):,}"


def level(threshold: float) -> str:
    """Show a threshold in two places or more: 0.7 -> "0.70", 0.725 -> "0.725"."""
    return max(f"{threshold:.2f}", f"{threshold:.6g}", key=len)


def signed(number: float) -> str:
    """Show a difference: 79 -> "+79", -207 -> "−207"."""
    return f"{'−' if number < 0 else '+'}{abs(number):,.0f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Show a share: 0.1813 -> "18.1 %". Only a whole is shown as 100 % and only nothing as 0 %."""
    if share is None or _missing(share):
        return "–"
    least = 10.0**-digits
    value = share * 100
    if 0 < value < least / 2:
        return f"< {least:.{digits}f} %"
    if 100 - least / 2 <= value < 100:
        return f"> {100 - least:.{digits}f} %"
    return f"{value:.{digits}f} %"


def jaccard(value: float | None) -> str:
    """Show three places, cut rather than rounded: only equal shingle sets are shown as 1.000."""
    return "–" if value is None or _missing(value) else f"{math.floor(value * 1000 + 1e-9) / 1000:.3f}"


def setting(value: object, name: str = "") -> str:
    """Show a setting or version as text; large whole numbers get separators, a seed does not."""
    if value is None:
        return "automatic" if name.endswith("_column") else "–"
    if isinstance(value, int) and not isinstance(value, bool) and name != "seed":
        return count(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
