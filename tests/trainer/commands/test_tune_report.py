"""`tune_lr.py report` tells of a study as it lies on disk, finished or not, and changes nothing of it."""

import csv
import json
from pathlib import Path

import pytest
import tuning

from trainer.commands import tune_report
from trainer.runs.log import RunLog
from trainer.tune.costs import Speed, write_probes
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.ledger import Charge
from trainer.tune.strategies import STRATEGIES
from trainer.tune.study import opened


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of which three trials have ended, the last by divergence, made by the study itself."""
    monkeypatch.setitem(STRATEGIES, "few-rates", tuning.FewRates())
    with opened(tuning.study(tmp_path)) as study:
        write_probes(study.folder, {(1, 16, 2): Speed(12, 5.0, 5.0, 2.0)})
        for rate, loss in ((1e-3, 9.1), (1e-2, 8.7), (1e-1, None)):
            experiment = Experiment("rates", rate, Scale(1, 16, 2, 20), 2)
            number = study.ask(experiment)
            study.ledger.write(Charge(number + 1, f"trial {number}", 3.0, 1.5, ended=True))
            with RunLog(study.trial_folder(number), resume=False) as log:
                for step in range(20):
                    log.train(step, 11 - step / 10, rate, 1.0, 5.0)
                if loss is not None:
                    log.validation(20, loss)
            study.tell(number, Outcome(experiment, loss, 3.0, 0.00125, diverged_at=None if loss else 12))
    return tmp_path / "tuning"


def everything_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_study_has_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything_in(folder)
    assert tuning.main(["report", str(folder), "--format", "svg"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "max learning rate  0.01"
    assert "Total spend: $0.0037 of a budget of $0.90; 3 experiments (1 diverged), 9.0 s in all." in lines
    assert lines[-2].startswith("the final run: ")
    assert " -l 0.01 -x 200 " in lines[-2]
    assert lines[-1] == f"wrote {folder}/report/report.html"
    made = {path.name for path in (folder / "report").iterdir()}
    assert made == {
        *("report.html", "recommendation.json", "u-curves.svg", "optimum.svg", "losses.svg"),
        *(f"experiments.{ending}" for ending in ("csv", "md", "tex", "json")),
    }
    assert json.loads((folder / "report" / "recommendation.json").read_text())["learning_rate"] == 1e-2
    rows = list(csv.DictReader((folder / "report" / "experiments.csv").open()))
    assert [row["final_val_loss"] for row in rows] == ["9.1", "8.7", "diverged", ""]
    page = (folder / "report" / "report.html").read_text()
    assert "1 layer, 16 channels and 2 heads" in page
    assert "Kept back for the final run: $0.10." in page
    assert {path: content for path, content in everything_in(folder).items() if path in before} == before


def test_a_study_that_has_no_outcome_yet_has_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(STRATEGIES, "few-rates", tuning.FewRates())
    with opened(tuning.study(tmp_path)):
        pass
    assert tune_report.main([str(tmp_path / "tuning"), "--output", str(tmp_path / "told")]) == 0
    assert capsys.readouterr().out.startswith("no rate can be recommended yet")
    assert "No experiment has ended yet." in (tmp_path / "told" / "report.html").read_text()


def test_where_there_is_no_study_the_way_to_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_report.main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path}: holds no study" in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
