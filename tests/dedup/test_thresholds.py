"""Several thresholds in one run: each result is that of a run with it alone, the text is read as often as for one."""

import json
import random
from collections import Counter
from pathlib import Path

import corpus
import numpy as np
import pyarrow.parquet as pq
import pytest
from dedup_runs import FIGURES, listing, prose, save, with_changed
from pyspark.sql import SparkSession

from sparkprep import Result, Settings, ThresholdResults, deduplicate, grade_result, tokenize
from sparkprep.dedup.audit.finished import FinishedRun
from sparkprep.dedup.resolve import driver
from sparkprep.dedup.thresholds import MOST_THRESHOLDS, folder_of
from sparkprep.errors import UserError, called_by_flags

AT = [0.9, 0.6, 0.75]
SAME = (*FIGURES, "banding", "settings", "input")
HOT = {"bucket_cap": 5, "bucket_leaders": 20}


def template_rows(documents: int) -> list[dict[str, object]]:
    """Documents that share a long template and differ in 1 to 40 further words: oversized buckets at any threshold."""
    rng = random.Random(7)
    template = prose(0, 120)
    return [
        {
            "id": f"{n:05d}",
            "url": f"https://s{n % 3}.example/{n}",
            "text": f"{template} {prose(n + 1, rng.randrange(1, 40))}",
        }
        for n in range(documents)
    ]


def rows_of(result: Result) -> dict[str, list[str]]:
    return {
        name: sorted(map(str, pq.read_table(Path(result.output) / name).to_pylist()))
        for name in ("kept", "removed", "audit/rows", "audit/pairs")
    }


def check_equal(results: ThresholdResults, spark: SparkSession, source: object, settings: Settings) -> None:
    """Each result against a run with its threshold alone; where neither went to the cluster, to the bytes."""
    assert list(results) == sorted(AT)
    for threshold, result in results.items():
        alone = deduplicate(source, settings, threshold=threshold, spark=spark)
        assert rows_of(result) == rows_of(alone)
        for figure in SAME:
            assert result.metrics[figure] == alone.metrics[figure], (threshold, figure)
        same_parts = ("kept", "audit/rows") if settings.driver_budget == 0 else alone.metrics["parts"]
        for name in same_parts:
            assert result.metrics["parts"][name] == alone.metrics["parts"][name], (threshold, name)
    removed = [result.metrics["counts"]["removed"] for result in results.values()]
    assert removed[0] > removed[-1] > 0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return corpus.write(tmp_path_factory.mktemp("corpus") / "docs", corpus.documents(), files=3)


@pytest.fixture(scope="module")
def results(spark: SparkSession, source: str, tmp_path_factory: pytest.TempPathFactory) -> ThresholdResults:
    return deduplicate(source, threshold=AT, spark=spark, output=tmp_path_factory.mktemp("out") / "at")


def test_each_threshold_has_the_result_of_a_run_with_it_alone(
    results: ThresholdResults, spark: SparkSession, source: str
) -> None:
    check_equal(results, spark, source, Settings())


@pytest.mark.scale
@pytest.mark.parametrize("rule", ["leader", "component"])
@pytest.mark.parametrize("budget", [10_000_000, 0])
def test_so_it_is_with_oversized_buckets_and_chains_on_driver_and_cluster(
    spark: SparkSession, tmp_path: Path, rule: str, budget: int
) -> None:
    rows = template_rows(90)
    text = prose(5, 60)
    for step in range(6):  # a chain whose ends no edge joins, and two rows that are equal in the keep order
        text = with_changed(text, 8 * step)
        rows.append({"id": f"chain{step}", "url": None, "text": text})
    rows += [rows[3], rows[3] | {"url": "https://other.example/"}]
    source = corpus.write(tmp_path / "docs", rows, files=2)
    settings = Settings(rule=rule, driver_budget=budget, **HOT)
    results = deduplicate(source, settings, threshold=AT, spark=spark)
    check_equal(results, spark, source, settings)
    assert all(result.metrics["candidates"]["hot_buckets"] for result in results.values())


