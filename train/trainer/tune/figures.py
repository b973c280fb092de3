"""The pictures of a study as files for a paper, and as what its page holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure

from sparkprep.io.paths import join_path
from sparkprep.pages import drawing
from trainer.runs import plots as files
from trainer.tune.findings import Findings
from trainer.tune.loss_curves import draw_losses
from trainer.tune.plots import PAPER, Palette, draw_optimum, draw_u_curve
from trainer.tune.u_curves import UCurve, ladders

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = Palette(drawing.INK, drawing.MUTED, drawing.ACCENT, drawing.BAD, drawing.BACK)
"""The colours of the page, in light and dark."""

_WIDTH, _HEIGHT, _COLUMNS = 4.2, 3.1, 3  # of one picture in a file, inches; pictures in a row
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.7, 0.15, 0.5, 0.3  # around its axes, inches
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
}


@dataclass(frozen=True)
class Picture:
    """name: short, of files and of ids in the page. label: what it shows, for those who cannot see it."""

    name: str
    label: str
    draw: Callable[[Axes, Palette], None]

    def svg(self) -> str:
        """Return it as an <svg> element in the colours of the page."""
        return drawing.inline(lambda axes: self.draw(axes, PAGE), self.name, self.label)


def u_curves(findings: Findings) -> list[Picture]:
    """Return every U-curve, on one axis of rates."""
    rates = findings.rates if findings.u_curves else (1.0, 2.0)

    def of(curve: UCurve, number: int) -> Picture:
        model = findings.model if curve.comparable(findings.terms.target) else None

        def draw(axes: Axes, colours: Palette) -> None:
            draw_u_curve(axes, curve, rates, model, colours)

        return Picture(f"curve-{number}", f"Validation loss by max learning rate, {curve.name}", draw)

    return [of(curve, number) for number, curve in enumerate(findings.u_curves, 1)]


def optima(findings: Findings) -> list[Picture]:
    """Return the optimum against scale, for steps and for model sizes as far as either was tried."""
    pictures = []
    for across, members in ladders(findings.u_curves, findings.terms.target):

        def draw(
            axes: Axes, colours: Palette, across: Any = across, members: Sequence[UCurve] = tuple(members)
        ) -> None:
            draw_optimum(axes, members, findings.goal, across, findings.model, colours)

        pictures.append(Picture(f"optimum-{across.name}", f"Best max learning rate by {across.label}", draw))
    return pictures


def losses(findings: Findings) -> list[Picture]:
    """Return the loss curves of the trials that have a log, a picture for each U-curve."""

    def of(curve: UCurve, number: int) -> Picture:
        def draw(axes: Axes, colours: Palette) -> None:
            draw_losses(axes, findings.curves(curve), findings.rates)
            axes.set_title(curve.name)

        return Picture(f"losses-{number}", f"Loss by step of the runs of {curve.name}", draw)

    return [of(curve, number) for number, curve in enumerate(findings.u_curves, 1) if findings.curves(curve)]


SETS: dict[str, Callable[[Findings], list[Picture]]] = {"u-curves": u_curves, "optimum": optima, "losses": losses}
"""Name of a file, without its ending -> the pictures in it."""


def figure_of(pictures: Sequence[Picture]) -> Figure:
    """Return pictures side by side, three in a row, for a paper."""
    columns = min(_COLUMNS, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    # Not the user's own style, by which colours would not be those that are meant.
    style: dict[Any, Any] = {key: value for key, value in matplotlib.rcParamsDefault.items() if "backend" not in key}
    with matplotlib.rc_context({**style, **_STYLE}):
        wide, high = _WIDTH * columns, _HEIGHT * rows
        figure = Figure(figsize=(wide, high), dpi=130)
        for number, picture in enumerate(pictures):
            row, column = divmod(number, columns)
            left, bottom = column * _WIDTH + _LEFT, (rows - 1 - row) * _HEIGHT + _BOTTOM
            width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - _TOP
            axes = figure.add_axes((left / wide, bottom / high, width / wide, height / high))
            picture.draw(axes, PAPER)
    return figure


def write(findings: Findings, folder: str, ending: str = "png") -> list[str]:
    """Write the figures that there are into a folder, as PNG, SVG or PDF, and return their paths.

    Raises UserError for another ending, and where a file cannot be written.
    """
    written = []
    for name, pictures_of in SETS.items():
        pictures = pictures_of(findings)
        if pictures:
            written.append(join_path(folder, f"{name}.{ending}"))
            files.save(figure_of(pictures), written[-1])
    return written
