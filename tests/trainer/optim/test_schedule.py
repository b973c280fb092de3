"""Learning rates and outlier scores are llm.c's, checked against a second writing of their formulas."""

import math

import numpy as np
import pytest
from bounds import FLOAT64, TRANSCENDENTAL, worst
from hypothesis import given
from hypothesis import strategies as st

from trainer.optim.outliers import WINDOW, OutlierDetector
from trainer.optim.schedule import SCHEDULERS, Schedule

OF_PEAK = worst(TRANSCENDENTAL + 8, FLOAT64)
"""A rate's rounding, relative to the peak: a share of the way, a cosine or root of it, two products, a sum."""

COURSE = Schedule("cosine", 6e-4, 470, 4725, 0.0)


@st.composite
def schedules(draw: st.DrawFn, kinds: tuple[str, ...] = SCHEDULERS) -> Schedule:
    """Any whose warm-up ends before its decay begins."""
    steps = draw(st.integers(2, 20_000))
    warmup = draw(st.integers(0, int(0.8 * steps)))
    return Schedule(draw(st.sampled_from(kinds)), draw(st.floats(1e-6, 1.0)), warmup, steps, draw(st.floats(0.0, 1.0)))


def written_anew(kind: str, peak: float, warmup: int, steps: int, final: float) -> np.ndarray:
    """The rates of all steps, float64 (steps,)."""
    s = np.arange(steps, dtype=np.float64)
    low = final * peak
    if kind == "constant":
        return np.full(steps, peak)
    if kind == "wsd":
        start = int(0.8 * steps)
        r = np.clip((s - start) / (steps - start), 0, None)
        after = np.where(s < start, peak, low + (1 - np.sqrt(r)) * (peak - low))
    else:
        r = (s - warmup) / (steps - warmup)
        after = low + 0.5 * (1 + np.cos(np.pi * r)) * (peak - low) if kind == "cosine" else peak * (1 - r) + low * r
    return np.where(s < warmup, peak * (s + 1) / max(1, warmup), after)


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 1.2766e-6), (469, 6e-4), (470, 6e-4), (2365, 3.5125e-4), (4724, 8.18e-11)]
)
def test_the_courses_schedule_gives_its_known_rates(step: int, rate: float) -> None:
    assert COURSE.rate(step) == pytest.approx(rate, rel=1e-3)


@given(schedule=schedules())
def test_every_rate_is_that_of_the_formula(schedule: Schedule) -> None:
    steps = sorted({*range(0, schedule.steps, max(1, schedule.steps // 50)), schedule.warmup, schedule.steps - 1})
    expected = written_anew(schedule.kind, schedule.peak, schedule.warmup, schedule.steps, schedule.final)[steps]
    rates = [schedule.rate(step) for step in steps]
    np.testing.assert_allclose(rates, expected, rtol=0, atol=2 * OF_PEAK * schedule.peak)


@given(schedule=schedules())
def test_no_rate_is_above_the_peak_or_below_its_bounds(schedule: Schedule) -> None:
    lowest = min(schedule.final * schedule.peak, schedule.peak / max(1, schedule.warmup))
    for step in range(0, schedule.steps, max(1, schedule.steps // 100)):
        assert lowest - OF_PEAK * schedule.peak <= schedule.rate(step) <= schedule.peak * (1 + OF_PEAK)


@given(schedule=schedules(("cosine", "linear", "wsd")))
def test_rates_rise_to_the_peak_and_then_never_rise_again(schedule: Schedule) -> None:
    if schedule.warmup:
        assert schedule.rate(schedule.warmup - 1) == pytest.approx(schedule.peak)
    assert schedule.rate(schedule.warmup) == pytest.approx(schedule.peak)
    for step in range(0, schedule.steps - 1, max(1, schedule.steps // 100)):
        before, after = schedule.rate(step), schedule.rate(step + 1)
        rise = schedule.peak * 2 * OF_PEAK
        assert after >= before - rise if step + 1 < schedule.warmup else after <= before + rise


@given(schedule=schedules(("cosine", "linear", "wsd")))
def test_no_step_is_larger_than_the_steepest_slope(schedule: Schedule) -> None:
    fall = schedule.peak * (1 - schedule.final)
    left = schedule.steps - (int(0.8 * schedule.steps) if schedule.kind == "wsd" else schedule.warmup)
    steepest = {"cosine": math.pi / 2 / left, "linear": 1 / left, "wsd": math.sqrt(1 / left)}[schedule.kind]
    for step in range(schedule.warmup, schedule.steps - 1, max(1, schedule.steps // 100)):
        assert schedule.rate(step) - schedule.rate(step + 1) <= fall * steepest + 2 * OF_PEAK * schedule.peak


def test_constant_knows_no_warm_up() -> None:
    assert {Schedule("constant", 3e-4, 100, 200, 0.0).rate(step) for step in range(200)} == {3e-4}


def test_an_unknown_scheduler_is_refused() -> None:
    with pytest.raises(ValueError, match="'cosin' is none of cosine, linear, constant, wsd"):
        Schedule("cosin", 1.0, 0, 10, 0.0).rate(3)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 400), scale=st.floats(1e-3, 1e3))
def test_scores_are_those_of_the_last_128_values(seed: int, count: int, scale: float) -> None:
    values = np.random.default_rng(seed).standard_cauchy(count) * scale + 5
    detector = OutlierDetector()
    for at, value in enumerate(values.tolist()):
        score = detector.score(value)
        if at < 128:
            assert math.isnan(score)
        else:
            window = values[at - 127 : at + 1]
            # Mean and deviation are sums of 128 float64, relative to the largest value, which may dwarf the deviation.
            rounding = worst(3 * 128, FLOAT64) * float(np.abs(window).max() / window.std())
            expected = (value - window.mean()) / window.std()
            assert score == pytest.approx(expected, rel=rounding, abs=rounding)
            assert abs(score) <= 11.27
    assert detector.values == values[-128:].tolist()


def test_one_spike_among_equal_values_reaches_the_highest_score() -> None:
    detector = OutlierDetector([2.0] * 128)
    assert detector.score(1e6) == pytest.approx(math.sqrt(127))


def test_equal_values_are_no_outliers() -> None:
    detector = OutlierDetector()
    scores = [detector.score(3.1) for _ in range(WINDOW + 5)]
    assert [math.isnan(score) for score in scores] == [True] * WINDOW + [False] * 5
    assert scores[WINDOW:] == [0.0] * 5


def test_a_spike_is_scored_from_the_129th_value_on() -> None:
    for before in (0, 126, 127, 128, 129, 300):
        score = OutlierDetector([2.0] * before).score(1e6)
        assert math.isnan(score) == (before < 128), before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_leaves_the_window_as_it_is(value: float) -> None:
    detector = OutlierDetector(range(200))
    before = detector.values
    assert math.isnan(detector.score(value))
    assert detector.values == before


def test_a_detector_goes_on_from_the_values_of_another() -> None:
    values = np.random.default_rng(3).normal(3, 1, 300).tolist()
    whole, first = OutlierDetector(), OutlierDetector()
    expected = [whole.score(value) for value in values]
    for value in values[:200]:
        first.score(value)
    assert [OutlierDetector(first.values).score(values[200])] == [expected[200]]
