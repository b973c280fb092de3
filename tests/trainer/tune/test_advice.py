"""What a fit advises: a rate with its doubt, alarms, a verdict, and what to run next."""

import math
from dataclasses import replace

import pytest
from replayed import tune_oracles
from tuned import TARGET, around, rung

from sparkprep.errors import UserError
from trainer.tune.advice import edge_alarms, next_experiment, recommend, suggestions, verdict_of
from trainer.tune.experiments import Terms
from trainer.tune.fit import fit

ORACLE = tune_oracles.draw("gentle", 801)
TERMS = Terms(TARGET, 40.0, tune_oracles.price)
SHORT = around(ORACLE, 100, (-1.2, -0.6, 0.1, 0.6, 1.2)) + around(ORACLE, 200, (-1, -0.3, 0.4, 1))


def test_a_recommendation_lies_near_the_optimum_and_says_why() -> None:
    advised = recommend(SHORT + around(ORACLE, 400, (-0.8, 0.1, 0.9)), TARGET)
    assert abs(ORACLE.distance(advised.learning_rate)) < 0.5
    assert any("exponent" in reason for reason in advised.reasons)
    assert any("left out" in reason for reason in advised.reasons)
    assert advised.warnings == ()


def test_fewer_than_two_runs_advise_nothing() -> None:
    with pytest.raises(UserError, match="comparable runs"):
        recommend(SHORT[:1], TARGET)


def test_an_optimum_outside_of_what_was_tried_raises_an_alarm() -> None:
    low = around(ORACLE, 100, (-3, -2.5, -2))
    (alarm,) = edge_alarms(fit(low, TARGET))
    assert "above all rates tried" in alarm
    assert alarm in recommend(low, TARGET).warnings
    assert edge_alarms(fit(SHORT, TARGET)) == []


def test_a_failed_hold_out_widens_the_bands_and_says_so() -> None:
    (hold_out,) = around(ORACLE, 400, (0.0,))
    hold_out = replace(hold_out, experiment=replace(hold_out.experiment, stage="hold-out"))
    assert hold_out.loss is not None
    held = recommend([*SHORT, hold_out], TARGET)
    failed = recommend([*SHORT, replace(hold_out, loss=hold_out.loss + 0.5)], TARGET)
    assert held.verdict is not None
    assert held.verdict.passed
    assert failed.verdict is not None
    assert not failed.verdict.passed

    def width(bounds: tuple[float, float]) -> float:
        return math.log2(bounds[1] / bounds[0])

    assert width(failed.interval68) == pytest.approx(1.5 * width(held.interval68), rel=0.1)
    diverged = replace(hold_out, loss=None, diverged_at=100)
    verdict = verdict_of([*SHORT, diverged], TARGET)
    assert verdict is not None
    assert not verdict.passed


def test_no_verdict_without_two_rungs_before_the_hold_out() -> None:
    first = replace(SHORT[0], experiment=replace(SHORT[0].experiment, stage="hold-out"))
    assert verdict_of([first, *SHORT], TARGET) is None
    assert verdict_of(SHORT, TARGET) is None


def test_the_next_experiment_is_the_one_worth_most_for_a_dollar_of_what_is_left() -> None:
    worth = next_experiment(TERMS, SHORT)
    assert worth is not None
    offered = suggestions(TERMS, fit(SHORT, TARGET))
    assert {each.experiments[0].steps for each in offered} == {100, 200, 400}
    assert worth.dollars == pytest.approx(sum(tune_oracles.price(each) for each in worth.experiments))
    spent = sum(run.dollars for run in SHORT)
    poor = next_experiment(replace(TERMS, budget=spent + 0.6), SHORT)
    assert poor is not None
    assert poor.dollars <= 0.6
    assert next_experiment(replace(TERMS, budget=spent + 0.1), SHORT) is None


def test_a_run_at_the_optimum_of_a_known_rung_is_worth_less_than_one_that_tells_the_sides_apart() -> None:
    fitted = fit(SHORT, TARGET)
    (same,) = [each for each in suggestions(TERMS, fitted) if each.experiments[0].steps == 100]
    off = math.log2(same.experiments[0].learning_rate / fitted.optimum(rung(100)).median)
    assert abs(off) > 0.4


def test_a_longer_rung_is_suggested_in_threes_since_its_floor_is_not_known() -> None:
    (longer,) = [each for each in suggestions(TERMS, fit(SHORT, TARGET)) if each.experiments[0].steps == 400]
    assert len(longer.experiments) == 3
    assert longer.why.startswith("larger")
    assert all(each.warmup == 40 for each in longer.experiments)


def test_without_runs_the_first_rung_is_suggested() -> None:
    worth = next_experiment(TERMS, [])
    assert worth is not None
    assert worth.gain > 0
    assert {each.scale for each in worth.experiments} == {rung(math.ceil(TARGET.steps / 50))}
