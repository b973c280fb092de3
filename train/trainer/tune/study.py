"""A study's folder: what it was made with, its ledger, its probes, and a trial for each experiment.

    study.json      the settings, and the shards, that it was made with
    ledger.jsonl    what was spent (`ledger.py`)
    plan.json       the money that its plan was made with, to which it keeps
    probes.json     what a step of each model takes (`costs.py`); their logs lie in probes/
    study.db        Optuna's: a trial for each experiment, which is its user attribute, as is what came of it
    trials/0000/    command.txt, run_parameters.txt, main.log and console.log of trial 0

Optuna's trial is made before its process is started, and told after that has ended; one that is neither told nor new
was killed, and is gone on with. Any of Optuna's tools (its dashboard, say) may read the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sparkprep.errors import UserError
from sparkprep.io.files import make_folder, sha256_of, write_text
from sparkprep.io.json_files import read_json
from trainer.checkpoints.folder import held
from trainer.data.loader import open_shards
from trainer.launch import command_of
from trainer.tune.costs import Costs, model_name, read_probes, size_of
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.ledger import Ledger
from trainer.tune.settings import MAY_CHANGE, OF_TRIALS, TuneSettings
from trainer.tune.trial import experiment_from, outcome_from

if TYPE_CHECKING:
    import optuna

SETTINGS, PLAN, DATABASE = "study.json", "plan.json", "study.db"
TRIALS, PROBES = "trials", "probes"
COMMAND = "command.txt"

_NAME = "learning-rate"
_RATE = "learning_rate"
_ADVICE = "it tells what the study was made with; begin another one with --output"
_EXPERIMENT, _OUTCOME = "experiment", "outcome"
_BOUNDS = 1e-9, 1e3
"""Of the rates that Optuna is told of: no strategy is bounded by its file."""


class Study:
    """A study in a folder that is there. Without a hold on the folder (`opened`) it is only to be read."""

    def __init__(self, tune: TuneSettings, folder: str) -> None:
        self.tune, self.folder = tune, folder
        self.ledger = Ledger(folder)
        self.costs = Costs(tune, read_probes(folder))
        self._optuna: optuna.Study | None = None

    def trial_folder(self, number: int) -> str:
        """Return where a trial's command, logs and, until it has ended, checkpoints lie."""
        return os.path.join(self.folder, TRIALS, f"{number:04d}")

    def probe_folder(self, scale: Scale) -> str:
        """Return where the log of a model's probe lies."""
        return os.path.join(self.folder, PROBES, model_name(size_of(scale)).replace("/", "-"))

    def planned_with(self) -> tuple[float, float] | None:
        """Return the dollars for experiments, and those of an hour, that the plan was made with; None before one."""
        path = os.path.join(self.folder, PLAN)
        if not os.path.exists(path):
            return None
        told = read_json(path, _ADVICE, {"budget": float, "price_per_hour": float})
        return told["budget"], told["price_per_hour"]

    def plan_with(self, budget: float, price_per_hour: float) -> None:
        """Note what the plan is made with."""
        told = {"budget": float(budget), "price_per_hour": float(price_per_hour)}
        write_text(os.path.join(self.folder, PLAN), json.dumps(told) + "\n")

    def outcomes(self) -> list[Outcome]:
        """Return what came of the trials that have ended, in their order."""
        trials = self._trials()
        return [outcome_from(json.loads(t.user_attrs[_OUTCOME])) for t in trials if _OUTCOME in t.user_attrs]

    def numbers(self) -> list[int]:
        """Return the numbers of the trials that have ended, in the order of `outcomes`."""
        return [trial.number for trial in self._trials() if _OUTCOME in trial.user_attrs]

    def pending(self) -> tuple[int, Experiment] | None:
        """Return number and experiment of a trial that was begun and has not ended, if there is one."""
        for trial in self._trials():
            if _OUTCOME not in trial.user_attrs:
                return trial.number, experiment_from(json.loads(trial.user_attrs[_EXPERIMENT]))
        return None

    def ask(self, experiment: Experiment) -> int:
        """Make the trial of an experiment and return its number. Raises UserError where the file takes no more."""
        with _stored(self.folder):
            study = self._study()
            told = json.dumps(asdict(experiment))
            study.enqueue_trial({_RATE: experiment.learning_rate}, user_attrs={_EXPERIMENT: told})
            return self._run_queued().number

    def tell(self, number: int, outcome: Outcome) -> None:
        """Note what came of a trial. Raises UserError where the file takes no more."""
        from optuna.trial import Trial, TrialState

        with _stored(self.folder):
            study = self._study()
            if study.trials[number].state == TrialState.WAITING:  # killed after it was queued
                self._run_queued()
            trial = Trial(study, study.trials[number]._trial_id)
            trial.set_user_attr("seconds", outcome.seconds)
            trial.set_user_attr("dollars", outcome.dollars)
            trial.set_user_attr(_OUTCOME, json.dumps(asdict(outcome)))  # the last: from now on it has ended
            self._settle(number, outcome)

    def settle(self) -> None:
        """Bring Optuna's states up to what is noted, where a tuner was killed between both."""
        from optuna.trial import TrialState

        for trial in self._trials():
            if _OUTCOME in trial.user_attrs and trial.state == TrialState.RUNNING:
                with _stored(self.folder):
                    self._settle(trial.number, outcome_from(json.loads(trial.user_attrs[_OUTCOME])))

    def _settle(self, number: int, outcome: Outcome) -> None:
        from optuna.trial import TrialState

        if outcome.loss is None:  # censored: no value, as of a trial that a pruner ended
            self._study().tell(number, state=TrialState.PRUNED)
        else:
            self._study().tell(number, outcome.loss)

    def _run_queued(self) -> optuna.Trial:
        from optuna.distributions import FloatDistribution

        return self._study().ask({_RATE: FloatDistribution(*_BOUNDS, log=True)})

    def _trials(self) -> list[Any]:
        if self._optuna is None and not os.path.exists(os.path.join(self.folder, DATABASE)):
            return []
        with _stored(self.folder):
            return self._study().get_trials(deepcopy=False)

    def _study(self) -> optuna.Study:
        """Return Optuna's study. Its sampler is never asked, as strategies choose; it is pinned all the same."""
        if self._optuna is None:
            import optuna
            from sqlalchemy.engine import URL

            optuna.logging.set_verbosity(optuna.logging.WARNING)
            url = URL.create("sqlite", database=os.path.join(self.folder, DATABASE))
            self._optuna = optuna.create_study(
                storage=url.render_as_string(hide_password=False),
                sampler=optuna.samplers.RandomSampler(seed=self.tune.seed),
                study_name=_NAME,
                direction="minimize",
                load_if_exists=True,
            )
        return self._optuna


