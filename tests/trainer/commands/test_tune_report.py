"""`tune_lr.py report` tells of a study as it lies on disk, finished or not, and changes nothing of it."""

import csv
import json
from pathlib import Path

import made_studies
import pytest
import tuning

from trainer.commands import tune_report
from trainer.runs.log import RunLog
from trainer.tune.costs import Speed, write_probes
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.ledger import Ledger
from trainer.tune.strategies import STRATEGIES
from trainer.tune.study import opened

TARGET = Scale(1, 16, 2, 200)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of which three trials have ended, the last by divergence, made by the study itself."""
    monkeypatch.setitem(STRATEGIES, "few-rates", tuning.FewRates())
    with opened(tuning.study(tmp_path)) as study:
        write_probes(study.folder, {(1, 16, 2): SPEED})
        for rate, loss in ((1e-3, 9.1), (1e-2, 8.7), (1e-1, None)):
            experiment = Experiment("rates", rate, Scale(1, 16, 2, 20), 2)
            number = study.ask(experiment)
            with study.ledger.begin(f"trial {number}", 1.5, 1.0):
                pass
            with RunLog(study.trial_folder(number), resume=False) as log:
                for step in range(20):
                    log.train(step, 11 - step / 10, rate, 1.0, 5.0)
                if loss is not None:
                    log.validation(20, loss)
            study.tell(number, Outcome(experiment, loss, 3.0, 0.00125, diverged_at=None if loss else 12))
    return tmp_path / "tuning"
