"""The table of all experiments, twelve columns, as CSV, Markdown, LaTeX and JSON, with what was spent under it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparkprep.errors import UserError
from sparkprep.io.files import write_text
from sparkprep.io.paths import join_path
from sparkprep.pages.environment import duration
from sparkprep.units import counted
from trainer.tune.experiments import Outcome

DIVERGED = "diverged"
"""What stands for the loss of a run that has none."""
NAME = "experiments"
"""Of the files, before the ending that tells their format."""
_NOTHING = "–"
_DIGITS = 6  # after the point, of hours and dollars in files: a hundredth of a second, a ten-thousandth of a cent
_MATHS = {"–": "--", "×": r"$\times$"}
_SPECIAL = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **_MATHS,
}


@dataclass(frozen=True)
class Column:
    """key: of CSV and JSON. heading: for people; a line break in it is one in LaTeX. plain, shown: a row's cell."""

    key: str
    heading: str
    plain: Callable[[Row], str | int | float | None]
    shown: Callable[[Row], str]


@dataclass(frozen=True)
class Row:
    """An outcome and its number in the order of the study, from 1. decay_target: last rate over the highest."""

    number: int
    outcome: Outcome
    decay_target: float

    @property
    def cells(self) -> list[str]:
        """What people read, a text for each of COLUMNS."""
        return [column.shown(self) for column in COLUMNS]

    @property
    def plain(self) -> dict[str, str | int | float | None]:
        """What programs read, a value for each of COLUMNS by its key; None where there is none."""
        return {column.key: column.plain(self) for column in COLUMNS}


