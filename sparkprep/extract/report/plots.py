"""The two figures of the report as inline SVG: documents by length, and by how much of their HTML is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparkprep.pages.drawing import ACCENT, inline, lengths, upright

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def figures_of(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of a run by name, those for which there is anything to draw. metrics: as metrics.json has."""
    drawn = {
        "lengths": lengths(metrics["lengths"]["counts"], "characters", "documents"),
        "yields": yields(**metrics["yields"]),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def yields(edges: Sequence[float], counts: Sequence[int]) -> str:
    """Draw documents by characters of text for a byte of HTML, `counts[i]` of at least `edges[i]`; "" for none."""
    if not any(counts):
        return ""

    def draw(axes: Axes) -> None:
        axes.bar(edges, counts, width=(edges[1] - edges[0]) * 0.88, align="edge", color=ACCENT, linewidth=0)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.set_xlabel("characters of text for a byte of HTML")
        upright(axes, counts, "documents")

    return inline(draw, "yields", "Number of documents by characters of text for a byte of HTML")
