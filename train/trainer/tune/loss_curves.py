"""The loss curves of trials, from their logs, coloured by learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.runs.log import History, Values
from trainer.runs.plots import smoothed
from trainer.tune.tables import rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEGEND = 10  # entries of a legend at most
_SMOOTH = 60  # points of a training loss's curve that are left
_SPECTRUM = (
    (47, 127, 200),
    (38, 160, 110),
    (226, 140, 24),
    (205, 50, 90),
)  # from low rates to high: legible on white and black


def draw_losses(axes: Axes, curves: Sequence[tuple[float, History, bool]], rates: tuple[float, float]) -> None:
    """Draw the loss of each run of a U-curve by its steps, coloured by its learning rate from low (blue) to high (red).

    curves: of each run the rate, what its log holds, and whether it diverged (dashed). The line is the training loss,
    smoothed, and the squares are validations.
    """
    ordered = sorted(curves, key=lambda curve: curve[0])
    named = _evenly(sorted({curve[0] for curve in ordered}), _LEGEND)
    levels: list[Values] = []
    lasts = [1]
    for learning_rate, history, diverged in ordered:
        colour = rate_colour(learning_rate, rates)
        label = rate(learning_rate) if learning_rate in named else None
        named = [other for other in named if other != learning_rate]
        train, validation = history.train, history.validation
        style = (0, (2, 2)) if diverged else "-"
        line = smoothed(train.values, max(1, len(train) // _SMOOTH))
        axes.plot(train.steps, line, color=colour, linewidth=1.4, linestyle=style, label=label)
        axes.plot(validation.steps, validation.values, "s", color=colour, markersize=4)
        lasts += [int(stream.steps[-1]) for stream in (train, validation) if len(stream)]
        if not diverged:
            levels += [line[len(line) // 3 :], validation.values[-1:]]
    axes.set_xlim(0, max(lasts) * 1.02)
    values = np.concatenate(levels) if levels else np.array([])
    values = values[np.isfinite(values)]
    if len(values):
        margin = 0.05 * (values.max() - values.min()) or 0.05
        axes.set_ylim(values.min() - margin, values.max() + margin)
    axes.set_xlabel("steps")
    axes.set_ylabel("loss")
    axes.legend(frameon=False, fontsize="x-small", title="max LR", title_fontsize="x-small", loc="upper right", ncols=2)


def rate_colour(learning_rate: float, rates: tuple[float, float]) -> str:
    """Return the colour of a rate between two others, on a scale of logarithms."""
    share = math.log(learning_rate / rates[0]) / math.log(rates[1] / rates[0])
    place = min(max(share, 0.0), 1.0) * (len(_SPECTRUM) - 1)
    at = min(int(place), len(_SPECTRUM) - 2)
    pairs = zip(_SPECTRUM[at], _SPECTRUM[at + 1], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - at)):02x}" for a, b in pairs)


def _evenly(values: Sequence[float], number: int) -> list[float]:
    """Return at most so many of the values, first and last among them."""
    if len(values) <= number:
        return list(values)
    return [values[round(i * (len(values) - 1) / (number - 1))] for i in range(number)]
