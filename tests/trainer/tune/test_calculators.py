"""The calculators give the course's numbers, and what they say of covers and random search is true."""

import itertools
import math
import random
import subprocess
import sys
from fractions import Fraction

import pytest
from checkout import ROOT
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from trainer.models.gpt2 import GPT2Shape
from trainer.tune.calculators import (
    cover,
    grid_or_random,
    optimal_tokens,
    rates_cover,
    steps_of,
    tokens_of,
)
from trainer.tune.experiments import Scale


@pytest.mark.parametrize(
    ("depth", "channels", "parameters", "tokens", "steps"),
    [
        (1, 64, 3_335_104, 66_702_080, 128),
        (2, 128, 6_966_784, 139_335_680, 266),
        (3, 192, 11_189_952, 223_799_040, 427),
        (12, 768, 124_475_904, 2_489_518_080, 4_749),
    ],
)
def test_a_compute_optimal_model_sees_twenty_tokens_for_each_parameter(
    depth: int, channels: int, parameters: int, tokens: int, steps: int
) -> None:
    told = optimal_tokens(depth, channels)
    assert (told.parameters, told.tokens, told.steps) == (parameters, tokens, steps)
    assert str(told) == f"{parameters:,} parameters x 20 = {tokens:,} tokens, {steps:,} steps of 524,288"


@given(st.integers(1, 48), st.integers(1, 16), st.integers(1, 64))
def test_a_scale_has_the_parameters_of_the_model_that_is_trained(depth: int, heads: int, width: int) -> None:
    assert Scale(depth, heads * width, heads, 1).parameters == GPT2Shape(depth, heads, heads * width).num_parameters


@given(st.integers(1, 10**12), st.integers(1, 10**7))
def test_steps_are_the_least_that_see_the_tokens(tokens: int, batch: int) -> None:
    steps = steps_of(tokens, batch)
    assert tokens_of(steps, batch) >= tokens > tokens_of(steps, batch) - batch


def test_a_unit_interval_is_covered_within_a_twentieth_by_ten_points() -> None:
    covered = cover([(1, 2)], 0.05)
    assert covered.size == 10
    assert list(covered.points()) == [(round(1.05 + 0.1 * i, 2),) for i in range(10)]
    assert str(covered) == "10 points: 1.05, 1.15, 1.25, 1.35, 1.45, 1.55, 1.65, 1.75, 1.85, 1.95"


@pytest.mark.parametrize("length", [0.1 * i for i in range(1, 10)])
def test_ends_are_taken_as_they_are_typed(length: float) -> None:
    typed = round(length, 1)  # 0.3 / 0.1 in binary is 2.9999999999999996, 0.6 / 0.2 is 2.9999999999999996 too
    assert cover([(0, typed)], 0.05).size == round(10 * typed)


def test_a_cover_grows_by_a_factor_for_each_dimension() -> None:
    assert [cover([(0, 1)] * d, 0.05).size for d in (1, 2, 3, 6)] == [10, 100, 1_000, 1_000_000]
    assert cover([(0, 1), (0, 0.25), (3, 3)], 0.05).counts == (10, 3, 1)
    assert str(cover([(0, 1), (0, 1)], 0.05)).startswith("10 x 10 = 100 points: (0.05, 0.05), (0.05, 0.15)")
    assert str(cover([(0, 1), (0, 1)], 0.05)).endswith(" and 80 more")


ENDS = st.tuples(st.decimals(-5, 5, places=2), st.decimals(0, 3, places=2)).map(
    lambda pair: (float(pair[0]), float(pair[0] + pair[1]))
)


@given(st.lists(ENDS, min_size=1, max_size=2), st.decimals("0.05", 2, places=2).map(float), st.randoms())
def test_no_point_of_a_box_is_further_than_epsilon_from_the_cover_and_fewer_points_would_not_do(
    box: list[tuple[float, float]], epsilon: float, anywhere: random.Random
) -> None:
    covered = cover(box, epsilon)
    points = list(covered.points())
    assert len(set(points)) == len(points) == covered.size
    corners = itertools.product(*box)
    for place in [*corners, *(tuple(anywhere.uniform(*axis) for axis in box) for _ in range(5))]:
        nearest = min(max(abs(a - b) for a, b in zip(place, point, strict=True)) for point in points)
        assert nearest <= epsilon + 1e-9
    for (low, high), count in zip(box, covered.counts, strict=True):
        # Cubes of side 2 epsilon: one less along an axis would not reach from end to end.
        assert count == 1 or (count - 1) * 2 * Fraction(repr(epsilon)) < Fraction(repr(high)) - Fraction(repr(low))


