"""The two figures of the report as inline SVG: documents by length, and by how much of their HTML is text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkprep.pages.drawing import ACCENT, MUTED, compact, inline, linear_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def lengths(edges: Sequence[float], counts: Sequence[int]) -> str:
    """Draw documents by characters, `counts[i]` of at least `edges[i]`, a bar of the same width each; "" for none."""
    filled = [number for number, count in enumerate(counts) if count]
    if not filled:
        return ""
    first, last = filled[0], filled[-1]

    def draw(axes: Axes) -> None:
        shown = range(first, last + 1)
        axes.bar(shown, counts[first : last + 1], width=0.88, align="edge", color=ACCENT, linewidth=0)
        # A bar's left edge is the least length in it; of many bars every second or third edge is named.
        step = -(-len(shown) // 8)
        ticks = [*shown][::step]
        axes.set_xticks(ticks, [compact(edges[tick]) for tick in ticks])
        axes.set_xlabel("characters of the text")
        _upright(axes, counts)

    return inline(draw, "lengths", "Number of documents by the characters of their text")


def yields(edges: Sequence[float], counts: Sequence[int]) -> str:
    """Draw documents by characters of text for a byte of HTML, `counts[i]` of at least `edges[i]`; "" for none."""
    if not any(counts):
        return ""
    width = edges[1] - edges[0]

    def draw(axes: Axes) -> None:
        axes.bar(edges, counts, width=width * 0.88, align="edge", color=ACCENT, linewidth=0)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.set_xlabel("characters of text for a byte of HTML")
        _upright(axes, counts)

    return inline(draw, "yields", "Number of documents by characters of text for a byte of HTML")


def _upright(axes: Axes, counts: Sequence[int]) -> None:
    values = linear_ticks(max(counts))
    axes.set_ylim(0, max(max(counts) * 1.08, values[-1]))
    axes.set_yticks(values, [compact(value) for value in values])
    axes.grid(False, axis="x")
    axes.tick_params(axis="x", colors=MUTED)
    axes.set_title("documents")
