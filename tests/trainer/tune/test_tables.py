"""The table of experiments: twelve columns in each format, what diverged says so, and the total stands under it."""

import csv
import io
import json
import re
from pathlib import Path

import made_studies
import pytest

from sparkprep.errors import UserError
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.tables import COLUMNS, FORMATS, ExperimentTable, escaped

TWELVE = [
    *("number", "max_lr", "steps", "depth", "channels", "heads", "ramp_up", "decay_target"),
    *("run_time_hours", "cost_dollars", "final_val_loss", "final_hellaswag"),
]


@pytest.fixture
def table() -> ExperimentTable:
    return ExperimentTable(made_studies.ladder(), spent=18.6, budget=20.0)


def test_the_columns_are_the_course_s_twelve(table: ExperimentTable) -> None:
    assert [column.key for column in COLUMNS] == TWELVE
    assert table.csv().splitlines()[0] == ",".join(TWELVE)


def test_the_csv_has_all_values_and_a_total(table: ExperimentTable) -> None:
    *rows, total = csv.DictReader(io.StringIO(table.csv()))
    assert len(rows) == len(table.outcomes)
    for number, (row, told) in enumerate(zip(rows, table.outcomes, strict=True), 1):
        experiment = told.experiment
        assert (int(row["number"]), float(row["max_lr"])) == (number, experiment.learning_rate)
        assert (int(row["steps"]), row["ramp_up"], float(row["decay_target"])) == (experiment.steps, "Y", 0.0)
        assert float(row["run_time_hours"]) * 3600 == pytest.approx(told.seconds, abs=0.01)
        assert float(row["cost_dollars"]) == pytest.approx(told.dollars, abs=1e-6)
        assert row["final_val_loss"] == ("diverged" if told.loss is None else str(told.loss))
        assert row["final_hellaswag"] == ("" if told.hellaswag is None else str(told.hellaswag))
    assert [row["final_val_loss"] for row in rows].count("diverged") == 2
    assert (total["number"], float(total["cost_dollars"]), total["final_val_loss"]) == ("total", 18.6, "")


def test_markdown_has_a_row_for_each_experiment_and_what_was_spent(table: ExperimentTable) -> None:
    lines = table.markdown().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + len(table.outcomes)
    assert all(line.count("|") == 13 for line in rows)
    assert re.fullmatch(r"\| 6 \| 0.032 \| 100 \| .* \| diverged at 33 \| – \|", rows[7])
    assert lines[-1].startswith("Total spend: $18.60 of a budget of $20.00; 16 experiments (2 diverged), ")
    assert f"${18.6 - table.charged:.4f} of it for the probe" in lines[-1]


def test_latex_is_a_table_of_twelve_cells_in_each_row(table: ExperimentTable) -> None:
    text = table.latex()
    for name in ("table", "tabular"):
        assert text.count(f"\\begin{{{name}}}") == text.count(f"\\end{{{name}}}") == 1
    assert r"\begin{tabular}{rrrrrrrrrrrr}" in text
    rows = [line for line in text.splitlines() if re.match(r"\d+ & ", line)]
    assert len(rows) == len(table.outcomes)
    assert all(len(re.findall(r"(?<!\\)&", row)) == 11 and row.endswith(r" \\") for row in rows)
    assert rows[5].endswith(r"diverged at 33 & -- \\")
    assert r"Total spend: \$18.60 of a budget of \$20.00" in text
    assert not re.search(r"(?<!\\)[$%#_]", text.replace("$\\times$", ""))
    assert text.isascii()


def test_latex_prints_its_own_characters() -> None:
    assert escaped(r"5 % of $3 & a_b #1 {x} ~ ^ \n") == (
        r"5 \% of \$3 \& a\_b \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}n"
    )


def test_json_tells_all_that_is_known(table: ExperimentTable) -> None:
    told = json.loads(table.json(), parse_constant=pytest.fail)  # no NaN, which is none of JSON's
    assert (told["total_dollars"], told["budget_dollars"], told["diverged"]) == (18.6, 20.0, 2)
    sixth, last = told["experiments"][5], told["experiments"][-1]
    assert set(TWELVE) < set(sixth)
    assert (sixth["diverged"], sixth["final_val_loss"], sixth["diverged_at"]) == (True, None, 33)
    assert (last["stage"], last["final_hellaswag"], last["diverged"]) == ("hold-out", 0.2712, False)
    assert (last["warmup_steps"], last["parameters"]) == (80, 124_475_904)


def test_a_run_without_warm_up_or_end_says_so() -> None:
    experiment = Experiment("bracket", 4e-3, Scale(12, 768, 12, 4725), warmup=0, stop_after=10)
    table = ExperimentTable([Outcome(experiment, None, 121.0, 0.0004)])
    cells = dict(zip(TWELVE, table.rows[0].cells, strict=True))
    assert (cells["steps"], cells["ramp_up"], cells["final_val_loss"]) == ("10 of 4,725", "N", "diverged")
    assert (cells["run_time_hours"], cells["cost_dollars"]) == ("2 min 1 s", "$0.0004")
    assert next(csv.DictReader(io.StringIO(table.csv())))["steps"] == "10"


def test_a_study_without_experiments_has_a_table() -> None:
    table = ExperimentTable([], budget=20.0)
    assert table.spending() == "Total spend: $0.00 of a budget of $20.00; 0 experiments."
    assert [len(table.formatted(ending)) > 0 for ending in FORMATS] == [True] * 4


def test_every_format_is_a_file(table: ExperimentTable, tmp_path: Path) -> None:
    paths = table.write(str(tmp_path))
    assert [Path(path).name for path in paths] == [f"experiments.{ending}" for ending in ("csv", "md", "tex", "json")]
    for path in paths:
        assert Path(path).read_text(encoding="utf-8") == table.formatted(Path(path).suffix[1:])
    with pytest.raises(UserError, match="'xlsx'; choose of csv, md, tex, json"):
        table.formatted("xlsx")
