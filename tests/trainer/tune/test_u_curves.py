"""Only what may be compared stands in one U-curve, and what that knows of its optimum."""

import random
import statistics
from dataclasses import replace

import made_studies
from hypothesis import given
from hypothesis import strategies as st

from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.u_curves import PARAMETERS, STEPS, ladders, rate_limits, u_curves_of


@given(st.randoms())
def test_u_curves_are_the_same_for_any_order_of_the_outcomes(shuffled: random.Random) -> None:
    outcomes = made_studies.ladder()
    before = [(curve.name, curve.cells, curve.bracket) for curve in u_curves_of(outcomes)]
    shuffled.shuffle(outcomes)
    after = u_curves_of(outcomes)
    assert [(curve.name, curve.bracket) for curve in after] == [(name, bracket) for name, _, bracket in before]
    assert [sum(len(curve.outcomes) for curve in after)] == [len(outcomes)]


def test_runs_of_other_schedules_are_not_compared() -> None:
    scale = Scale(12, 768, 12, 4725)
    whole = Experiment("ladder", 2e-3, scale, scale.warmup)
    told = [
        Outcome(each, 5.0, 1.0, 1.0)
        for each in (whole, replace(whole, warmup=0), replace(whole, stop_after=10), replace(whole, stop_after=50))
    ]
    curves = u_curves_of(told)
    assert [len(curve.outcomes) for curve in curves] == [1] * 4
    assert [curve.comparable(scale) for curve in curves] == [False, False, False, True]
    assert {curve.name for curve in curves} == {
        "12/768/12, 10 of 4,725 steps",
        "12/768/12, 50 of 4,725 steps",
        "12/768/12, 4,725 steps",
        "12/768/12, 4,725 steps, no warm-up",
    }


def test_repeats_share_a_cell_with_their_mean_and_deviation() -> None:
    curve = u_curves_of(made_studies.ladder())[1]
    cell = curve.cells[2]
    assert (cell.learning_rate, len(cell.losses), cell.diverged) == (4e-3, 2, 0)
    assert cell.mean == statistics.fmean(cell.losses)
    assert cell.deviation == statistics.stdev(cell.losses)
    assert curve.cells[0].deviation is None
    assert (curve.cells[-1].mean, curve.cells[-1].diverged) == (None, 1)


def test_the_optimum_lies_between_the_rates_beside_the_best() -> None:
    curves = u_curves_of(made_studies.ladder())
    assert [curve.best.learning_rate for curve in curves if curve.best] == [8e-3, 4e-3, 4e-3, 3.4e-3]
    assert curves[0].bracket == (4e-3, 1.6e-2)
    assert curves[-1].bracket == (None, None)
    edge = u_curves_of([made_studies.outcome(rate, 100) for rate in (8e-3, 1e-3, 3.2e-2)])[0]
    assert edge.bracket == (1e-3, 3.2e-2), "what diverged bounds the optimum too"
    lost = u_curves_of([made_studies.outcome(3.2e-2, 100)])[0]
    assert (lost.best, lost.bracket) == (None, (None, None))


def test_the_optimum_is_drawn_against_what_was_scaled() -> None:
    outcomes = made_studies.ladder()
    assert [(across, len(curves)) for across, curves in ladders(u_curves_of(outcomes), made_studies.TARGET)] == [
        (STEPS, 4)
    ]
    tiny = [
        Outcome(Experiment("rung", 1e-2, scale, scale.warmup), 6.0, 1.0, 1.0)
        for scale in (Scale(1, 64, 1, 128), Scale(2, 128, 2, 266))
    ]
    both = ladders(u_curves_of([*tiny, *outcomes]), made_studies.TARGET)
    assert [(across, len(curves)) for across, curves in both] == [(STEPS, 4), (PARAMETERS, 2)]
    assert [scale.depth for scale in PARAMETERS.path(both[1][1], made_studies.TARGET)] == [1, 2, 12]
    assert PARAMETERS.text(85_056_000) == "85.1M"


def test_all_rates_that_were_tried_lie_within_the_axis() -> None:
    low, high = rate_limits(u_curves_of(made_studies.ladder()))
    assert low < 1e-3 < 3.2e-2 < high
