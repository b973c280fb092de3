"""Pictures of runs: training and validation loss, HellaSwag, learning rate, one colour for each run.

Figures are made without pyplot, so no window system is needed and nothing is shared between them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from sparkprep.errors import UserError
from sparkprep.io.files import open_whole
from trainer.confidence import wilson
from trainer.runs import references as published
from trainer.runs.history import HELLASWAG_EXAMPLES, LoggedRun
from trainer.runs.log import Steps, Values
from trainer.runs.plot_layout import GREY, Label, Panel, Scale, colour, figure_of, pale
from trainer.runs.references import Reference

STREAMS = ("train", "validation")
FORMATS = ("png", "svg", "pdf")

_AUTO_POINTS = 200  # where no smoothing is given, about so many independent points are left
_FEW = 40  # points of a line up to which each has a clear marker
_APART, _BELOW = 10, 30  # the highest rates differ so much: logarithms, down to so much below the least of them
_NICE = (1, 1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8)  # ticks in each decade of a scale of logarithms


def loss_figure(
    runs: Sequence[LoggedRun],
    streams: Sequence[str] = STREAMS,
    log_scale: bool = True,
    smoothing: int | None = None,
    x: str = "steps",
    references: bool = True,
) -> Figure:
    """Draw training loss (pale) and validation loss, the least value of each marked.

    streams: of STREAMS. smoothing: the training loss is drawn as the mean of so many logged steps, above the single
    values in pale; 1 for these alone, None for what suits the number of steps. The marked minima are those of single
    values. x: what they are drawn over, one of SCALES. references: whether published values stand beside them, where
    they are of such a model and such data. Raises UserError for an unknown stream or x, a smoothing below 1, and a run
    whose files do not tell its x.
    """
    return _draw(runs, [_loss_panel(streams, log_scale, smoothing, references)], x)


def hellaswag_figure(runs: Sequence[LoggedRun], x: str = "steps", references: bool = True) -> Figure:
    """Draw HellaSwag accuracy with 95 % intervals, beside that of published models of the size, and chance."""
    return _draw(runs, [_hellaswag_panel(references)], x)


def lr_figure(runs: Sequence[LoggedRun], x: str = "steps") -> Figure:
    """Draw the learning rate; on a scale of logarithms where the highest rates of the runs lie decades apart."""
    return _draw(runs, [_LR_PANEL], x)


def overview_figure(
    runs: Sequence[LoggedRun],
    streams: Sequence[str] = STREAMS,
    log_scale: bool = True,
    smoothing: int | None = None,
    x: str = "steps",
    references: bool = True,
) -> Figure:
    """Draw in one row what the logs have of loss, HellaSwag and learning rate; arguments as of `loss_figure`."""
    loss = _loss_panel(streams, log_scale, smoothing, references)
    return _draw(runs, [loss, _hellaswag_panel(references), _LR_PANEL], x)


def save(figure: Figure, path: str) -> None:
    """Write the figure as PNG, SVG or PDF, as the name's ending says, locally or to S3; it appears whole or not at all.

    Raises UserError for another ending, or where the file cannot be written.
    """
    kind = check_format(path)
    drawn = io.BytesIO()
    # The time of drawing is left out, so that the same runs make the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with matplotlib.rc_context({"svg.hashsalt": "gpt2"}):
        figure.savefig(drawn, format=kind, metadata=metadata)
    with open_whole(path) as file:
        file.write(drawn.getvalue())


def check_format(path: str) -> str:
    """Return the format that a file name's ending tells: one of FORMATS. Raises UserError for another."""
    kind = os.path.splitext(path)[1].lower().removeprefix(".")
    if kind not in FORMATS:
        raise UserError(
            f"{path}: a plot is written as {', '.join('.' + name for name in FORMATS)}; choose one of these"
        )
    return kind