@contextmanager
def opened(tune: TuneSettings) -> Iterator[Study]:
    """Make or open a study, and hold its folder for this process.

    Raises UserError where another process holds it, where it was made by other settings, which it names, and where it
    cannot be written.
    """
    made = _made_with(tune)
    with held(tune.folder) as folder:
        path = os.path.join(folder, SETTINGS)
        if os.path.exists(path):
            if _compared(path, made) != made:  # what may change has
                _write(path, made)
        elif os.path.exists(os.path.join(folder, DATABASE)):
            raise UserError(f"{path}: is missing, and the folder holds a study; {_ADVICE}")
        else:
            _write(path, made)
        make_folder(os.path.join(folder, TRIALS))
        study = Study(tune, folder)
        study.settle()
        yield study


def there(tune: TuneSettings) -> Study:
    """Return a study that is there, to be read. Raises UserError where there is none."""
    if not os.path.exists(os.path.join(tune.folder, SETTINGS)):
        raise UserError(no_study(tune.folder))
    _compared(os.path.join(tune.folder, SETTINGS), _made_with(tune))
    return Study(tune, tune.folder)


def no_study(folder: str) -> str:
    """Return what to do where a folder holds no study."""
    return f"{folder}: holds no study; `{command_of('tune_lr.py')} probe …` begins one, --output names another"


def settings_in(folder: str) -> TuneSettings:
    """Return the settings that the study in a folder was last gone on with. Raises UserError where there is none."""
    path = os.path.join(folder, SETTINGS)
    if not os.path.exists(path):
        raise UserError(no_study(folder))
    told = read_json(path, _ADVICE, {"settings": dict})["settings"]
    try:
        return TuneSettings(**{**told, "output": folder})
    except TypeError as error:
        raise UserError(f"{path}: not the settings of a study ({error}); {_ADVICE}") from error


def _made_with(tune: TuneSettings) -> dict[str, Any]:
    """Return what a study's results hang on: settings, shards, seed model."""
    told = tune.told()
    shards: list[list[Any]] = []
    for pattern in tune.patterns:
        shards += [[os.path.basename(each.path), each.header.tokens] for each in open_shards(pattern, "--data")]
    for name in ("data", "seed_model"):
        if told[name] is not None:
            told[name] = os.path.abspath(os.path.expanduser(told[name]))
    seed = None if tune.seed_model is None else sha256_of(told["seed_model"])[1]
    return {"settings": told, "shards": shards, "seed_model_sha256": seed}


def _compared(path: str, now: dict[str, Any]) -> dict[str, Any]:
    """Return what a study was made with. Raises UserError where that differs from now in what may not change."""
    then = read_json(path, _ADVICE, {"settings": dict, "shards": list})
    begun = os.path.exists(os.path.join(os.path.dirname(path), DATABASE))
    free = {*MAY_CHANGE, "data"} | (set() if begun else set(OF_TRIALS))
    differ = [
        f"--{name.replace('_', '-')} was {then['settings'].get(name)} and is {value}"
        for name, value in now["settings"].items()
        if name not in free and then["settings"].get(name) != value
    ]
    if then["shards"] != now["shards"]:
        differ.append(f"--data has other shards ({len(now['shards'])}, and they were {len(then['shards'])})")
    if then.get("seed_model_sha256") != now["seed_model_sha256"]:
        differ.append("the model behind --continue is another")
    if differ:
        raise UserError(
            f"{path}: this study was made by other settings: {'; '.join(differ)}; results of both cannot be compared. "
            "Give those, or another --output"
        )
    return then


def _write(path: str, made: dict[str, Any]) -> None:
    write_text(path, json.dumps(made, indent=1) + "\n")


@contextmanager
def _stored(folder: str) -> Iterator[None]:
    """Turn what goes wrong with Optuna's file into a UserError that names it."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
        raise UserError(
            f"{os.path.join(folder, DATABASE)}: cannot be read or written: {cause}; free space or mend that, then give "
            "the same command again"
        ) from error
