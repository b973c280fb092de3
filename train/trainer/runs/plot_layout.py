"""Where things stand in a figure of runs: panels in a row, values in the margins, one legend for all below.

Everything is placed in inches rather than by matplotlib's own layout: values that would overlap can only be moved apart
by what knows how high the axes are.
"""

from __future__ import annotations

import colorsys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sparkprep.console import safe_text
from sparkprep.errors import UserError
from trainer import run_files
from trainer.runs.history import LoggedRun

GREY = "#6b6b6b"

# Okabe and Ito's colours without the yellow, which is too pale for a line: told apart by colour-blind readers too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_GOLDEN = 0.618034

_DPI = 130
_WIDTH, _HEIGHT = 5.0, 3.7  # of the axes; all lengths in inches
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.8, 0.35, 0.55, 0.42  # around the axes
_LABEL_SIZE = 8.5  # points
_LABEL_HEIGHT, _LABEL_CHARACTER = 0.151, 0.071
_LEADER = 0.32  # from the axes to a label
_LEGEND_ROW, _LEGEND_CHARACTER, _LEGEND_HANDLE = 0.24, 0.082, 0.65
_SOURCE_ROW, _SOURCE_CHARACTER, _SOURCE_SIZE = 0.15, 0.068, 7.5
_NAME_LENGTH = 40  # characters of a run's name that a legend shows


@dataclass(frozen=True)
class Label:
    """A text in the right margin for the value `y`.

    point: the place on the axis of x that it tells of, to be marked and joined to the label by a dashed line; None:
    neither. source: what is said below the figure of where the value comes from.
    """

    y: float
    text: str
    colour: str
    point: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Scale:
    """An axis of x. of_step: what a step of a run is on it; None where the run's files do not tell."""

    name: str
    label: str
    of_step: Callable[[LoggedRun], int | None]
    text: Callable[[float], str]

    def factor(self, run: LoggedRun) -> int:
        """Return what a step of a run is. Raises UserError where its files do not tell."""
        factor = self.of_step(run)
        if factor is None:
            raise UserError(
                f"{run.folder}: {run_files.PARAMETERS} does not tell what a step is in {self.label}; leave out "
                f"--x {self.name}, or this run"
            )
        return factor


@dataclass(frozen=True)
class Panel:
    """draw: draws the runs on axes, sets their limits of y, and returns what is to stand in the margin.

    lacks: what is not in the logs where it draws nothing, and returns None.
    """

    draw: Callable[[Axes, Sequence[LoggedRun], Scale], list[Label] | None]
    lacks: str


def figure_of(runs: Sequence[LoggedRun], panels: Sequence[Panel], scale: Scale) -> Figure:
    """Return the panels that have something to show in a row, as wide and high as labels need.

    Below is a legend `NAME (LR: v)` and where values of others come from. Where there is nothing to show, the figure is
    a sentence about it, without axes.
    """
    figure = Figure(dpi=_DPI)
    drawn = []
    for panel in panels:
        axes = figure.add_axes((0, 0, 1, 1))
        labels = panel.draw(axes, runs, scale)
        if labels is None:
            axes.remove()
            continue
        _finish(axes, scale)
        drawn.append((axes, labels))
    if not drawn:
        figure.set_size_inches(_LEFT + _WIDTH + _RIGHT, 1.0)
        figure.text(0.5, 0.5, textwrap.fill(nothing_of(panels), 70), ha="center", va="center", color=GREY)
        return figure
    entries = [_legend_name(run) for run in runs]
    height = max(_HEIGHT, *(_LABEL_HEIGHT * len(labels) for _, labels in drawn))
    widths = [_LEFT + _WIDTH + _margin(labels) for _, labels in drawn]
    width = max(sum(widths), _LEGEND_HANDLE + _LEGEND_CHARACTER * max(map(len, entries)))
    columns = max(1, int(width / (_LEGEND_HANDLE + _LEGEND_CHARACTER * max(map(len, entries)))))
    sources = _wrapped([label.source for _, labels in drawn for label in labels], width)
    foot = _SOURCE_ROW * len(sources) + (0.08 if sources else 0.0)
    legend = _LEGEND_ROW * -(-len(runs) // columns) + 0.12 + foot
    total = legend + _BOTTOM + height + _TOP
    figure.set_size_inches(width, total)
    left = 0.0
    for (axes, labels), panel_width in zip(drawn, widths, strict=True):
        axes.set_position(((left + _LEFT) / width, (legend + _BOTTOM) / total, _WIDTH / width, height / total))
        _draw_labels(axes, labels, height)
        left += panel_width
    figure.legend(
        handles=[Line2D([], [], color=colour(i), linewidth=2.5, label=entry) for i, entry in enumerate(entries)],
        loc="lower center",
        bbox_to_anchor=(0.5, foot / total),
        ncols=min(columns, len(runs)),
        frameon=False,
        fontsize=9,
        borderaxespad=0.3,
        handlelength=1.6,
        columnspacing=1.6,
    )
    if sources:
        figure.text(
            0.12 / width, 0.08 / total, "\n".join(sources), color=GREY, fontsize=_SOURCE_SIZE, va="bottom", ha="left"
        )
    return figure


def nothing_of(panels: Sequence[Panel]) -> str:
    """Return the sentence about logs in which there is nothing that any of the panels shows."""
    return f"no {', no '.join(panel.lacks for panel in panels)} in these logs"


def colour(i: int) -> str:
    """Return the colour of the run with this number, different for each."""
    if i < len(_COLOURS):
        return _COLOURS[i]
    return to_hex(colorsys.hsv_to_rgb(i * _GOLDEN % 1.0, 0.85, 0.7))  # neighbours get hues that lie far apart


def pale(colour: str) -> str:
    """Return the colour mixed with white."""
    red, green, blue = to_rgb(colour)
    return to_hex((0.5 + 0.5 * red, 0.5 + 0.5 * green, 0.5 + 0.5 * blue))


def spread(heights: npt.NDArray[np.float64], gap: float) -> npt.NDArray[np.float64]:
    """Return heights near the given ones, in the same order, at least `gap` apart, between 0 and 1 if they have room.

    heights: shape (n,), in heights of the axes. Those that would overlap form a block around their mean, and blocks
    that meet become one, which makes the sum of squared moves least (isotonic regression by pooling adjacent
    violators).
    """
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(heights))
    blocks: list[tuple[float, int]] = []
    for value in (heights[order] - steps).tolist():
        mean, count = float(value), 1
        while blocks and blocks[-1][0] >= mean:
            other, others = blocks.pop()
            mean, count = (other * others + mean * count) / (others + count), others + count
        blocks.append((mean, count))
    fitted = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])
    placed = np.empty(len(heights))
    placed[order] = np.clip(fitted, 0.0, max(0.0, 1.0 - steps[-1])) + steps
    return placed


