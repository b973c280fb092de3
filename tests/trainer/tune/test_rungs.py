"""Only what may be compared stands in one rung, and what a rung knows of its optimum."""

import random
import statistics
from dataclasses import replace

import made_studies
from hypothesis import given
from hypothesis import strategies as st

from trainer.tune.experiments import Experiment, Outcome, Scale
from trainer.tune.rungs import PARAMETERS, STEPS, ladders, rate_limits, rungs_of


@given(st.randoms())
def test_rungs_are_the_same_for_any_order_of_the_outcomes(shuffled: random.Random) -> None:
    outcomes = made_studies.ladder()
    before = [(rung.name, rung.cells, rung.bracket) for rung in rungs_of(outcomes)]
    shuffled.shuffle(outcomes)
    after = rungs_of(outcomes)
    assert [(rung.name, rung.bracket) for rung in after] == [(name, bracket) for name, _, bracket in before]
    assert [sum(len(rung.outcomes) for rung in after)] == [len(outcomes)]


def test_runs_of_other_schedules_are_not_compared() -> None:
    scale = Scale(12, 768, 12, 4725)
    whole = Experiment("ladder", 2e-3, scale, scale.warmup)
    told = [
        Outcome(each, 5.0, 1.0, 1.0)
        for each in (whole, replace(whole, warmup=0), replace(whole, stop_after=10), replace(whole, stop_after=50))
    ]
    rungs = rungs_of(told)
    assert [len(rung.outcomes) for rung in rungs] == [1] * 4
    assert [rung.complete for rung in rungs] == [False, False, False, True]
    assert {rung.name for rung in rungs} == {
        "12/768/12, 10 of 4,725 steps",
        "12/768/12, 50 of 4,725 steps",
        "12/768/12, 4,725 steps",
        "12/768/12, 4,725 steps, no warm-up",
    }


def test_repeats_share_a_cell_with_their_mean_and_deviation() -> None:
    rung = rungs_of(made_studies.ladder())[1]
    cell = rung.cells[2]
    assert (cell.learning_rate, len(cell.losses), cell.diverged) == (4e-3, 2, 0)
    assert cell.mean == statistics.fmean(cell.losses)
    assert cell.deviation == statistics.stdev(cell.losses)
    assert rung.cells[0].deviation is None
    assert (rung.cells[-1].mean, rung.cells[-1].diverged) == (None, 1)


def test_the_optimum_lies_between_the_rates_beside_the_best() -> None:
    rungs = rungs_of(made_studies.ladder())
    assert [rung.best.learning_rate for rung in rungs if rung.best] == [8e-3, 4e-3, 4e-3, 3.4e-3]
    assert rungs[0].bracket == (4e-3, 1.6e-2)
    assert rungs[-1].bracket == (None, None)
    edge = rungs_of([made_studies.outcome(rate, 100) for rate in (8e-3, 1e-3, 3.2e-2)])[0]
    assert edge.bracket == (1e-3, 3.2e-2), "what diverged bounds the optimum too"
    lost = rungs_of([made_studies.outcome(3.2e-2, 100)])[0]
    assert (lost.best, lost.bracket) == (None, (None, None))


def test_the_optimum_is_drawn_against_what_was_scaled() -> None:
    outcomes = made_studies.ladder()
    assert [(across, len(rungs)) for across, rungs in ladders(rungs_of(outcomes), made_studies.TARGET)] == [(STEPS, 4)]
    tiny = [
        Outcome(Experiment("rung", 1e-2, scale, scale.warmup), 6.0, 1.0, 1.0)
        for scale in (Scale(1, 64, 1, 128), Scale(2, 128, 2, 266))
    ]
    both = ladders(rungs_of([*tiny, *outcomes]), made_studies.TARGET)
    assert [(across, len(rungs)) for across, rungs in both] == [(STEPS, 4), (PARAMETERS, 2)]
    assert [scale.depth for scale in PARAMETERS.path(both[1][1], made_studies.TARGET)] == [1, 2, 12]
    assert PARAMETERS.text(85_056_000) == "85.1M"


def test_all_rates_that_were_tried_lie_within_the_axis() -> None:
    low, high = rate_limits(rungs_of(made_studies.ladder()))
    assert low < 1e-3 < 3.2e-2 < high
