"""The figures of the reports as inline SVG: S-curve, Jaccard histogram, cluster sizes, removals by threshold."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sparkprep.dedup.kernels.bands import probability
from sparkprep.pages.drawing import ACCENT, BACK, INK, MUTED, compact, inline, linear_ticks, log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def figures_of(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of a run by name, "" where there is nothing to draw. metrics: what metrics.json holds."""
    banding, histogram, threshold = metrics["banding"], metrics["jaccard_histogram"], metrics["settings"]["threshold"]
    return {
        "s_curve": s_curve(banding["bands"], banding["rows"], threshold),
        "jaccard": jaccard_histogram(histogram["edges"], histogram["counts"], threshold),
        "clusters": cluster_sizes({int(documents): int(number) for documents, number in metrics["clusters"].items()}),
    }


def s_curve(bands: int, rows: int, threshold: float) -> str:
    """Draw P(found | J) over J in [0, 1] with the threshold's point marked; return an <svg> element."""

    def draw(axes: "Axes") -> None:
        xs = [i / 100 for i in range(101)]
        axes.axvspan(threshold, 1.0, color=ACCENT, alpha=0.10, linewidth=0)
        axes.plot(xs, [float(probability(x, bands, rows)) for x in xs], color=ACCENT, linewidth=2)
        y = float(probability(threshold, bands, rows))
        axes.plot([threshold], [y], "o", color=ACCENT, markersize=8, markeredgecolor=BACK, markeredgewidth=1.5)
        # Beside the curve there is room below on the right or, for thresholds near 1, above on the left.
        x, height, side = (0.985, 0.5, "right") if probability(0.66, bands, rows) > 0.55 else (0.03, 0.9, "left")
        axes.text(x, height, f"J = {threshold:g}\n{100 * y:.2f} % found", ha=side, va="center")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.06)
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlabel("Jaccard similarity J of a pair")
        axes.set_title("probability that the pair is found")

    label = f"Probability of being found against Jaccard similarity, {bands} bands of {rows} rows"
    return inline(draw, "s-curve", label)


def jaccard_histogram(edges: Sequence[float], counts: Sequence[int], threshold: float) -> str:
    """Draw compared pairs by Jaccard, `counts[i]` in [edges[i], edges[i+1]), those from the threshold on in the accent.

    Returns "" where there is nothing to draw.
    """
    filled = [i for i, n in enumerate(counts) if n]
    if not filled:
        return ""
    first = max(0.0, min(edges[filled[0]], threshold - 0.1))

    def draw(axes: "Axes") -> None:
        bars = [(left, right, n) for (left, right), n in zip(pairwise(edges), counts, strict=True) if right > first]
        axes.bar(
            [left for left, _, _ in bars],
            [n for _, _, n in bars],
            width=[(right - left) * 0.88 for left, right, _ in bars],
            align="edge",
            color=[ACCENT if left >= threshold else MUTED for left, _, _ in bars],
            linewidth=0,
        )
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.text(
            threshold, 1.0, f" {threshold:g}", transform=axes.get_xaxis_transform(), ha="left", va="top", color=INK
        )
        step = next(step for step in (0.02, 0.05, 0.1, 0.2) if (1 - first) / step <= 6)
        ticks = [i * step for i in range(math.ceil(first / step - 1e-9), math.floor(1 / step + 1e-9) + 1)]
        axes.set_xlim(first, 1.0)
        axes.set_xticks(ticks, [f"{round(tick, 3):g}" for tick in ticks])
        values = linear_ticks(max(counts))
        axes.set_ylim(0, max(max(counts) * 1.08, values[-1]))
        axes.set_yticks(values, [compact(value) for value in values])
        axes.grid(False, axis="x")
        axes.set_xlabel("exact Jaccard similarity")
        axes.set_title("pairs compared")

    return inline(draw, "jaccard", "Histogram of the exact Jaccard similarity of the compared pairs")


def cluster_sizes(clusters: Mapping[int, int]) -> str:
    """Draw the number of clusters of each size (> 1) on logarithmic axes; "" where there is no cluster."""
    points = sorted((size, number) for size, number in clusters.items() if number > 0 and size > 0)
    if not points:
        return ""

    def draw(axes: "Axes") -> None:
        sizes, numbers = [p[0] for p in points], [p[1] for p in points]
        axes.set_xscale("log")
        axes.set_yscale("log")
        # Before anything is drawn: limits of one point alone would be no interval, which Matplotlib warns of.
        axes.set_xlim(1.7, max(12.0, max(sizes) * 1.3))
        axes.set_ylim(0.7, max(12.0, max(numbers) * 1.6))
        if len(points) <= 60:  # with more the stems would run into one surface
            axes.vlines(sizes, 0.1, numbers, color=ACCENT, linewidth=2, alpha=0.35)
        axes.plot(sizes, numbers, "o", color=ACCENT, markersize=5 if len(points) <= 60 else 2.5, markeredgewidth=0)
        for axis, highest in ((axes.xaxis, max(sizes)), (axes.yaxis, max(numbers))):
            ticks = log_ticks(highest)
            axis.set_ticks(ticks, [compact(tick) for tick in ticks])
            axis.set_ticks([], minor=True)
        axes.grid(False, axis="x")
        axes.set_xlabel("documents in the cluster (kept one included)")
        axes.set_title("clusters")

    return inline(draw, "clusters", "Number of clusters by size, both axes logarithmic")


def removed_by_threshold(levels: Sequence[tuple[float, Mapping[str, int]]]) -> str:
    """Draw for each (threshold, counts), counts having `exact` and `near`, the removed documents as a stacked bar."""

    def draw(axes: "Axes") -> None:
        places = range(len(levels))
        exact, near = ([counts[name] for _, counts in levels] for name in ("exact", "near"))
        axes.bar(places, exact, color=MUTED, linewidth=0, width=0.7)
        axes.bar(places, near, bottom=exact, color=ACCENT, linewidth=0, width=0.7)
        most = max(map(sum, zip(exact, near, strict=True)))
        for place, total in enumerate(map(sum, zip(exact, near, strict=True))):
            axes.text(place, total, compact(total), ha="center", va="bottom", color=INK)
        values = linear_ticks(most)
        axes.set_ylim(0, max(most * 1.12, values[-1]))
        axes.set_yticks(values, [compact(value) for value in values])
        axes.set_xticks(list(places), [f"{threshold:g}" for threshold, _ in levels])
        axes.set_xlim(-0.6, max(3, len(levels)) - 0.4)
        axes.grid(False, axis="x")
        axes.set_xlabel("threshold")
        axes.set_title("removed: exact copies (grey) and near ones")

    return inline(draw, "thresholds", "Removed documents by threshold, exact and near")
