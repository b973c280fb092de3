"""How long a run takes: guessed from its size, corrected by what its tasks took."""

import pytest

from sparkprep.spark.forecast import DEDUP, READ, SHARDS, TOKENIZE, Cost, Forecast, Pace

COSTS = {"first": Cost(10.0, 2.0, steady=True), "second": Cost(30.0), "last": Cost(0.0, 1.0)}
GB = 1_000_000_000


def test_before_anything_was_done_size_and_cores_tell() -> None:
    assert Forecast(COSTS, 10 * GB, cores=2).left("first", 0.0, Pace()) == 2 + 50 + 150 + 1
    assert Forecast(COSTS, 10 * GB, cores=20).left("first", 0.0, Pace()) == 2 + 5 + 15 + 1
    assert Forecast(COSTS, 10 * GB, cores=2).left("first", 12.0, Pace()) == 2 + 50 + 150 + 1 - 12


def test_a_machine_that_is_slower_is_so_in_the_stages_to_come() -> None:
    forecast = Forecast(COSTS, 10 * GB, cores=2)
    assert not forecast.is_measured
    # The first two of eight tasks after 28 seconds, two of them for the start; two more every 26: twice what was meant.
    pace = Pace(6, 8, 80.0, 2, 28.0)
    left = forecast.left("first", 80.0, pace)
    assert forecast.is_measured
    assert left == pytest.approx(26 + 106 / 52 * 151)
    forecast.end("first", 104.0)
    assert forecast.left("second", 0.0, Pace()) == pytest.approx(2 * 151)


def test_of_a_first_task_no_more_is_made_than_it_tells() -> None:
    forecast = Forecast(COSTS, 10 * GB, cores=2)
    assert Pace(1, 100, 4.0, 1, 4.0).whole(fixed=2.0) == 2 + 200
    meant, slow = forecast.left("first", 4.0, Pace()), forecast.left("first", 4.0, Pace(1, 100, 4.0, 1, 4.0))
    assert meant < slow < 1.1 * meant


def test_a_stage_that_takes_longer_than_meant_is_never_said_to_be_over() -> None:
    forecast = Forecast(COSTS, 10 * GB, cores=2)
    forecast.end("first", 52.0)
    assert forecast.left("second", 1000.0, Pace()) == pytest.approx(0.05 * 150 + 1)
    assert forecast.left("second", 1000.0, Pace(10, 20, 100.0, 10, 100.0)) == pytest.approx(100 + 1)


def test_a_stage_that_comes_again_adds_what_its_own_tasks_tell() -> None:
    forecast = Forecast(COSTS, 10 * GB, cores=2)
    for stage in ("first", "second"):
        forecast.end(stage, 50.0)
    assert forecast.left("second", 5.0, Pace(1, 4, 2.0, 1, 2.0)) == pytest.approx(6 + 100 / 202)


@pytest.mark.parametrize("costs", [DEDUP, TOKENIZE, SHARDS, READ], ids=["dedup", "tokenize", "shards", "read"])
def test_every_job_costs_something_and_twice_the_size_costs_more(costs: dict[str, Cost]) -> None:
    one, two = (Forecast(costs, size * GB, 4).left("", 0.0, Pace()) for size in (10, 20))
    assert 0 < one < two <= 2 * one