@dataclass(frozen=True)
class ExperimentTable:
    """All experiments of a study, in the order in which they ended.

    spent: dollars charged in all, probe and broken starts included; None: the sum of the outcomes'. budget: dollars
    that were allowed. decay_target: last learning rate over the highest, of all schedules.
    """

    outcomes: Sequence[Outcome]
    spent: float | None = None
    budget: float | None = None
    decay_target: float = 0.0

    @property
    def rows(self) -> list[Row]:
        """The rows, numbered from 1."""
        return [Row(number, outcome, self.decay_target) for number, outcome in enumerate(self.outcomes, 1)]

    @property
    def charged(self) -> float:
        """Dollars of the experiments in the table."""
        return math.fsum(outcome.dollars for outcome in self.outcomes)

    @property
    def total(self) -> float:
        """Dollars spent in all."""
        return self.charged if self.spent is None else self.spent

    @property
    def seconds(self) -> float:
        """Wall-clock time of the experiments in the table."""
        return math.fsum(outcome.seconds for outcome in self.outcomes)

    def spending(self) -> str:
        """Return the line under the table: what was spent, of how much, on what."""
        of_budget = "" if self.budget is None else f" of a budget of {money(self.budget)}"
        diverged = sum(outcome.diverged for outcome in self.outcomes)
        parts = [counted(len(self.outcomes), "experiment") + (f" ({diverged} {DIVERGED})" if diverged else "")]
        if self.outcomes:
            parts.append(f"{duration(self.seconds)} in all")
        apart = self.total - self.charged
        if round(apart, 2) > 0:
            parts.append(f"{money(apart)} of it for the probe and for what left no outcome")
        return f"Total spend: {money(self.total)}{of_budget}; {', '.join(parts)}."

    def csv(self) -> str:
        """Return a header, a line for each experiment, and a last line of the total.

        A run that diverged has `diverged` for its loss; a cell without a value is empty.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, [column.key for column in COLUMNS], restval="", lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow({key: "" if value is None else value for key, value in row.plain.items()})
        time, cost = round(self.seconds / 3600, _DIGITS), round(self.total, _DIGITS)
        writer.writerow({"number": "total", "run_time_hours": time, "cost_dollars": cost})
        return text.getvalue()

    def markdown(self) -> str:
        """Return a table as GitHub shows it, and what was spent under it."""
        lines = [_piped([column.heading.replace("\n", " ") for column in COLUMNS])]
        lines.append(_piped(["---:"] * len(COLUMNS)))
        lines += [_piped([cell.replace("|", r"\|") for cell in row.cells]) for row in self.rows]
        return "\n".join([*lines, "", self.spending(), ""])

    def latex(self) -> str:
        """Return a `table` that needs no package, headings in two lines, and what was spent as the last row."""
        upper, lower = zip(*([*column.heading.split("\n"), ""][:2] for column in COLUMNS), strict=True)
        lines = [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{{'r' * len(COLUMNS)}}}",
            r"\hline",
            _ampersands(upper),
            _ampersands(lower),
            r"\hline",
            *(_ampersands(row.cells) for row in self.rows),
            r"\hline",
            rf"\multicolumn{{{len(COLUMNS)}}}{{l}}{{{escaped(self.spending())}}} \\",
            r"\end{tabular}",
            r"\caption{Experiments of the search for the highest learning rate.}",
            r"\label{tab:experiments}",
            r"\end{table}",
            "",
        ]
        return "\n".join(lines)

    def json(self) -> str:
        """Return all that is known of each experiment, beside its twelve columns, and the totals."""
        experiments = [{**row.plain, **_details(row.outcome)} for row in self.rows]
        content = {
            "total_dollars": self.total,
            "budget_dollars": self.budget,
            "total_seconds": self.seconds,
            "diverged": sum(outcome.diverged for outcome in self.outcomes),
            "experiments": experiments,
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    def write(self, folder: str) -> list[str]:
        """Write the table in every format into a folder and return the paths; each appears whole or not at all."""
        written = []
        for ending in FORMATS:
            written.append(join_path(folder, f"{NAME}.{ending}"))
            write_text(written[-1], self.formatted(ending))
        return written

    def formatted(self, ending: str) -> str:
        """Return the table in one of FORMATS. Raises UserError for another."""
        if ending not in FORMATS:
            raise UserError(f"a table cannot be written as {ending!r}; choose of {', '.join(FORMATS)}")
        return FORMATS[ending](self)


FORMATS: Mapping[str, Callable[[ExperimentTable], str]] = {
    "csv": ExperimentTable.csv,
    "md": ExperimentTable.markdown,
    "tex": ExperimentTable.latex,
    "json": ExperimentTable.json,
}
"""Ending of the file -> the text in it."""


def rate(value: float, digits: int = 4) -> str:
    """Return a learning rate for people: 0.002154 or 8.5e-05."""
    return f"{value:.{digits}g}"


def money(value: float) -> str:
    """Return dollars as they are printed: to the cent, small sums to a hundredth of it."""
    small = abs(value) < 1 and round(value, 2) != round(value, 4)
    return f"${value:.4f}" if small else f"${value:,.2f}"


def escaped(text: str) -> str:
    """Return a text as LaTeX prints it."""
    return "".join(_SPECIAL.get(char, char) for char in text)


def _shown_steps(row: Row) -> str:
    experiment = row.outcome.experiment
    whole = f"{experiment.scale.steps:,}"
    return whole if experiment.stop_after is None else f"{experiment.stop_after:,} of {whole}"


def _plain_loss(row: Row) -> float | str:
    return DIVERGED if row.outcome.loss is None else row.outcome.loss


def _shown_loss(row: Row) -> str:
    outcome = row.outcome
    if outcome.loss is not None:
        return f"{outcome.loss:.4f}"
    return DIVERGED if outcome.diverged_at is None else f"{DIVERGED} at {outcome.diverged_at:,}"


def _shown_accuracy(row: Row) -> str:
    return _NOTHING if row.outcome.hellaswag is None else f"{row.outcome.hellaswag:.4f}"


def _ramps(row: Row) -> str:
    return "Y" if row.outcome.experiment.warmup > 0 else "N"


COLUMNS = (
    Column("number", "No.", lambda row: row.number, lambda row: str(row.number)),
    Column(
        "max_lr",
        "Max LR",
        lambda row: row.outcome.experiment.learning_rate,
        lambda row: rate(row.outcome.experiment.learning_rate),
    ),
    Column("steps", "Steps", lambda row: row.outcome.experiment.steps, _shown_steps),
    Column(
        "depth",
        "Depth",
        lambda row: row.outcome.experiment.scale.depth,
        lambda row: str(row.outcome.experiment.scale.depth),
    ),
    Column(
        "channels",
        "Channels",
        lambda row: row.outcome.experiment.scale.channels,
        lambda row: str(row.outcome.experiment.scale.channels),
    ),
    Column(
        "heads",
        "Heads",
        lambda row: row.outcome.experiment.scale.heads,
        lambda row: str(row.outcome.experiment.scale.heads),
    ),
    Column("ramp_up", "Ramp-up", _ramps, _ramps),
    Column("decay_target", "Decay\ntarget", lambda row: row.decay_target, lambda row: f"{row.decay_target:g}"),
    Column(
        "run_time_hours",
        "Run\ntime",
        lambda row: round(row.outcome.seconds / 3600, _DIGITS),
        lambda row: duration(row.outcome.seconds),
    ),
    Column(
        "cost_dollars",
        "Cost",
        lambda row: round(row.outcome.dollars, _DIGITS),
        lambda row: money(row.outcome.dollars),
    ),
    Column("final_val_loss", "Final\nval loss", _plain_loss, _shown_loss),
    Column("final_hellaswag", "Final\nHellaSwag", lambda row: row.outcome.hellaswag, _shown_accuracy),
)
"""What is told of each experiment, from left to right."""


def _details(outcome: Outcome) -> dict[str, Any]:
    """Return what the twelve columns do not tell; the loss as a number or null."""
    experiment, train_loss = outcome.experiment, outcome.train_loss
    return {
        "final_val_loss": outcome.loss,
        "diverged": outcome.diverged,
        "diverged_at": outcome.diverged_at,
        "final_train_loss": train_loss if train_loss is not None and math.isfinite(train_loss) else None,
        "stage": experiment.stage,
        "warmup_steps": experiment.warmup,
        "stop_after": experiment.stop_after,
        "seed": experiment.seed,
        "parameters": experiment.scale.parameters,
        "run_time_seconds": outcome.seconds,
        "scale": asdict(experiment.scale),
    }


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ampersands(cells: Sequence[str]) -> str:
    return rf"{' & '.join(map(escaped, cells))} \\"