def smoothed(values: Values, window: int) -> Values:
    """Return the mean of the `window` values around each, of fewer near the ends, without those not finite.

    values: shape (n,); the result too, nan where a window holds no finite value.
    """
    finite = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    at = np.arange(len(values))
    low, high = np.maximum(at - (window - 1) // 2, 0), np.minimum(at + window // 2 + 1, len(values))
    present = counts[high] - counts[low]
    return np.where(present > 0, (sums[high] - sums[low]) / np.maximum(present, 1), np.nan)


def _draw(runs: Sequence[LoggedRun], panels: Sequence[Panel], x: str) -> Figure:
    if not runs:
        raise UserError("no run to draw; name at least one")
    if x not in SCALES:
        raise UserError(f"runs cannot be drawn over {x}; choose of {', '.join(SCALES)}")
    return figure_of(runs, panels, SCALES[x])


def _loss_panel(streams: Sequence[str], log_scale: bool, smoothing: int | None, references: bool) -> Panel:
    """Return a panel of the loss. Raises UserError for an unknown stream and a smoothing below 1."""
    unknown = [stream for stream in streams if stream not in STREAMS]
    if unknown or not streams:
        raise UserError(f"no loss is called {', '.join(unknown) or '(nothing)'}; choose of {', '.join(STREAMS)}")
    if smoothing is not None and smoothing < 1:
        raise UserError(f"a mean of {smoothing} steps cannot be drawn; give 1 or more")

    def draw(axes: Axes, runs: Sequence[LoggedRun], scale: Scale) -> list[Label] | None:
        axes.set_title("Loss", loc="left", fontsize=11, fontweight="bold")
        axes.set_ylabel("loss (nats per token)")
        labels: list[Label] = []
        shown: list[Values] = []
        for i, run in enumerate(runs):
            train, validation, factor = run.history.train, run.history.validation, scale.factor(run)
            if "train" in streams and (least := run.min_train):
                _train_line(axes, factor * train.steps, train.values, pale(colour(i)), smoothing)
                labels.append(_least("train", least, factor, scale, colour(i)))
                shown.append(train.values)
            if "validation" in streams and (least := run.min_validation):
                axes.plot(factor * validation.steps, validation.values, color=colour(i), linewidth=1.7, zorder=3)
                _points(axes, factor * validation.steps, validation.values, colour(i), marker="s", zorder=3)
                labels.append(_least("val", least, factor, scale, colour(i)))
                shown.append(validation.values)
        if not labels:
            return None
        if references and "validation" in streams:
            others = published.of_loss([run for run in runs if run.min_validation])
            labels += _reference_lines(axes, others)
            shown.append(np.array([other.value for other in others]))
        _loss_scale(axes, np.concatenate(shown), log_scale)
        styles = {
            "train": Line2D([], [], color=pale(GREY), linewidth=1.3, label="train"),
            "validation": Line2D([], [], color=GREY, linewidth=1.7, marker="s", markersize=4, label="validation"),
        }
        axes.legend(handles=[styles[name] for name in STREAMS if name in streams], frameon=False, fontsize=9)
        return labels

    return Panel(draw, f"{' or '.join(streams)} loss")


def _least(name: str, least: tuple[int, float], factor: int, scale: Scale, colour: str) -> Label:
    """Return the label of a least value. least: its step and the value."""
    at = factor * least[0]
    return Label(least[1], f"{name} {least[1]:.4f} @ {scale.text(at)}", colour, at)


def _reference_lines(axes: Axes, references: Sequence[Reference]) -> list[Label]:
    """Draw the references as dotted lines, and return their labels."""
    for other in references:
        axes.axhline(other.value, color=GREY, linewidth=1.0, linestyle=":")
    return [Label(other.value, other.name, GREY, source=other.source) for other in references]


def _train_line(axes: Axes, steps: Steps, values: Values, colour: str, smoothing: int | None) -> None:
    """Draw the mean over the window, above the single values."""
    window = smoothing or max(1, len(values) // _AUTO_POINTS)
    if window > 1:
        axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.4)
    mean = smoothed(values, window)
    axes.plot(steps, mean, color=colour, linewidth=1.3)
    if len(steps) <= _FEW:
        _points(axes, steps, mean, colour, marker="o")


def _loss_scale(axes: Axes, values: Values, log_scale: bool) -> None:
    """Set limits and ticks of the loss; a scale of logarithms only where every value is above 0."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if not log_scale or low <= 0:
        margin = max((high - low) * 0.06, abs(high) * 0.005, 1e-6)
        axes.set_ylim(low - margin, high + margin)
        return
    margin = max((high / low) ** 0.06, 1.005)
    axes.set_yscale("log")
    axes.set_ylim(low / margin, high * margin)
    decades = range(int(np.floor(np.log10(low / margin))), int(np.ceil(np.log10(high * margin))) + 1)
    parts = _NICE if len(decades) <= 3 else (1,)
    ticks = [part * 10.0**decade for decade in decades for part in parts]
    inside = [tick for tick in ticks if low / margin <= tick <= high * margin]
    axes.yaxis.set_major_locator(FixedLocator(inside) if len(inside) > 3 else MaxNLocator(7))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))


def _hellaswag_panel(references: bool) -> Panel:
    def draw(axes: Axes, runs: Sequence[LoggedRun], scale: Scale) -> list[Label] | None:
        axes.set_title("HellaSwag", loc="left", fontsize=11, fontweight="bold")
        axes.set_ylabel("accuracy (band: 95 % interval)")
        labels: list[Label] = []
        ends: list[float] = []
        asked: list[LoggedRun] = []
        for i, run in enumerate(runs):
            stream = run.history.hellaswag
            finite = np.isfinite(stream.values)
            if not finite.any():
                continue
            at, values = scale.factor(run) * stream.steps[finite], stream.values[finite]
            ends += _accuracies(axes, at, values, colour(i))
            labels.append(Label(float(values[-1]), f"{values[-1]:.4f} @ {scale.text(at[-1])}", colour(i)))
            asked.append(run)
        if not asked:
            return None
        others = published.of_hellaswag(asked) if references else []
        labels += _reference_lines(axes, others)
        ends += [other.value for other in others]
        margin = max((max(ends) - min(ends)) * 0.06, 1e-3)
        axes.set_ylim(min(ends) - margin, max(ends) + margin)
        return labels

    return Panel(draw, "HellaSwag accuracy (eval)")


def _accuracies(axes: Axes, at: Steps, values: Values, colour: str) -> list[float]:
    """Draw the accuracies of a run with their intervals; return the least and the greatest end of these."""
    low, high = np.array([wilson(value, HELLASWAG_EXAMPLES) for value in values.tolist()]).T
    if len(at) == 1:  # a band of no width would not be seen
        axes.errorbar(
            at, values, yerr=[values - low, high - values], color=colour, capsize=4, linewidth=1.2, fmt="none"
        )
    else:
        axes.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(at, values, color=colour, linewidth=1.7)
    _points(axes, at, values, colour, marker="o")
    return [float(low.min()), float(high.max())]


def _draw_lr(axes: Axes, runs: Sequence[LoggedRun], scale: Scale) -> list[Label] | None:
    axes.set_title("Learning rate", loc="left", fontsize=11, fontweight="bold")
    axes.set_ylabel("learning rate")
    highest: list[float] = []
    for i, run in enumerate(runs):
        finite = np.isfinite(run.history.lr)
        if not finite.any():
            continue
        at, rates = scale.factor(run) * run.history.train.steps[finite], run.history.lr[finite]
        # Schedules often lie on one another, so an earlier one is drawn wider than those above it.
        axes.plot(at, rates, color=colour(i), linewidth=1.6 + 2.4 * (1 - (i + 1) / len(runs)))
        if len(at) <= _FEW:
            _points(axes, at, rates, colour(i), marker="o")
        highest.append(float(rates.max()))
    if not highest:
        return None
    _lr_scale(axes, [rate for rate in highest if rate > 0])
    return []


_LR_PANEL = Panel(_draw_lr, "learning rate (lr)")


def _lr_scale(axes: Axes, highest: Sequence[float]) -> None:
    """Set limits and ticks of the learning rate, of which runs reach these highest values, all above 0.

    The end of each schedule lies decades below its height, so that only what the runs differ by decides on logarithms.
    """
    if highest and max(highest) >= _APART * min(highest):
        axes.set_yscale("log")
        axes.set_ylim(min(highest) / _BELOW, max(highest) * 1.4)
    else:
        axes.set_ylim(0, max(highest, default=0.0) * 1.06 or 1.0)
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))


def _points(axes: Axes, steps: Steps, values: Values, colour: str, marker: str, zorder: float = 2) -> None:
    """Draw a marker at each point, smaller where there are many; a lone point has nothing else to be seen by."""
    size = 7.0 if len(steps) == 1 else 4.0 if len(steps) <= _FEW else 2.2
    axes.plot(steps, values, color=colour, linestyle="none", marker=marker, markersize=size, zorder=zorder)


def _plain(value: float, position: int | None = None) -> str:
    """Return a tick's number without superfluous zeros: 3.5, 0.0006, 6e-05."""
    return f"{value:.6g}"


def _of_tokens(value: float) -> str:
    """Return a number of tokens in thousands, millions or billions, such as 524k or 2.48B."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


SCALES = {
    "steps": Scale("steps", "step", lambda run: 1, lambda value: f"{value:.0f}"),
    "tokens": Scale("tokens", "tokens", lambda run: run.tokens_per_step, _of_tokens),
    "flops": Scale("flops", "training FLOPs", lambda run: run.flops_per_step, lambda value: f"{value:.3g}"),
}
"""What values may be drawn over."""
