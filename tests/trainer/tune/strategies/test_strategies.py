"""What every strategy promises: a plan within the budget, runs within it, and the same whenever it is asked again."""

import math
from dataclasses import replace
from functools import cache

import pytest
from replayed import tune_oracles

from sparkprep.errors import UserError
from trainer.tune.experiments import Outcome, Terms
from trainer.tune.fit import rungs_of
from trainer.tune.strategies import DEFAULT, STRATEGIES
from trainer.tune.strategies.hyperband import table

ORACLE = tune_oracles.draw("gentle", 700)
PAYING = [name for name in STRATEGIES if name != "literature"]


@cache
def played(name: str, budget: float = 20.0) -> list[Outcome]:
    return STRATEGIES[name].play(terms(budget), ORACLE.run)


def terms(budget: float = 20.0) -> Terms:
    return Terms(ORACLE.target, budget, tune_oracles.price)


@pytest.mark.parametrize("budget", [13.0, 20.0, 60.0])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_plan_keeps_within_the_budget_and_its_parts_cost_what_they_say(name: str, budget: float) -> None:
    plan = STRATEGIES[name].plan(terms(budget))
    assert sum(place.dollars for place in plan) <= budget
    for place in plan:
        assert place.rates is None or len(place.rates) == place.runs
        assert place.dollars >= 0


@pytest.mark.parametrize("name", PAYING)
def test_a_budget_too_small_is_refused_with_what_would_do(name: str) -> None:
    with pytest.raises(UserError, match=r"\$\d+\.\d\d at the least, and the budget is \$0.10"):
        STRATEGIES[name].plan(terms(0.1))


@pytest.mark.parametrize("name", PAYING)
def test_asking_for_the_next_run_gives_what_playing_the_whole_gives_and_keeps_within_the_budget(name: str) -> None:
    strategy, given = STRATEGIES[name], terms()
    whole = played(name)
    asked: list[Outcome] = []
    for step in range(len(whole)):
        if step % 9 == 5 or step > len(whole) - 2:  # asked anew, as after a kill
            experiment = strategy.next(given, asked)
            assert experiment == whole[step].experiment
        asked.append(whole[step])
    assert strategy.next(given, asked) is None
    assert sum(outcome.dollars for outcome in whole) <= given.budget


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_recommendation_has_ordered_intervals_and_a_reason(name: str) -> None:
    strategy, given = STRATEGIES[name], terms()
    advised = strategy.recommend(given, played(name))
    (low68, high68), (low95, high95) = advised.interval68, advised.interval95
    assert 0 < low95 < low68 < high68 < high95
    assert advised.regret > 0
    assert advised.reasons


@pytest.mark.parametrize("name", PAYING)
def test_nothing_is_recommended_without_runs(name: str) -> None:
    with pytest.raises(UserError):
        STRATEGIES[name].recommend(terms(), [])


@pytest.mark.parametrize("name", PAYING)
def test_a_strategy_survives_that_most_runs_diverge(name: str) -> None:
    steep = replace(ORACLE, optimum=math.log2(5e-5), wall=1.0)
    given = terms(30.0)
    outcomes = STRATEGIES[name].play(given, steep.run)
    assert any(outcome.diverged for outcome in outcomes)
    assert STRATEGIES[name].next(given, outcomes) is None


@pytest.mark.parametrize("name", [name for name in PAYING if name != "greedy"])
def test_runs_are_whole_schedules_with_a_tenth_of_warm_up(name: str) -> None:
    for outcome in played(name):
        experiment = outcome.experiment
        assert experiment.stop_after is None
        assert experiment.warmup == max(1, round(experiment.scale.steps / 10))


def test_only_finalists_are_asked_hellaswag() -> None:
    for name in PAYING:
        asked = [run.experiment.stage for run in played(name) if run.hellaswag is not None]
        assert asked == (["hold-out"] if name == DEFAULT else [])


