"""What is known of a finished or running training: its log, its parameters, and both in a line or a table."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from sparkprep.console import say_line
from sparkprep.errors import UserError
from sparkprep.io.paths import join_path, normalise
from trainer import run_files
from trainer.confidence import wilson
from trainer.runs import log as run_log
from trainer.runs import parameters as run_parameters
from trainer.runs.log import History

HELLASWAG_EXAMPLES = 10_042
"""Questions of HellaSwag's validation set, of which llm.c asks all."""
GPT2_124M_HELLASWAG = 0.294463
"""Accuracy of OpenAI's 124M checkpoint, asked in llm.c's way (its notebook of runs)."""
CHANCE = 0.25

_UNKNOWN = "-"
_COLUMNS = (
    *("run", "parameters", "LR", "last step"),
    *("min train", "at step", "min val", "at step"),
    *("HellaSwag", "95 %", "hours"),
)


@dataclass(frozen=True)
class Accuracy:
    """HellaSwag at a step: the part answered rightly, and the ends of its 95 % interval, all 0 to 1."""

    step: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class LoggedRun:
    """One run, as its files tell of it.

    name: its folder's. parameters: of its last start. missing: sentences about what it does not tell.
    """

    name: str
    folder: str
    history: History
    parameters: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def learning_rate(self) -> float | None:
        """The highest learning rate that the schedule was given."""
        return _number(self.parameters.get(run_parameters.LEARNING_RATE))

    @property
    def num_parameters(self) -> int | None:
        """Parameters of the model, those of the padded vocabulary among them."""
        number = _number(self.parameters.get(run_parameters.NUM_PARAMETERS))
        return None if number is None else int(number)

    @property
    def validation_data(self) -> str:
        """The pattern of the shards that it was validated on; "" where that is not known."""
        return self.parameters.get("val data pattern", "")

    @property
    def tokens_per_step(self) -> int | None:
        """Tokens of an update."""
        number = _number(self.parameters.get("total batch size"))
        return None if number is None else int(number)

    @property
    def flops_per_step(self) -> int | None:
        """Floating-point operations of an update, 6 N + 6 L C T for each token, as llm.c counts."""
        names = ("num_layers L", "channels C", "sequence length T")
        layers, channels, seq_len = (_number(self.parameters.get(name)) for name in names)
        if None in (layers, channels, seq_len, self.num_parameters, self.tokens_per_step):
            return None
        attention = int(layers or 0) * int(channels or 0) * int(seq_len or 0)
        return 6 * (int(self.num_parameters or 0) + attention) * int(self.tokens_per_step or 0)

    @property
    def min_train(self) -> tuple[int, float] | None:
        """(step, loss) of the least training loss of any one step."""
        return self.history.train.minimum()

    @property
    def min_validation(self) -> tuple[int, float] | None:
        """(step, loss) of the least validation loss."""
        return self.history.validation.minimum()

    @property
    def final_hellaswag(self) -> Accuracy | None:
        """The last accuracy on HellaSwag, with its interval; None where the log has none."""
        stream = self.history.hellaswag
        if not len(stream) or not math.isfinite(stream.values[-1]):
            return None
        value = float(stream.values[-1])
        return Accuracy(int(stream.steps[-1]), value, *wilson(value, HELLASWAG_EXAMPLES))


def load_run(folder: str) -> LoggedRun:
    """Return the run in a local folder, of which only main.log must be there; `LoggedRun.missing` says what else lacks.

    Raises UserError where there is no main.log or it is not one.
    """
    folder = normalise(folder)
    history = run_log.read(join_path(folder, run_files.LOG))
    missing: list[str] = []
    parameters: dict[str, str] = {}
    try:
        parameters = run_parameters.read(join_path(folder, run_files.PARAMETERS))
    except UserError as error:
        missing.append(f"{error} (so neither learning rate nor model size is known)")
    log = join_path(folder, run_files.LOG)
    if not len(history.train):
        missing.append(f"{log}: no training loss (trl) yet")
    if not len(history.validation):
        missing.append(f"{log}: no validation loss (tel) yet")
    return LoggedRun(os.path.basename(folder), folder, history, parameters, tuple(missing))


def load_runs(folders: Sequence[str]) -> list[LoggedRun]:
    """Return the runs in these folders; where two folders have one name, their names begin with the folder above.

    Of several, one whose log cannot be read is left out with a warning on stderr. Raises UserError where none can be.
    """
    runs: list[LoggedRun] = []
    refused: list[UserError] = []
    for folder in folders:
        try:
            runs.append(load_run(folder))
        except UserError as error:
            refused.append(error)
    if refused and not runs:
        raise refused[0]
    for each in refused:
        say_line(f"warning: {each}; this run is left out", sys.stderr)
    names = [run.name for run in runs]
    return [
        run
        if names.count(run.name) == 1
        else LoggedRun("/".join(run.folder.split(os.sep)[-2:]), run.folder, run.history, run.parameters, run.missing)
        for run in runs
    ]


def summary_line(run: LoggedRun) -> str:
    """Return the line that llm.c's notebook prints of a run; `-` stands for what is not known."""
    lowest = [_UNKNOWN if point is None else f"{point[1]:.4f}" for point in (run.min_train, run.min_validation)]
    hours = run.history.hours
    return (
        f"Params: {_millions(run)} | LR : {format_rate(run.learning_rate)} | Min Train Loss: {lowest[0]} | "
        f"Min Val Loss : {lowest[1]} | Train Time : {_UNKNOWN if hours is None else f'{hours:.2f}'} hrs"
    )


def summary(runs: Sequence[LoggedRun]) -> str:
    """Return a line for each run: its name and its summary, then what any of them does not tell."""
    width = max((len(run.name) for run in runs), default=0)
    lines = [f"{run.name:<{width}}  {summary_line(run)}" for run in runs]
    return "\n".join(lines + [f"note: {sentence}" for run in runs for sentence in run.missing])


def table(runs: Sequence[LoggedRun]) -> str:
    """Return all runs in one aligned table of text; `-` stands for what is not known."""
    rows = [_COLUMNS, *(_row(run) for run in runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])  # names left, numbers right
        for row in rows
    )


def format_rate(rate: float | None) -> str:
    """Return a learning rate with 4 decimals, in powers of ten where these would show nothing of it; `-` for None."""
    if rate is None:
        return _UNKNOWN
    return f"{rate:.4f}" if rate == 0 or abs(rate) >= 1e-4 else f"{rate:.2e}"


def _row(run: LoggedRun) -> tuple[str, ...]:
    cells: list[str] = []
    for point in (run.min_train, run.min_validation):
        cells += [_UNKNOWN, _UNKNOWN] if point is None else [f"{point[1]:.4f}", str(point[0])]
    final = run.final_hellaswag
    cells += [_UNKNOWN, _UNKNOWN] if final is None else [f"{final.value:.4f}", f"{final.low:.4f}-{final.high:.4f}"]
    streams = (run.history.train, run.history.validation, run.history.hellaswag)
    last = max((int(stream.steps[-1]) for stream in streams if len(stream)), default=None)
    hours = run.history.hours
    return (
        run.name,
        _millions(run),
        format_rate(run.learning_rate),
        _UNKNOWN if last is None else str(last),
        *cells,
        _UNKNOWN if hours is None else f"{hours:.2f}",
    )


def _millions(run: LoggedRun) -> str:
    return _UNKNOWN if run.num_parameters is None else f"{run.num_parameters / 1e6:.2f}m"


def _number(text: str | None) -> float | None:
    """Return a parameter's text as a number; None for no text, or one that is no finite number."""
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
