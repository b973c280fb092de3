"""What the HTML pages of all jobs are made by: templates in which nothing of a user's is shown raw, and its formats."""

from __future__ import annotations

import json
import math
import re
import unicodedata

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sparkprep.units import human_bytes

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


def environment(package: str) -> Environment:
    """Return what pages are made by: every expression is escaped, and shows what hides; a missing value is an error.

    package: where the job's own templates lie; they may include `style.css` and import from `parts.html`, which are
    those of all pages.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("sparkprep.pages", ".")]),
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
