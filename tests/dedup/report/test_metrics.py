"""The recall estimate: right on average, and honest about its spread."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dedup_runs import prose, run, save
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from sparkprep.dedup.kernels.bands import probability
from sparkprep.dedup.report import metrics, page
from sparkprep.dedup.resolve import outcome
from sparkprep.pages.environment import duration

BANDS, ROWS, THRESHOLD = 6, 6, 0.6


def estimate(rng: np.random.Generator, copies: int) -> tuple[dict[str, float], float]:
    """(the estimate from the pairs that such a banding happens to find, the true recall of that draw)."""
    jaccard = rng.uniform(THRESHOLD, 1.0, 2000)
    found = jaccard[rng.random(jaccard.size) < probability(jaccard, BANDS, ROWS)]
    result = metrics.recall(outcome.histogram(found, THRESHOLD), copies, THRESHOLD, BANDS, ROWS)
    return result, (found.size + copies) / (jaccard.size + copies)


def test_the_estimated_recall_is_right_on_average_and_its_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(5)
    draws = [estimate(rng, copies=300) for _ in range(100)]
    assert 0.5 < np.mean([true for _, true in draws]) < 0.9, "nothing to estimate where nearly all is found"
    assert np.mean([e["estimate"] - true for e, true in draws]) == pytest.approx(0.0, abs=0.005)
    covered = sum(e["low"] - 0.01 <= true <= e["high"] + 0.01 for e, true in draws)
    assert covered >= 85


def test_as_many_pairs_are_said_to_be_missed_as_were() -> None:
    """Of every similarity from a threshold on, on average over draws."""
    rng = np.random.default_rng(6)
    for at in (0.6, 0.7):
        said, true = 0.0, 0
        for _ in range(50):
            jaccard = rng.uniform(0.5, 1.0, 2000)
            found = jaccard[rng.random(jaccard.size) < probability(jaccard, BANDS, ROWS)]
            said += metrics.missed(outcome.histogram(found, THRESHOLD), THRESHOLD, BANDS, ROWS, at)
            true += int((jaccard >= at).sum() - (found >= at).sum())
        assert said == pytest.approx(true, rel=0.03)


def test_the_same_pairs_give_the_same_interval() -> None:
    counts = outcome.histogram(np.linspace(0.8, 1.0, 50), 0.8)
    assert metrics.recall(counts, 3, 0.8, 18, 6) == metrics.recall(counts, 3, 0.8, 18, 6)


def test_no_pair_gives_no_estimate() -> None:
    nothing = metrics.recall(outcome.histogram(np.empty(0), 0.8), 0, 0.8, 18, 6)
    assert nothing == {"estimate": None, "low": None, "high": None, "pairs": 0, "missed": None}


def test_a_histogram_in_bins_for_the_eye_counts_every_similarity_once_ends_included() -> None:
    jaccard = np.array([0.0, 0.29, 0.7999, 0.8, 0.8, 0.803, 0.81, 0.9, 0.9999, 1.0])
    shown = metrics.coarse(outcome.histogram(jaccard, 0.803), 0.803)
    counts = {round(edge, 3): n for edge, n in zip(shown["edges"], shown["counts"], strict=False) if n}
    assert counts == {0.0: 1, 0.29: 1, 0.79: 1, 0.8: 2, 0.803: 1, 0.81: 1, 0.9: 1, 0.99: 2}
    assert len(shown["edges"]) == len(shown["counts"]) + 1


@given(st.integers(1, 1000), st.lists(st.integers(0, 1000), max_size=50))
def test_at_or_above_counts_what_reaches_a_similarity(threshold: int, values: list[int]) -> None:
    jaccard = np.array(values, np.float64) / 1000
    counts = outcome.histogram(jaccard, threshold / 1000)
    for at in outcome.thresholds(threshold / 1000):
        assert outcome.at_or_above(counts, threshold / 1000, at) == (jaccard >= at).sum()


def test_a_threshold_of_one_has_a_histogram_too() -> None:
    shown = metrics.coarse(outcome.histogram(np.ones(3), 1.0), 1.0)
    assert shown["counts"][-1] == 3 == sum(shown["counts"])


@pytest.mark.parametrize(
    ("threshold", "others"),
    [
        (0.8, [0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]),
        (0.83, [0.75, 0.8, 0.83, 0.85, 0.9, 0.95, 1.0]),
        (1.0, [0.9, 0.95, 1.0]),
        (0.05, [0.05 * step for step in range(1, 21)]),
    ],
)
def test_the_other_thresholds_are_steps_of_a_twentieth_from_the_near_misses_on(
    threshold: float, others: list[float]
) -> None:
    assert outcome.thresholds(threshold) == pytest.approx(others)
    assert threshold in outcome.thresholds(threshold)


@pytest.mark.parametrize(("module", "function"), [(metrics, "build"), (page.plots, "s_curve")])
def test_the_stage_report_times_the_metrics_and_the_page(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, function: str
) -> None:
    original = getattr(module, function)

    def slow(*arguments: Any) -> Any:
        time.sleep(1.5)
        return original(*arguments)

    monkeypatch.setattr(module, function, slow)
    source = save(tmp_path / "in.parquet", {"id": [1, 2], "text": [prose(1), prose(2)]})
    told = run(spark, source, tmp_path / "out").metrics
    (report,) = (stage for stage in told["stages"] if stage["name"] == "report")
    assert report["seconds"] >= 1.5
    assert told["seconds"] >= sum(stage["seconds"] for stage in told["stages"])
    assert duration(report["seconds"]) in (tmp_path / "out" / "report.html").read_text()
