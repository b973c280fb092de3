"""A total from windows: right on average, and within its interval as often as that says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.emr.cost.formula import Factor
from sparkprep.estimate.ratio import total


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 1000)), min_size=1, max_size=50), st.floats(1, 20))
def test_bounds_hold_and_what_was_counted_is_never_lost(windows: list[tuple[int, int]], times: float) -> None:
    sizes, values = ([float(each) for each in column] for column in zip(*windows, strict=True))
    found = total(sizes, values, sum(sizes) * times)
    assert sum(values) <= found.low * (1 + 1e-12)
    assert found.low <= found.expected * (1 + 1e-12)
    assert found.expected <= found.high * (1 + 1e-12)
    assert found.expected == pytest.approx(sum(values) * times)


def test_of_all_windows_there_is_no_doubt_and_of_one_there_is_much() -> None:
    assert total([2, 3], [5, 7], 5) == Factor(12, 12, 12)
    assert total([10], [5], 100) == Factor(25, 50, 100)
    assert total([], [], 100) == Factor(0, 0, 0)


@pytest.mark.parametrize("windows", [4, 64])
def test_the_truth_lies_in_the_interval_in_95_of_100_draws(windows: int) -> None:
    random = np.random.default_rng(7)
    population = random.lognormal(8, 1.0, 64_000).cumsum() % 20_000  # neighbours are alike
    length, hits, draws, ratios = 16, 0, 400, []
    strata = np.array_split(np.arange(len(population)), windows)
    for _ in range(draws):
        starts = [int(random.integers(each[0], each[-1] - length + 2)) for each in strata]
        values = [float(population[start : start + length].sum()) for start in starts]
        found = total([length] * windows, values, len(population))
        hits += found.low <= population.sum() <= found.high
        ratios.append(found.expected / population.sum())
    assert 0.91 * draws <= hits
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)
