"""Pictures of a search: losses against the learning rate, and the optimum against the scale.

Each is drawn on axes that are given, in a palette, so that the report's page and the files of a paper show the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sparkprep.errors import UserError
from trainer.runs.log import Values
from trainer.tune.experiments import Scale
from trainer.tune.fit import Band
from trainer.tune.tables import rate
from trainer.tune.u_curves import Across, UCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 200  # of a fitted curve
_CAP = 8.0  # losses so many times further above the best than the median is are drawn at the edge
_TOP, _CAPPED = 0.95, 0.88  # where diverged runs and losses beyond the edge stand, in heights of the axes
_BESIDE = 1.12  # the prior stands so far from the target, as a factor
_ROOM = 0.3  # of the width, for a word left of a mark
_FOOT = 0.42  # room for a legend below the optima, in heights of what is drawn
_TRIED = "best rate tried"
_DECADES = ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))  # ticks in each, coarse to fine
_TICKS = 4  # at least


@dataclass(frozen=True)
class Palette:
    """Colours by what they are for."""

    ink: str
    muted: str
    accent: str
    bad: str
    back: str


PAPER = Palette("#1b242e", "#5a6673", "#0072B2", "#b3261e", "#ffffff")
"""Of files; the blue is that of Okabe and Ito, as other plots of runs have it."""


@dataclass(frozen=True)
class Goal:
    """The run that a rate is sought for. prior: what was believed of it before; None where either is not known."""

    scale: Scale
    recommended: Band | None = None
    prior: Band | None = None


class Model(Protocol):
    """What pictures ask of a fit."""

    def curve(self, rates: Sequence[float] | Values, scale: Scale) -> Values:
        """Return the losses expected of rates, in nats. Raises UserError for a scale that it cannot speak of."""

    def optimum(self, scale: Scale) -> Band:
        """Return the best rate of a scale, with its band."""


def draw_u_curve(axes: Axes, curve: UCurve, rates: tuple[float, float], model: Model | None, colours: Palette) -> None:
    """Draw losses against the learning rate, and what a fit says of it.

    A point is a run; repeats of one rate have their mean with a bar of one standard deviation to both sides. What
    diverged is a cross at the top; a loss that would flatten all others an arrow below it. model: gives the bowl and
    its optimum with both intervals, of a scale. rates: least and greatest of the axis.
    """
    axes.set_xscale("log")
    axes.set_xlim(*rates)
    rate_axis(axes)
    axes.set_ylabel("validation loss")
    axes.set_title(curve.name)
    cells = curve.cells
    bottom = [] if model is None else _draw_fit(axes, curve.scale, model, rates, colours)
    low, high = _loss_limits([loss for cell in cells for loss in cell.losses], bottom)
    axes.set_ylim(low, high)
    for cell in cells:
        _draw_cell(axes, cell.learning_rate, cell.losses, high, colours)
        if cell.deviation is not None and cell.mean is not None:
            axes.errorbar(
                [cell.learning_rate], [cell.mean], yerr=[cell.deviation], color=colours.accent, capsize=5,
                linewidth=1.6, zorder=4,
            )  # fmt: skip
    _draw_diverged(axes, [cell.learning_rate for cell in cells if cell.diverged], colours)


def draw_optimum(
    axes: Axes, curves: Sequence[UCurve], goal: Goal, across: Across, model: Model | None, colours: Palette
) -> None:
    """Draw the optimum against the scale, up to the goal's, with the fit's line and both its bands.

    The best rate tried at each scale is a point with a bar to the rates tried beside it, between which its optimum is;
    an arrow where nothing was tried there; a ring where but one rate was tried.
    """
    axes.set_xscale("log")
    axes.set_yscale("log")
    if model is not None:
        _draw_trend(axes, across.path(curves, goal.scale), across, model, colours)
    for curve in curves:
        _draw_bracket(axes, curve, across.at(curve.scale), colours)
    at = across.at(goal.scale)
    if goal.prior is not None:
        _draw_band(axes, at * _BESIDE, goal.prior, colours.muted, "s", "prior")
    if goal.recommended is not None:
        label = f"recommended: {rate(goal.recommended.median, 3)}"
        _draw_band(axes, at, goal.recommended, colours.bad, "*", label)
    axes.axvline(at, color=colours.muted, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
    axes.set_xlabel(across.label)
    axes.set_ylabel("best max learning rate")
    scales = [across.at(curve.scale) for curve in curves] + [at]
    axes.set_xlim(min(scales) / 1.3, max(scales) * 1.4)
    axes.xaxis.set_major_locator(FixedLocator(_apart(scales)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, position: across.text(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** _FOOT, high)
    rate_axis(axes, upright=True)
    axes.legend(frameon=False, fontsize="small", loc="lower left", ncols=2)


def rate_axis(axes: Axes, upright: bool = False) -> None:
    """Give an axis of learning rates its ticks: powers of ten where these are enough, else round numbers between."""
    axis, (low, high) = (axes.yaxis, axes.get_ylim()) if upright else (axes.xaxis, axes.get_xlim())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in _DECADES:
        ticks = [tick for decade in decades for part in parts if low <= (tick := float(f"{part}e{decade}")) <= high]
        if len(ticks) >= _TICKS:
            break
    else:  # too narrow for any of them
        ticks = sorted({float(f"{tick:.1e}") for tick in np.geomspace(low, high, _TICKS + 2)[1:-1]})
    axis.set_major_locator(FixedLocator(ticks))
    digits = 0 if all(float(f"{tick:.0e}") == tick for tick in ticks) else 1
    axis.set_major_formatter(FuncFormatter(lambda value, position: _tick(value, digits)))
    axis.set_minor_locator(NullLocator())
    if not upright:
        axes.set_xlabel("max learning rate")


def _tick(value: float, digits: int) -> str:
    """Return a rate as an axis shows it: 1e-3, 1.5e-3, 0.1 as 1e-1, from 1 on without an exponent."""
    return f"{value:g}" if value >= 1 else f"{value:.{digits}e}".replace("e-0", "e-")


def _draw_cell(axes: Axes, learning_rate: float, losses: Sequence[float], high: float, colours: Palette) -> None:
    inside = [loss for loss in losses if loss <= high]
    axes.plot(
        [learning_rate] * len(inside), inside, "o", color=colours.accent, markersize=6, markeredgecolor=colours.back,
        zorder=4,
    )  # fmt: skip
    for loss in losses:
        if loss > high:
            axes.plot(
                [learning_rate], [_CAPPED], "^", transform=axes.get_xaxis_transform(), color=colours.accent,
                markersize=6, zorder=4,
            )  # fmt: skip
            axes.annotate(
                f"{loss:.2f}", (learning_rate, _CAPPED), xycoords=axes.get_xaxis_transform(), xytext=(0, -7),
                textcoords="offset points", ha="center", va="top", fontsize="small", color=colours.muted,
            )  # fmt: skip


def _draw_diverged(axes: Axes, rates: Sequence[float], colours: Palette) -> None:
    """Draw a cross for each rate, ascending, at the top, and say beside them what it means, where there is room."""
    if not rates:
        return
    across = axes.get_xaxis_transform()
    axes.plot(
        rates, [_TOP] * len(rates), "x", transform=across, color=colours.bad, markersize=7, markeredgewidth=2, zorder=5
    )
    low, high = axes.get_xlim()
    on_left = math.log(rates[0] / low) > _ROOM * math.log(high / low)
    axes.annotate(
        "diverged", (rates[0] if on_left else rates[-1], _TOP), xycoords=across, textcoords="offset points",
        xytext=(-8, 0) if on_left else (8, 0), ha="right" if on_left else "left", va="center", fontsize="small",
        color=colours.bad, zorder=5, bbox={"facecolor": colours.back, "edgecolor": "none", "pad": 1},
    )  # fmt: skip


def _draw_fit(axes: Axes, scale: Scale, model: Model, rates: tuple[float, float], colours: Palette) -> list[float]:
    """Draw what a fit says of a scale; return the losses that it has at its optimum and an octave to both sides.

    Of a scale whose losses it cannot foretell the optimum alone is drawn.
    """
    best = model.optimum(scale)
    for (low, high), alpha in ((best.interval95, 0.08), (best.interval68, 0.14)):
        axes.axvspan(low, high, color=colours.accent, alpha=alpha, linewidth=0, zorder=1)
    axes.axvline(best.median, color=colours.accent, linewidth=1.2, linestyle=(0, (4, 3)), zorder=2)
    xs = np.geomspace(*rates, _POINTS)
    try:
        axes.plot(xs, model.curve(xs, scale), color=colours.ink, linewidth=1.3, zorder=3)
    except UserError:
        return []
    return [float(loss) for loss in model.curve([0.5 * best.median, best.median, 2 * best.median], scale)]


def _draw_trend(axes: Axes, path: Sequence[Scale], across: Across, model: Model, colours: Palette) -> None:
    bands = [model.optimum(scale) for scale in path]
    xs = [across.at(scale) for scale in path]
    for name, alpha in (("interval95", 0.10), ("interval68", 0.18)):
        ends = [getattr(band, name) for band in bands]
        axes.fill_between(
            xs, [end[0] for end in ends], [end[1] for end in ends], color=colours.accent, alpha=alpha, linewidth=0,
            label=f"{name.removeprefix('interval')} % of the fit",
        )  # fmt: skip
    axes.plot(
        xs,
        [band.median for band in bands],
        color=colours.accent,
        linewidth=1.8,
        label="optimum, as fitted",
    )


def _draw_bracket(axes: Axes, curve: UCurve, at: float, colours: Palette) -> None:
    best, (below, above) = curve.best, curve.bracket
    if best is None:
        return
    y = best.learning_rate
    labelled = any(text == _TRIED for text in axes.get_legend_handles_labels()[1])
    axes.plot([at, at], [below or y, above or y], color=colours.ink, linewidth=1.2, zorder=4)
    lone = len(curve.cells) == 1
    fill, label = (colours.back, None) if lone else (colours.ink, None if labelled else _TRIED)
    axes.plot([at], [y], "o", color=colours.ink, markerfacecolor=fill, markersize=6, zorder=5, label=label)
    if lone:  # one rate tells nothing of where the optimum is
        return
    for end, neighbour, marker in ((below, y / 1.5, "v"), (above, y * 1.5, "^")):
        if end is None:  # the optimum may lie beyond what was tried
            axes.plot([at, at], [y, neighbour], color=colours.bad, linewidth=1.2, linestyle=":", zorder=4)
            axes.plot([at], [neighbour], marker, color=colours.bad, markersize=5, zorder=5)
        else:
            axes.plot([at], [end], "_", color=colours.ink, markersize=8, zorder=4)


def _draw_band(axes: Axes, at: float, band: Band, colour: str, marker: str, label: str) -> None:
    axes.plot([at, at], band.interval95, color=colour, linewidth=1.2, zorder=5)
    axes.plot([at, at], band.interval68, color=colour, linewidth=3.2, zorder=5)
    size = 12 if marker == "*" else 6
    axes.plot([at], [band.median], marker, color=colour, markersize=size, zorder=6, label=label)


def _loss_limits(losses: Sequence[float], bottom: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis of losses, with room at the top for what diverged; the worst may lie beyond it.

    bottom: those of a fit's bowl that are to be seen in any case.
    """
    if not losses and not bottom:
        return 0.0, 1.0
    least = min((*losses, *bottom))
    most, middle = (max(losses), float(np.median(losses))) if losses else (least, least)
    spread = min(most - least, _CAP * (middle - least) or math.inf)
    spread = max(spread, max(bottom, default=least) - least) or 0.01 * abs(least) or 1.0
    return least - 0.12 * spread, least + 1.3 * spread


def _apart(values: Sequence[float]) -> list[float]:
    """Return those values, ascending, that leave room for their texts on an axis of logarithms."""
    kept: list[float] = []
    for value in sorted(set(values)):
        if not kept or math.log(value / kept[-1]) > 0.08 * math.log(max(values) / min(values)):
            kept.append(value)
    return kept