def test_ten_octaves_of_rates_take_twenty_within_a_quarter_octave() -> None:
    rates = rates_cover(2**-13, 2**-3, 0.25)
    assert len(rates) == 20
    for octave in range(-13, -2):
        assert min(abs(math.log2(rate) - octave) for rate in rates) <= 0.25 + 1e-9


@pytest.mark.parametrize("budget", [1, 4, 9])
def test_distances_and_chances_are_those_of_draws(budget: int) -> None:
    chance = random.Random(7)
    tries, distance, hits = 20_000, 0.0, [0, 0]
    grid = [(2 * i + 1) / (2 * budget) for i in range(budget)]
    for _ in range(tries):
        drawn = [chance.random() for _ in range(budget)]
        optimum, begin = chance.random(), chance.uniform(0, 0.95)
        distance += min(abs(value - optimum) for value in drawn) / tries
        for i, values in enumerate((grid, drawn)):
            hits[i] += any(begin <= value <= begin + 0.05 for value in values)
    even, random_search, hypercube = grid_or_random(1, budget).searches
    # Five standard deviations of the mean of so many tries, each at most 1 wide.
    assert random_search.distance == pytest.approx(distance, abs=5 * 0.5 / math.sqrt(tries))
    assert even.hit == pytest.approx(hits[0] / tries, abs=5 * 0.5 / math.sqrt(tries))
    assert random_search.hit == pytest.approx(hits[1] / tries, abs=5 * 0.5 / math.sqrt(tries))
    assert hypercube.distance == even.distance == 1 / (4 * budget)


def test_a_grid_spends_its_runs_on_few_values_of_the_parameter_that_matters() -> None:
    told = grid_or_random(3, 27, epsilon=0.05)
    grid, random_search, hypercube = told.searches
    assert (grid.values, random_search.values, hypercube.values) == (3, 27, 27)
    assert grid.distance > random_search.distance > hypercube.distance
    assert told.cover == 1_000
    assert told.take.startswith("random search")
    assert "27 runs on 3 values" in str(told)


@given(st.integers(1, 12), st.integers(1, 10**9))
def test_a_grid_is_the_largest_that_the_budget_pays(dimensions: int, budget: int) -> None:
    grid, *_ = grid_or_random(dimensions, budget).searches
    assert grid.runs == grid.values**dimensions <= budget < (grid.values + 1) ** dimensions


@pytest.mark.parametrize(
    ("dimensions", "budget", "epsilon", "take"),
    [
        (1, 10, 0.05, "the grid: of one"),
        (2, 100, 0.05, "the grid of the cover"),
        (2, 99, 0.05, "random search"),
        (6, 20, None, "random search"),
        (2, 1, None, "a Latin hypercube"),
    ],
)
def test_what_to_take_follows_from_budget_and_cover(
    dimensions: int, budget: int, epsilon: float | None, take: str
) -> None:
    assert grid_or_random(dimensions, budget, epsilon).take.startswith(take)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: optimal_tokens(0, 64), "depth=0"),
        (lambda: optimal_tokens(1, 64, tokens_per_step=-1), "tokens_per_step=-1"),
        (lambda: steps_of(0), "tokens=0"),
        (lambda: cover([(1, 2)], 0), "epsilon=0"),
        (lambda: cover([(2, 1)], 0.1), "from 2 to 1"),
        (lambda: cover([], 0.1), "without an axis"),
        (lambda: cover([(0, math.inf)], 0.1), "without end"),
        (lambda: rates_cover(0, 1, 0.5), "low=0"),
        (lambda: rates_cover(2e-3, 1e-3, 0.5), "low=0.002 is above high=0.001"),
        (lambda: grid_or_random(2, 0), "budget=0"),
    ],
)
def test_what_cannot_be_calculated_is_told_in_a_line(call: object, named: str) -> None:
    assert callable(call)
    with pytest.raises(UserError, match=named) as told:
        call()
    assert "\n" not in str(told.value)


def test_calculators_and_tables_start_without_torch() -> None:
    code = (
        "import sys; from trainer.tune import calculators, tables, u_curves, report; "
        "assert not {'torch', 'pyspark'} & set(sys.modules)"
    )
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'train'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=path)
