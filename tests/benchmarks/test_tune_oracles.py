"""The oracles of the replay: as they say they are, and the same whenever they are asked."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from replayed import tune_oracles

from trainer.tune.experiments import Experiment, Scale

RUNG = Scale(12, 768, 12, 400)


@pytest.mark.parametrize("family", tune_oracles.FAMILIES)
def test_the_same_experiment_gives_the_same_whatever_was_run_before(family: str) -> None:
    oracle = tune_oracles.draw(family, 3)
    one, other = Experiment("ladder", 1e-3, RUNG, RUNG.warmup), Experiment("ladder", 2e-3, RUNG, RUNG.warmup)
    first = oracle.run(one)
    oracle.run(other)
    assert oracle.run(replace(one, stage="hold-out")).loss == first.loss
    assert oracle.run(replace(one, seed=1)).loss != first.loss


@pytest.mark.parametrize("family", tune_oracles.FAMILIES)
def test_a_rate_beside_the_best_costs_and_one_beyond_the_wall_costs_most(family: str) -> None:
    for seed in range(20):
        oracle = tune_oracles.draw(family, seed)
        best = 2**oracle.optimum
        assert tune_oracles.LOWEST <= best <= tune_oracles.HIGHEST
        assert oracle.regret(best) == pytest.approx(0.0, abs=1e-12)
        assert 0 < oracle.regret(best / 2) < tune_oracles.DIVERGED
        assert oracle.regret(best * 2 ** (oracle.wall + 0.01)) == tune_oracles.DIVERGED
        assert oracle.run(Experiment("ladder", best * 16, oracle.target, oracle.target.warmup)).diverged


def test_inside_families_drift_by_a_power_law_and_the_foreign_one_does_not() -> None:
    def steps_between(family: str) -> list[float]:
        oracle = tune_oracles.draw(family, 1)
        optima = [oracle.optimum_at(replace(RUNG, steps=steps)) for steps in (100, 200, 400, 800)]
        return [a - b for a, b in pairwise(optima)]

    for family in tune_oracles.INSIDE:
        assert steps_between(family) == pytest.approx([tune_oracles.draw(family, 1).drift] * 3)
    bent = steps_between("curved")
    assert bent[0] > bent[1] > bent[2]


def test_a_warm_up_that_never_ends_hides_most_of_the_rate() -> None:
    oracle = tune_oracles.draw("gentle", 0)
    rate = 2 ** oracle.optimum_at(RUNG) / 4
    long, own = (oracle.run(Experiment("x", rate, RUNG, warmup)).loss for warmup in (4700, RUNG.warmup))
    assert long is not None
    assert own is not None
    assert long > own


def test_a_short_run_at_the_target_costs_what_the_course_says() -> None:
    run = Experiment("x", 1e-3, replace(tune_oracles.TARGET, steps=400), 40)
    assert tune_oracles.step_seconds(run.scale) == pytest.approx(12, rel=0.01)
    assert tune_oracles.price(run) == pytest.approx(400 * 12 * 1.5 / 3600, rel=0.02)
    assert math.isclose(tune_oracles.price(replace(run, hellaswag=True)) - tune_oracles.price(run), 0.13, rel_tol=0.05)