def test_greedy_switches_the_warm_up_off_and_doubles_until_it_diverges() -> None:
    steep = tune_oracles.draw("cliff", 700)
    runs = STRATEGIES["greedy"].play(terms(), steep.run)
    doubles = [run for run in runs if run.experiment.stage == "double"]
    assert [run.diverged for run in doubles] == [False] * (len(doubles) - 1) + [True]
    assert all(run.experiment.warmup == 0 for run in runs)
    rates = [run.experiment.learning_rate for run in runs if run.experiment.stage == "fraction"]
    assert rates == pytest.approx([doubles[-1].experiment.learning_rate / 2**power for power in range(1, 7)])


def test_greedy_of_the_course_takes_460_steps_at_most() -> None:
    plan = STRATEGIES["greedy"].plan(terms(2.65))
    assert sum(place.runs * (place.stop_after or 0) for place in plan) == 460


def test_the_table_of_hyperband_is_the_course_s() -> None:
    brackets = table()
    assert [bracket[0] for bracket in brackets] == [(243, 2), (98, 6), (41, 20), (18, 61), (9, 185), (6, 555)]
    assert sum(bracket[0][0] for bracket in brackets) == 415
    assert sum(count for bracket in brackets for count, _ in bracket) == 611
    assert sum(count * steps for bracket in brackets for count, steps in bracket) == 19_005


def test_hyperband_takes_the_best_third_on() -> None:
    runs = played("hyperband")
    first = [run for run in runs if run.experiment.stage == "bracket 1, rung 1"]
    second = {run.experiment.learning_rate for run in runs if run.experiment.stage == "bracket 1, rung 2"}
    ranked = sorted((math.inf if run.loss is None else run.loss, run.experiment.learning_rate) for run in first)
    assert second == {rate for _, rate in ranked[: len(first) // 3]}


def test_model_scaling_trains_the_course_s_sizes_on_twenty_tokens_a_parameter() -> None:
    plan = STRATEGIES["model-scaling"].plan(terms(6.5))
    assert [(place.scale.depth, place.scale.channels, place.scale.steps) for place in plan[:3]] == [
        (1, 64, 128),
        (2, 128, 266),
        (3, 192, 427),
    ]


def test_an_optimum_beyond_the_rates_tried_is_gone_after() -> None:
    low = replace(ORACLE, optimum=math.log2(8e-5), drift=0.1)
    for name in ("early-stop", "data-scaling", "hybrid"):
        runs = STRATEGIES[name].play(terms(40.0), low.run)
        assert min(run.experiment.learning_rate for run in runs) < 2e-4, name
        advised = STRATEGIES[name].recommend(terms(40.0), runs)
        assert advised.learning_rate < 2e-4, name


def test_hybrid_foretells_its_hold_out_before_it_runs_it() -> None:
    runs = played("hybrid")
    (place,) = [place for place, run in enumerate(runs) if run.experiment.stage == "hold-out"]
    verdict = STRATEGIES["hybrid"].recommend(terms(), runs).verdict
    assert verdict is not None
    assert verdict.observed == runs[place].loss
    assert verdict.passed
    spoilt = [*runs[:place], replace(runs[place], loss=(runs[place].loss or 0) + 0.5), *runs[place + 1 :]]
    failed = STRATEGIES["hybrid"].recommend(terms(), spoilt)
    assert failed.verdict is not None
    assert failed.verdict.predicted == verdict.predicted
    assert not failed.verdict.passed
    assert any("hold-out" in warning for warning in failed.warnings)


def test_hybrid_keeps_its_hold_out_where_runs_are_dearer_than_planned() -> None:
    def dearer(experiment):
        outcome = ORACLE.run(experiment)
        return replace(outcome, dollars=outcome.dollars * 1.2)

    runs = STRATEGIES["hybrid"].play(terms(), dearer)
    assert any(run.experiment.stage == "hold-out" for run in runs)
    assert sum(len(rung.losses) for rung in rungs_of(runs, ORACLE.target)) >= 10


@pytest.mark.slow
def test_hybrid_ends_where_money_is_no_matter() -> None:
    assert len(STRATEGIES["hybrid"].play(terms(5000.0), ORACLE.run)) < 60


def test_hybrid_refuses_a_run_too_short_for_a_ladder() -> None:
    with pytest.raises(UserError, match="too short for a ladder"):
        STRATEGIES["hybrid"].plan(replace(terms(), target=replace(ORACLE.target, steps=30)))
