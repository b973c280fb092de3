"""Figures as inline SVG, in the colours and the font of the page that they stand in, and as a notebook shows them."""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Placeholders that inline() turns into the page's custom properties, so that a figure follows light and dark.
INK, MUTED, GRID, ACCENT, BACK, BAD = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_PROPERTIES = {INK: "--ink", MUTED: "--muted", GRID: "--line", ACCENT: "--accent", BACK: "--back", BAD: "--bad"}

LENGTH_STEPS = (*(m * 10**power for power in range(1, 6) for m in (1, 2, 5)), 10**6)
"""Lower bounds of the bins in which lengths are counted, but for the first, which begins at 0."""
_COLOURS = "--ink:#1b242e;--muted:#5a6673;--line:#dfe4ea;--accent:#2a6a9c;--back:#ffffff;--bad:#b3261e"
"""Of a page in the light, as `style.css` has them."""

_WIDTH, _HEIGHT = 5.6, 3.4  # inches of 72 units
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # real text: small, selectable, in the page's font
    "svg.hashsalt": "sparkprep",  # ids from the content, not from a random number
    "font.family": "DejaVu Sans",  # comes with matplotlib; used to measure only
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlecolor": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
}


@dataclass(frozen=True)
class Figures:
    """Figures of a result by name, as <svg> elements; a notebook shows them side by side."""

    drawn: Mapping[str, str]

    def __repr__(self) -> str:
        return f"figures, which a notebook shows: {', '.join(self.drawn) or 'none, as there is nothing to draw'}"

    def _repr_html_(self) -> str:
        boxes = "".join(f'<div style="width:26em">{svg}</div>' for svg in self.drawn.values())
        style = f"{_COLOURS};background:var(--back);display:flex;flex-wrap:wrap;gap:1em;font-family:sans-serif"
        return f'<div style="{style}">{boxes}</div>'


def compact(value: float) -> str:
    """Return a count as an axis shows it: 950, 1.2k, 30M, 4G."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def lengths(counts: Sequence[int], things: str, whole: str) -> str:
    """Draw how many there are of each length, `counts[i]` in the bin that ends at LENGTH_STEPS[i]; "" for none.

    things: what the length counts, such as characters; whole: whose length it is, such as documents.
    """
    filled = [number for number, count in enumerate(counts) if count]
    if not filled:
        return ""
    shown, edges = range(filled[0], filled[-1] + 1), (0, *LENGTH_STEPS)

    def draw(axes: "Axes") -> None:
        axes.bar(shown, counts[shown.start : shown.stop], width=0.88, align="edge", color=ACCENT, linewidth=0)
        ticks = [*shown][:: -(-len(shown) // 8)]  # a bar's left edge is the least length in it
        axes.set_xticks(ticks, [compact(edges[tick]) for tick in ticks])
        axes.set_xlabel(f"{things} in each")
        upright(axes, counts, whole)

    return inline(draw, f"lengths-{things}", f"Number of {whole} by the number of their {things}")


def upright(axes: "Axes", counts: Sequence[int], title: str) -> None:
    """Give bars of whole numbers their vertical axis."""
    values = linear_ticks(max(counts))
    axes.set_ylim(0, max(max(counts) * 1.08, values[-1]))
    axes.set_yticks(values, [compact(value) for value in values])
    axes.grid(False, axis="x")
    axes.set_title(title)


def linear_ticks(highest: float) -> list[float]:
    """Return zero and two to five round whole numbers up to `highest`."""
    power = 10 ** math.floor(math.log10(highest))
    step = next(step for step in (power / 5, power / 2, power, power * 2) if highest / step <= 5)
    step = max(1, math.ceil(step))
    return [step * i for i in range(int(highest // step) + 1)]


def log_ticks(highest: float) -> list[float]:
    """Return 1, 2, 5, 10, ... while they are few, else powers of ten (or of a thousand, ...) only."""
    decades = max(1, math.ceil(math.log10(max(highest, 2))))
    if decades <= 2:
        return [m * 10**d for d in range(decades) for m in (1, 2, 5)] + [10**decades]
    return [10**d for d in range(0, decades + 1, math.ceil(decades / 6))]


def inline(draw: Callable[["Axes"], None], name: str, label: str) -> str:
    """Draw on fresh axes and return an <svg> element whose ids start with `name` and whose colours are the page's.

    No text of a user may reach a figure: what is drawn is numbers and this file's own words.
    """
    import matplotlib  # an import of about a second: only for those who make a report
    from matplotlib.figure import Figure

    # Starting from the defaults: a notebook's own style must not change the report. The backend is not used at all.
    style: dict[Any, Any] = {
        key: matplotlib.rcParamsDefault[key] for key in matplotlib.rcParamsDefault if "backend" not in key
    }
    with matplotlib.rc_context({**style, **_STYLE}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        figure.patch.set_visible(False)
        axes = figure.add_axes((0.12, 0.17, 0.85, 0.72))
        axes.patch.set_visible(False)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    body = re.sub(r"^.*?<svg[^>]*>", "", buffer.getvalue(), flags=re.DOTALL)
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    for colour, custom in _PROPERTIES.items():
        body = body.replace(colour, f"var({custom})")
    view = f"0 0 {_WIDTH * 72:g} {_HEIGHT * 72:g}"
    return f'<svg class="plot" viewBox="{view}" role="img" aria-label="{label}">{body.strip()}\n'