def _wrapped(sources: Sequence[str], width: float) -> list[str]:
    """Return the sources, each once, as lines that fit into a width in inches."""
    text = "; ".join(dict.fromkeys(filter(None, sources)))
    return textwrap.wrap(f"Dotted: {text}.", int((width - 0.24) / _SOURCE_CHARACTER)) if text else []


def _finish(axes: Axes, scale: Scale) -> None:
    """Add to axes what all panels share. The limits of x are final after it."""
    left, right = axes.dataLim.intervalx
    if not np.isfinite([left, right]).all():
        left, right = 0, 1
    margin = (right - left) * 0.04 or max(1.0, 0.5 * abs(right))  # a lone point gets room on either side
    axes.set_xlim(left - margin, right + margin)
    axes.set_xlabel(scale.label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: scale.text(value)))
    axes.grid(True, color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _margin(labels: Sequence[Label]) -> float:
    """Return the inches right of axes."""
    return _RIGHT + max((_LEADER + _LABEL_CHARACTER * len(label.text) for label in labels), default=0.0)


def _draw_labels(axes: Axes, labels: Sequence[Label], height: float) -> None:
    """Write the labels beside axes of this height (inches), each joined to its value by a line."""
    if not labels:
        return
    left, right = axes.get_xlim()
    scaled = axes.transScale.transform([(left, y) for y in (*axes.get_ylim(), *(label.y for label in labels))])[:, 1]
    at = (scaled[2:] - scaled[0]) / (scaled[1] - scaled[0])
    placed = spread(at, _LABEL_HEIGHT / height)
    leader = _LEADER / _WIDTH
    for label, y, text_y in zip(labels, at.tolist(), placed.tolist(), strict=True):
        if label.point is not None:
            axes.plot(
                [label.point, right], [label.y, label.y], color=label.colour, linewidth=0.9, linestyle="--", alpha=0.8
            )
            axes.plot(
                [label.point], [label.y], color=label.colour, marker="o", markersize=6.5, markeredgecolor="white",
                linestyle="none", zorder=5,
            )  # fmt: skip
        axes.plot(
            [1.0, 1.0 + 0.2 * leader, 1.0 + 0.9 * leader], [y, y, text_y], transform=axes.transAxes,
            color=label.colour, linewidth=0.7, alpha=0.8, clip_on=False,
        )  # fmt: skip
        axes.text(
            1.0 + leader, text_y, label.text, transform=axes.transAxes, color=label.colour, fontsize=_LABEL_SIZE,
            va="center", ha="left",
        )  # fmt: skip


def _legend_name(run: LoggedRun) -> str:
    name = safe_text(run.name)
    if len(name) > _NAME_LENGTH:
        half = (_NAME_LENGTH - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    rate = "-" if run.learning_rate is None else f"{run.learning_rate:g}"
    return f"{name} (LR: {rate})".replace("$", r"\$").lstrip("_")  # two $ begin a formula, a first _ hides an entry
