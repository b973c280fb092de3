"""`tune_lr.py next` names the experiment that is worth most for a dollar, runs nothing and changes nothing."""

import re
from pathlib import Path

import pytest
import tuning

from trainer.tune.costs import Speed, write_probes
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.ledger import Charge
from trainer.tune.strategies import STRATEGIES
from trainer.tune.study import opened


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of a bowl with its bottom at 0.008, of which five trials have ended."""
    monkeypatch.setitem(STRATEGIES, "few-rates", tuning.FewRates())
    with opened(tuning.study(tmp_path)) as study:
        write_probes(study.folder, {(1, 16, 2): Speed(12, 5.0, 5.0, 2.0)})
        for rate, loss in ((0.002, 5.08), (0.004, 5.02), (0.008, 5.0), (0.016, 5.02), (0.032, 5.09)):
            experiment = Experiment("rates", rate, Scale(1, 16, 2, 20), 2)
            number = study.ask(experiment)
            study.ledger.write(Charge(number + 1, f"trial {number}", 3.0, 1.5, ended=True))
            study.tell(number, Outcome(experiment, loss, 3.0, 0.00125))
    return tmp_path / "tuning"


def test_the_experiment_worth_most_is_named_with_its_price(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert tuning.main(["next", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"next         .*, 1/16/2, [\d,]+ steps, rate [\d.e-]+$", lines[0])
    assert lines[-2].startswith("because      ")
    worth = re.fullmatch(
        r"worth        ([\d.]+) nats of expected regret for \$([\d.]+) of the \$([\d.]+) left: "
        r"([\d.e+-]+) nats a dollar",
        lines[-1],
    )
    assert worth is not None
    gain, dollars, left, per_dollar = map(float, worth.groups())
    assert dollars <= left == pytest.approx(0.9 - 5 * 0.00125, abs=0.0001)
    assert per_dollar == pytest.approx(gain / dollars, rel=0.1)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_where_there_is_no_study_the_way_to_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuning.main(["next", str(tmp_path)]) == 2
    assert re.match(r"error: .*holds no study; `.*tune_lr\.py probe", capsys.readouterr().err)