def test_no_pair_is_compared_twice_and_further_searches_share_their_rounds(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[np.ndarray] = []
    similarities = driver._similarities

    def noting(work, pairs, *others):
        compared.append(pairs)
        return similarities(work, pairs, *others)

    monkeypatch.setattr(driver, "_similarities", noting)
    source = corpus.write(tmp_path / "docs", template_rows(90))
    results = deduplicate(source, Settings(**HOT), threshold=AT[:2], spark=spark)
    times = Counter(map(tuple, np.concatenate(compared).tolist()))
    assert max(times.values()) == 1
    pairs = [result.metrics["candidates"]["pairs"] for result in results.values()]
    assert max(pairs) <= len(times) < sum(pairs)
    scans = results.metrics["text_scans"]
    assert [scan["stage"] for scan in scans if scan["stage"] != "verify"] == ["sketch", "write"]
    assert 1 < sum(scan["stage"] == "verify" for scan in scans) <= len(compared)


def test_the_bands_that_are_given_serve_each_threshold(spark: SparkSession, source: str) -> None:
    results = deduplicate(source, threshold=AT[:2], bands=20, rows=5, spark=spark)
    alone = deduplicate(source, threshold=AT[0], bands=20, rows=5, spark=spark)
    assert results[AT[0]].metrics["counts"] == alone.metrics["counts"]
    assert results[AT[0]].metrics["parts"] == alone.metrics["parts"]


def test_the_output_compares_the_thresholds_and_leads_to_the_report_of_each(results: ThresholdResults) -> None:
    folder = Path(results.output)
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "report.html", *map(folder_of, AT)}
    figures = json.loads((folder / "metrics.json").read_text())
    assert figures == results.metrics
    page = (folder / "report.html").read_text()
    for each, (threshold, result) in zip(figures["thresholds"], results.items(), strict=True):
        assert each["counts"] == result.metrics["counts"]
        assert f'href="{folder_of(threshold)}/report.html"' in page
        assert f"{each['counts']['kept']:,}</td>" in page
    gone = {at: set(result.removed.toPandas()["id"]) for at, result in results.items()}
    for step in figures["steps"]:
        low, high = gone[step["lower"]], gone[step["higher"]]
        assert (step["only_lower"], step["only_higher"]) == (len(low - high), len(high - low))
    assert figures["command"].endswith("--threshold 0.6 0.75 0.9")
    assert "0.75" in repr(results)


def test_every_verb_takes_one_of_the_results_and_tells_of_them_when_handed_all(
    results: ThresholdResults, spark: SparkSession
) -> None:
    one = results[0.75]
    assert FinishedRun(one.output).threshold == 0.75
    assert dict(ThresholdResults.open(results.output, spark)).keys() == dict(results).keys()
    assert Result.open(one.output, spark).metrics == one.metrics
    handing: list = [FinishedRun, Result.open, lambda folder: grade_result(folder, size="1k"), tokenize, deduplicate]
    for hand in handing:
        with pytest.raises(UserError, match=r"3 thresholds: name one of them, .*threshold-0\.6 or "):
            hand(results.output)
    with pytest.raises(UserError, match="no results of several"):
        ThresholdResults.open(one.output, spark)


def test_either_kind_of_result_replaces_the_other(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "docs.parquet", {"id": ["a", "b"], "text": [prose(1), prose(1)]})
    for threshold in (0.8, [0.8], [0.8, 0.9], 0.8):
        deduplicate(source, threshold=threshold, output=tmp_path / "out", overwrite=True, spark=spark)
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert ("kept" in names) is isinstance(threshold, float)
        assert len([name for name in names if name.startswith("threshold-")]) == (
            0 if isinstance(threshold, float) else len(threshold)
        )


def test_one_file_of_the_kept_lies_in_each_result(spark: SparkSession, tmp_path: Path) -> None:
    source = save(tmp_path / "docs.parquet", {"id": ["a", "b"], "text": [prose(1), with_changed(prose(1), 0, 20)]})
    name = "kept-all.snappy.parquet"
    results = deduplicate(source, threshold=(0.5, 0.95), single_file=name, spark=spark)
    assert [len(pq.read_table(Path(each.output) / name)) for each in results.values()] == [1, 2]


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        ([], "no threshold is given"),
        ([0.8, 0.7, 0.8], "0.8 is given twice"),
        ([0.8, 1.5], "1.5 is above 1"),
        ([0.8, "0.9"], "is not a number"),
        ([0.8, 0.01], "too low"),
        ([0.5 + n / 100 for n in range(MOST_THRESHOLDS + 1)], f"a run takes {MOST_THRESHOLDS} at most"),
        ("0.8", "leave out its quotation marks"),
    ],
)
def test_thresholds_that_cannot_be_are_refused_before_anything_is_read(
    threshold: object, told: str, spark: SparkSession, tmp_path: Path
) -> None:
    with called_by_flags(), pytest.raises(UserError, match=told) as refused:
        deduplicate(tmp_path / "nowhere", threshold=threshold, output=tmp_path / "out", spark=spark)  # type: ignore[call-overload]
    assert "--threshold" in str(refused.value)
    assert listing(tmp_path) == {}
