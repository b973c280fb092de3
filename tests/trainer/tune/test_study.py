"""A study's folder: held by one tuner, made by one set of settings, and gone on with wherever a tuner was killed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from mounts import full_disk
from optuna.trial import TrialState
from runs_of_training import write_shards
from tuning import study as settings

from sparkprep.errors import UserError
from trainer.checkpoints import model_file
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.settings import TuneSettings
from trainer.tune.study import DATABASE, Study, opened, settings_in, there

SCALE = Scale(1, 16, 2, 20)
EXPERIMENT = Experiment("rates", 0.01, SCALE, SCALE.warmup)
OUTCOME = Outcome(EXPERIMENT, 5.5, 7.0, 0.003, train_loss=5.4)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    with opened(settings(tmp_path)) as held:
        yield held


def in_optuna(study: Study) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{study.folder}/{DATABASE}").trials


def test_a_trial_is_pending_until_it_is_told_and_optuna_knows_both(study: Study) -> None:
    assert (study.pending(), study.outcomes()) == (None, [])
    number = study.ask(EXPERIMENT)
    assert study.pending() == (number, EXPERIMENT)
    assert [trial.state for trial in in_optuna(study)] == [TrialState.RUNNING]
    study.tell(number, OUTCOME)
    assert (study.pending(), study.outcomes(), study.numbers()) == (None, [OUTCOME], [number])
    (trial,) = in_optuna(study)
    assert (trial.state, trial.value, trial.params) == (TrialState.COMPLETE, 5.5, {"learning_rate": 0.01})
    assert trial.user_attrs["dollars"] == 0.003


def test_divergence_is_a_trial_without_a_value(study: Study) -> None:
    diverged = replace(OUTCOME, loss=None, diverged_at=7)
    study.tell(study.ask(EXPERIMENT), diverged)
    assert study.outcomes() == [diverged]
    assert [trial.state for trial in in_optuna(study)] == [TrialState.PRUNED]


def test_a_tuner_killed_after_it_queued_a_trial_goes_on_with_that_one(tmp_path: Path) -> None:
    tune = settings(tmp_path)
    with opened(tune) as study:
        told = json.dumps({**EXPERIMENT.__dict__, "scale": SCALE.__dict__})
        study._study().enqueue_trial({"learning_rate": 0.01}, user_attrs={"experiment": told})
    with opened(tune) as study:
        assert study.pending() == (0, EXPERIMENT)
        study.tell(0, OUTCOME)
        assert study.outcomes() == [OUTCOME]
        assert study.ask(EXPERIMENT) == 1


def test_a_tuner_killed_between_the_note_of_an_outcome_and_its_state_is_put_right(tmp_path: Path) -> None:
    tune = settings(tmp_path)
    with opened(tune) as study:
        number = study.ask(EXPERIMENT)
        study._settle = lambda number, outcome: None  # type: ignore[method-assign]  # killed before that
        study.tell(number, OUTCOME)
        assert in_optuna(study)[0].state == TrialState.RUNNING
    with opened(tune) as study:
        assert (study.pending(), study.outcomes()) == (None, [OUTCOME])
        assert in_optuna(study)[0].state == TrialState.COMPLETE


def test_two_tuners_on_one_study_are_refused(study: Study) -> None:
    with pytest.raises(UserError, match=r"another run \(process \d+\).*choose another"), opened(study.tune):
        pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seq_len": 8}, "--seq-len was 16 and is 8"),
        ({"strategy": "greedy", "seed": 7}, "--strategy was few-rates and is greedy; --seed was 0 and is 7"),
        ({"low": 1e-4}, "--low was 0.001 and is 0.0001"),
    ],
)
def test_a_study_made_by_other_settings_is_refused_and_they_are_named(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    with opened(settings(tmp_path)) as study:
        study.ask(EXPERIMENT)
    for look in (lambda tune: opened(tune).__enter__(), there):
        with pytest.raises(UserError) as error:
            look(settings(tmp_path, **change))
        assert said in str(error.value)
        assert "another --output" in str(error.value)


def test_before_its_first_trial_a_study_that_was_probed_takes_another_strategy(tmp_path: Path) -> None:
    with opened(settings(tmp_path)):
        pass
    other = settings(tmp_path, strategy="greedy", low=1e-4)
    with opened(other) as study:
        study.ask(EXPERIMENT)
    with pytest.raises(UserError, match="--strategy was greedy and is few-rates"):
        there(settings(tmp_path, low=1e-4))
    with pytest.raises(UserError, match="--seq-len was 16 and is 8"):
        there(settings(tmp_path, strategy="greedy", low=1e-4, seq_len=8))


def test_money_may_change(tmp_path: Path) -> None:
    with opened(settings(tmp_path)):
        pass
    richer = settings(tmp_path, budget=7.0, reserve=0.0, price_per_hour=3.0)
    with opened(richer):
        pass
    assert settings_in(richer.folder) == replace(richer, data=str(tmp_path / "shards"))


def test_other_shards_under_the_same_name_are_refused(tmp_path: Path) -> None:
    tune = settings(tmp_path)
    with opened(tune):
        pass
    write_shards(tmp_path / "shards", [4000, 3000, 500])
    with pytest.raises(UserError, match=r"--data has other shards \(4, and they were 3\)"), opened(tune):
        pass


def test_another_seed_model_is_refused(tmp_path: Path) -> None:
    seed = str(tmp_path / "seed.bin")
    for scale in (1.0, 2.0):
        model = GPT2(GPT2Shape(1, 2, 16))
        model.initialise()
        model_file.write(seed, model.shape, model.flat * scale, 3)
        tune = settings(tmp_path, seed_model=seed, start_step=100)
        if scale == 1:
            with opened(tune):
                assert tune.target() == Scale(1, 16, 2, 100)
    with pytest.raises(UserError, match="the model behind --continue is another"), opened(tune):
        pass


def test_where_there_is_no_study_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no study; `.*tune_lr\.py probe"):
        there(settings(tmp_path))


def test_on_a_full_disk_the_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with full_disk(tmp_path / "disk", 96) as disk:
        tune = settings(tmp_path, output=str(disk / "tuning"))

        def ask_on() -> None:
            with opened(tune) as study:
                for _ in range(100):
                    study.ask(EXPERIMENT)

        with pytest.raises(UserError, match=r"study\.db: cannot be .*free space"):
            ask_on()


def test_folders_with_odd_names_are_no_trouble(tmp_path: Path) -> None:
    with opened(settings(tmp_path, output=str(tmp_path / "a?b %41#c"))) as study:
        study.tell(study.ask(EXPERIMENT), OUTCOME)
        assert (tmp_path / "a?b %41#c" / DATABASE).exists()


def test_a_study_on_s3_is_refused() -> None:
    with pytest.raises(UserError, match="give a local folder"):
        _ = TuneSettings(output="s3://bucket/tuning").folder
