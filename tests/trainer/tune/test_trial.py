"""A trial is a whole schedule of its own, and its log says whether it has ended, diverged, or is not worth going on."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuning import study

from sparkprep.errors import UserError
from trainer.checkpoints import model_file
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.optim.schedule import Schedule
from trainer.runs.log import RunLog
from trainer.settings import TrainSettings, words_of
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.trial import (
    ALWAYS_TOLD,
    course_of,
    divergence,
    experiment_from,
    outcome_from,
    outcome_of,
    probe_of,
    schedule_of,
    settings_of,
)

SCALE = Scale(1, 16, 2, 40)
EXPERIMENT = Experiment("rung", 0.002, SCALE, SCALE.warmup)


def settings(tmp_path: Path, experiment: Experiment = EXPERIMENT) -> TrainSettings:
    return settings_of(study(tmp_path), experiment, str(tmp_path / "trial"))


def write_log(trial: TrainSettings, losses: list[float], val_loss: float | None = None, first: int = 0) -> None:
    with RunLog(trial.output, resume=False) as log:
        for step, loss in enumerate(losses):
            log.train(first + step, loss, 0.001, 1.0, 10.0)
        if val_loss is not None:
            log.validation(first + len(losses), val_loss)


def test_a_trial_is_a_whole_schedule_with_a_warm_up_of_its_own_and_no_evaluation_before_its_end(tmp_path: Path) -> None:
    words = words_of(settings(tmp_path), ALWAYS_TOLD)
    told = dict(zip(words[::2], words[1::2], strict=True))
    assert (told["-x"], told["-u"], told["-l"], told["-1d"], told["-1c"]) == ("40", "4", "0.002", "1", "16")
    assert (told["-v"], told["-h"], told["-s"], told["-n"], told["-y"]) == ("0", "0", "0", "0", "1")
    assert "-es" not in told


def test_a_repeat_sees_other_weights_and_another_order(tmp_path: Path) -> None:
    assert settings(tmp_path).seed == 42
    assert settings(tmp_path, replace(EXPERIMENT, seed=1)).seed == 43


@given(branch=st.integers(40, 2360), start=st.integers(600, 4000))
def test_a_branch_of_a_continuation_begins_at_the_same_share_of_the_highest_rate(branch: int, start: int) -> None:
    branch = min(branch, 4725 - start)
    tune = study_of_continuation(start)
    scale = Scale(12, 768, 12, branch)
    first, last, warmup = schedule_of(tune, Experiment("branch", 1.0, scale, scale.warmup))
    assert last - first == branch
    whole = Schedule("cosine", 1.0, 470, 4725, 0.0).rate(start)
    short = Schedule("cosine", 1.0, warmup, last, 0.0).rate(first)
    assert short == pytest.approx(whole, abs=0.08)  # whole steps of a schedule that may be short


def test_a_continuation_has_the_model_of_its_seed_alone(tmp_path: Path) -> None:
    seed = str(tmp_path / "seed.bin")
    model = GPT2(GPT2Shape(1, 2, 16))
    model.initialise()
    model_file.write(seed, model.shape, model.flat, 3)
    tune = study(tmp_path, seed_model=seed, start_step=100)
    assert settings_of(tune, EXPERIMENT, str(tmp_path)).model == seed
    other = replace(EXPERIMENT, scale=replace(SCALE, depth=2))
    with pytest.raises(UserError, match=r"asks for a model of 2 layers and 16 channels.*such as data-scaling"):
        settings_of(tune, other, str(tmp_path))


def study_of_continuation(start: int) -> object:
    from trainer.tune.settings import TuneSettings

    return TuneSettings(seed_model="seed.bin", start_step=start)


def test_what_json_keeps_of_an_experiment_and_its_outcome_is_the_same_again() -> None:
    outcome = Outcome(EXPERIMENT, 3.25, 12.5, 0.01, diverged_at=None, train_loss=3.3)
    assert experiment_from(json.loads(json.dumps(asdict(EXPERIMENT)))) == EXPERIMENT
    assert outcome_from(json.loads(json.dumps(asdict(outcome)))) == outcome


def test_a_probe_is_twenty_steps_of_a_schedule_that_is_longer() -> None:
    probe = probe_of(EXPERIMENT, 20)
    assert (probe.stop_after, probe.scale.steps, probe.hellaswag) == (20, 40, False)
    assert probe_of(replace(EXPERIMENT, scale=replace(SCALE, steps=5)), 20).scale.steps == 40


def test_a_trial_has_ended_with_its_last_evaluation_and_not_before(tmp_path: Path) -> None:
    trial = settings(tmp_path)
    falling = [10 - 0.1 * i for i in range(40)]
    assert not course_of(trial).over
    write_log(trial, falling[:30])
    assert (course_of(trial).step, course_of(trial).over) == (30, False)
    write_log(trial, falling)
    assert not course_of(trial).over
    write_log(trial, falling, 6.25)
    course = course_of(trial)
    assert (course.over, course.val_loss, course.diverged_at) == (True, 6.25, None)
    outcome = outcome_of(EXPERIMENT, course, 3.0, 0.5)
    assert (outcome.loss, outcome.seconds, outcome.dollars, outcome.diverged) == (6.25, 3.0, 0.5, False)


def test_a_loss_that_is_no_number_is_divergence_and_no_value(tmp_path: Path) -> None:
    trial = settings(tmp_path)
    write_log(trial, [10.0, 9.0, math.nan])
    course = course_of(trial)
    assert (course.over, course.diverged_at) == (True, 2)
    assert outcome_of(EXPERIMENT, course, 1.0, 0.1).loss is None


def test_what_stays_above_its_first_loss_is_hopeless_and_has_diverged(tmp_path: Path) -> None:
    trial = settings(tmp_path)
    write_log(trial, [10.0, 9.5] + [12.0] * 25)
    course = course_of(trial)
    assert (course.hopeless, course.over, course.diverged_at) == (True, True, 2)


@pytest.mark.parametrize(
    ("losses", "at"),
    [
        ([10.0 - 0.2 * i for i in range(20)], None),
        ([10.0, 9.0, 8.0, 7.0, 6.0, 6.5, 7.4, 7.45, 7.45, 7.45], 6),
        ([10.0, 9.0, 8.0, 9.0, 7.5, 7.0, 6.5, 6.2], None),  # a spike that is over
        ([10.8, 10.0, 9.0, 80.0, 300.0, 110.0, 180.0, 70.0, 109.8, 77.9, 73.8], 3),
        ([10.82, 10.81, 10.83, 10.80, 10.82, 10.84], None),  # a rate so low that nothing is learnt
        ([10.0, 12.0], 1),
        ([10.0, 9.0], None),
        ([10.0], None),
        ([], None),
    ],
)
def test_divergence_is_told_from_a_spike(losses: list[float], at: int | None) -> None:
    assert divergence(np.array(losses)) == at


@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.5))
def test_the_noise_of_small_batches_is_no_divergence(seed: int, noise: float) -> None:
    chance = np.random.default_rng(seed).normal(0, noise, 200)
    assert divergence(6 + 5 * np.exp(-np.arange(200) / 40) + chance) is None
