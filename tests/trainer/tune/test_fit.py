"""The joint fit: it finds what made the losses, is honest of its doubt, and looks at comparable runs alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
from replayed import tune_oracles
from tuned import TARGET, around, rung

from sparkprep.errors import UserError
from trainer.tune import literature
from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.fit import FAMILIES, comparable, compare_families, fit, rungs_of

LADDER = {100: (-1.5, -0.9, -0.3, 0.3, 0.9, 1.5), 200: (-1, -0.5, 0, 0.5, 1), 400: (-1, -0.3, 0.4, 1), 800: (-0.3, 0.6)}


def ladder(oracle: "tune_oracles.Oracle", most: int = 800) -> list[Outcome]:
    return [run for steps, octaves in LADDER.items() if steps <= most for run in around(oracle, steps, octaves)]


def test_a_ladder_finds_the_optimum_and_its_interval_holds_it_as_often_as_it_says() -> None:
    hits, errors = 0, []
    for seed in range(500, 530):
        oracle = tune_oracles.draw("gentle", seed)
        band = fit(ladder(oracle), TARGET).optimum()
        hits += band.low68 <= 2**oracle.optimum <= band.high68
        errors.append(abs(oracle.distance(band.median)))
    assert np.median(errors) < 0.15
    assert 14 <= hits <= 27  # 30 trials of 0.68: all but one time in a thousand


def test_the_same_runs_in_another_order_give_the_same() -> None:
    runs = ladder(tune_oracles.draw("cliff", 2))
    assert fit(runs, TARGET).optimum() == fit(runs[::-1], TARGET).optimum()


def test_without_runs_the_fit_tells_the_literature_more_doubtful_than_it_is() -> None:
    band, known = fit([], TARGET).optimum(), literature.prior(TARGET)
    assert band.median == pytest.approx(known.rate, rel=0.1)
    assert band.low68 < known.interval()[0] < known.interval()[1] < band.high68


def test_more_and_longer_runs_narrow_the_band() -> None:
    oracle = tune_oracles.draw("gentle", 7)
    widths = [
        math.log2(band.high68 / band.low68)
        for band in (fit(ladder(oracle, most), TARGET).optimum() for most in (100, 200, 800))
    ]
    assert widths[0] > widths[1] > widths[2]


def test_a_diverged_run_bounds_the_wall_and_has_no_loss() -> None:
    oracle = replace(tune_oracles.draw("gentle", 5), wall=1.2)
    without = around(oracle, 200, (-1, -0.5, 0, 0.5, 1.0))
    beyond = around(oracle, 200, (1.5, 2.5))
    assert all(run.diverged for run in beyond)
    assert fit(without + beyond, TARGET).wall.high68 < fit(without, TARGET).wall.high68
    assert fit(without + beyond, TARGET).wall.median == pytest.approx(1.2, abs=0.4)


def test_one_loss_gone_astray_does_not_carry_the_fit_away() -> None:
    oracle = tune_oracles.draw("gentle", 9)
    runs = ladder(oracle)
    assert runs[13].loss is not None
    runs[13] = replace(runs[13], loss=runs[13].loss + 0.3)
    assert abs(oracle.distance(fit(runs, TARGET).optimum().median)) < 0.3


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"stop_after": 50}, "cut off before its decay"),
        ({"warmup": 470}, "another run's warm-up"),
        ({"warmup": 0}, "no warm-up"),
        ({"scale": rung(40), "warmup": 4}, "less than a hundredth of the target"),
    ],
)
def test_runs_that_compare_with_none_are_left_out(changed: dict, why: str) -> None:
    usual = Outcome(Experiment("ladder", 1e-3, rung(100), 10), 6.0, 1.0, 1.0)
    assert comparable(usual, TARGET)
    assert not comparable(replace(usual, experiment=replace(usual.experiment, **changed)), TARGET), why


def test_a_tiny_model_on_twenty_tokens_a_parameter_is_comparable() -> None:
    tiniest = Scale(1, 64, 1, 128)
    assert comparable(Outcome(Experiment("rung 1", 1e-2, tiniest, 13), 7.0, 1.0, 1.0), TARGET)


def test_an_optimum_on_an_edge_is_told_and_a_divergence_above_closes_it() -> None:
    oracle = tune_oracles.draw("gentle", 3)
    below, above = (rungs_of(around(oracle, 200, octaves), TARGET)[0] for octaves in ((-3, -2, -1), (1, 1.5, 2)))
    assert (below.on_edge, above.on_edge) == ("high", "low")
    lost = around(oracle, 200, (5,))
    assert lost[0].diverged
    assert rungs_of([*around(oracle, 200, (-3, -2, -1)), *lost], TARGET)[0].on_edge is None


def test_the_loss_of_a_longer_rung_is_foretold_within_its_bounds() -> None:
    inside = 0
    for seed in range(600, 620):
        oracle = tune_oracles.draw("gentle", seed)
        fitted, rate = fit(ladder(oracle, 400), TARGET), 2 ** oracle.optimum_at(rung(800))
        (longer,) = around(oracle, 800, (0.0,))
        band = fitted.loss(rate, rung(800))
        assert longer.loss is not None
        inside += band.low95 <= longer.loss <= band.high95
    assert inside >= 17


def test_a_loss_cannot_be_foretold_from_one_rung() -> None:
    with pytest.raises(UserError, match="two rungs"):
        fit(ladder(tune_oracles.draw("gentle", 1), 100), TARGET).loss(1e-3, rung(800))


def test_a_drift_is_told_from_none_by_the_rung_left_out() -> None:
    drifting = replace(tune_oracles.draw("gentle", 4), drift=0.65, noise=0.002)
    runs = [run for steps in (60, 240) for run in around(drifting, steps, (-1, -0.5, 0, 0.5, 1))]
    runs += around(drifting, 1500, (-1, 0, 1))
    errors = compare_families(runs, TARGET)
    assert set(errors) == set(FAMILIES)
    assert errors["power"] < errors["none"]


def test_families_need_two_rungs() -> None:
    with pytest.raises(UserError, match="two rungs"):
        compare_families(around(tune_oracles.draw("gentle", 4), 100, (-1, 0, 1)), TARGET)


def test_regret_weighs_the_cliff_above_the_optimum() -> None:
    oracle = replace(tune_oracles.draw("cliff", 8), wall=1.0)
    fitted = fit([*ladder(oracle, 400), *around(oracle, 400, (1.4,))], TARGET)
    rate, regret = fitted.best()
    assert rate <= fitted.optimum().median
    assert 0 < regret < 0.05
