"""What a run promises as a whole: exactness, the same rows however it is run, and that nothing gets lost."""

import random
from collections import Counter
from pathlib import Path

import corpus
import pyarrow.parquet as pq
import pytest
from dedup_runs import FIGURES
from pyspark.sql import SparkSession

from sparkprep import Settings, deduplicate
from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.pipeline import Result
from sparkprep.dedup.resolve import driver

ROWS = corpus.documents()
PAIRS = corpus.true_pairs(ROWS, 0.8)
PLACES = ("row", "kept_row")
ORDERS = {
    "longest": lambda row: (-len(row["text"]), row["id"]),
    "first": lambda row: row["id"],
    "score": lambda row: (row["score"], row["id"]),
    "-score": lambda row: (-row["score"], row["id"]),
}


def rows_of(result: Result) -> list[list[tuple[str, ...]]]:
    """The rows of every table of the result, each sorted, but for the places of rows in the input."""

    def table(name: str) -> list[tuple[str, ...]]:
        rows = pq.read_table(Path(result.output) / name).to_pylist()
        return sorted(tuple(str(row[column]) for column in sorted(row) if column not in PLACES) for row in rows)

    return [table(name) for name in ("kept", "removed", "audit/rows", "audit/pairs")]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return corpus.write(tmp_path_factory.mktemp("corpus") / "docs", ROWS, files=3)


@pytest.fixture(scope="module")
def reference(spark: SparkSession, source: str) -> Result:
    return deduplicate(source, spark=spark)


@pytest.mark.parametrize("keep", ORDERS)
def test_the_kept_documents_are_the_leaders_of_the_exact_graph(spark: SparkSession, source: str, keep: str) -> None:
    result = deduplicate(source, Settings(keep=keep), spark=spark)
    kept = {row["id"] for row in pq.read_table(Path(result.output, "kept")).to_pylist()}
    assert kept == corpus.leaders(ROWS, PAIRS, ORDERS[keep])


def test_every_removed_document_names_a_kept_one_with_their_exact_similarity(reference: Result) -> None:
    kept = {row["id"] for row in pq.read_table(Path(reference.output, "kept")).to_pylist()}
    removed = pq.read_table(Path(reference.output, "removed")).to_pylist()
    assert len(removed) > 20
    for row in removed:
        assert row["kept_id"] in kept
        assert row["jaccard"] == pytest.approx(PAIRS[min(row["id"], row["kept_id"]), max(row["id"], row["kept_id"])])
        assert row["rule"] == ("exact" if row["jaccard"] == 1.0 else "near")


def test_a_component_keeps_its_first_document_only(spark: SparkSession, source: str) -> None:
    result = deduplicate(source, Settings(rule="component", threshold=0.6), spark=spark)
    near = corpus.true_pairs(ROWS, 0.6)
    group = {str(row["id"]): {str(row["id"])} for row in ROWS}
    for a, b in near:
        if group[a] is not group[b]:
            group[a] |= group[b]
            for member in group[b]:
                group[member] = group[a]
    by_id = {str(row["id"]): row for row in ROWS}
    expected = {min(members, key=lambda i: ORDERS["longest"](by_id[i])) for members in group.values()}
    assert {row["id"] for row in pq.read_table(Path(result.output, "kept")).to_pylist()} == expected
    sets = {i: corpus.shingles(str(row["text"])) for i, row in by_id.items()}
    for row in pq.read_table(Path(result.output, "removed")).to_pylist():
        a, b = sets[row["id"]], sets[row["kept_id"]]
        assert row["jaccard"] == pytest.approx(len(a & b) / len(a | b))


@pytest.mark.parametrize("files", [1, 16])
def test_partitions_and_order_of_the_input_do_not_matter(
    spark: SparkSession, reference: Result, tmp_path: Path, files: int
) -> None:
    shuffled = random.Random(files).sample(ROWS, len(ROWS))
    result = deduplicate(corpus.write(tmp_path / "docs", shuffled, files), spark=spark)
    assert rows_of(result) == rows_of(reference)


def test_a_dataframe_gives_the_same_rows_as_its_files(spark: SparkSession, reference: Result, source: str) -> None:
    assert rows_of(deduplicate(spark.read.parquet(source).repartition(5))) == rows_of(reference)


@pytest.mark.parametrize(
    ("keep", "rule"),
    [
        ("longest", "leader"),
        # The same code, half a minute each.
        pytest.param("-score", "component", marks=pytest.mark.slow),
        pytest.param("longest", "component", marks=pytest.mark.slow),
        pytest.param("-score", "leader", marks=pytest.mark.slow),
    ],
)
def test_more_pairs_than_the_driver_holds_give_the_same_rows(
    spark: SparkSession, source: str, rule: str, keep: str
) -> None:
    few = deduplicate(source, Settings(rule=rule, keep=keep, threshold=0.6), spark=spark)
    many = deduplicate(source, Settings(rule=rule, keep=keep, threshold=0.6, driver_budget=0), spark=spark)
    assert rows_of(many) == rows_of(few)
    for figure in FIGURES:
        assert many.metrics[figure] == few.metrics[figure]


def test_a_second_run_removes_nothing(spark: SparkSession, reference: Result) -> None:
    again = deduplicate(Path(reference.output, "kept"), spark=spark)
    assert again.metrics["counts"]["removed"] == 0


def test_kept_and_removed_together_are_the_input(reference: Result) -> None:
    kept = [row["id"] for row in pq.read_table(Path(reference.output, "kept")).to_pylist()]
    removed = [row["id"] for row in pq.read_table(Path(reference.output, "removed")).to_pylist()]
    assert Counter(kept + removed) == Counter(row["id"] for row in ROWS)
    counts = reference.metrics["counts"]
    assert (counts["kept"], counts["removed"], counts["input"]) == (len(kept), len(removed), len(ROWS))


def template_rows(documents: int) -> list[dict[str, object]]:
    """Documents that share one long template, a third of them near-duplicates of one another: oversized buckets."""
    rng = random.Random(7)
    words = [f"t{n}" for n in range(5000)]
    template = [rng.choice(words) for _ in range(150)]
    rows: list[dict[str, object]] = []
    for number in range(documents):
        own = [rng.choice(words) for _ in range(2 if number % 3 == 0 else 80)]
        rows.append({"id": f"{number:05d}", "text": " ".join(template + own)})
    return rows


@pytest.mark.parametrize("budget", [10_000_000, pytest.param(0, marks=pytest.mark.slow)])
def test_oversized_buckets_lose_no_near_duplicate(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    rows, uncompared = template_rows(300), []
    search = BucketSearch.run

    def noted(self: BucketSearch, least_tasks: int) -> CandidateCounts:
        counts = search(self, least_tasks)
        uncompared.append(counts.uncompared_pairs)
        return counts

    monkeypatch.setattr(BucketSearch, "run", noted)
    source = corpus.write(tmp_path / "docs", rows)
    result = deduplicate(source, Settings(bucket_cap=10, bucket_leaders=20, driver_budget=budget), spark=spark)
    assert result.metrics["candidates"]["hot_buckets"] > 0
    assert len(uncompared) > 1
    assert uncompared[0] > 0
    kept = {row["id"] for row in pq.read_table(Path(result.output, "kept")).to_pylist()}
    at_most = result.metrics["candidates"]["uncompared_pairs"]
    assert 0 < at_most <= min(uncompared[-1], len(kept) * (len(kept) - 1) // 2) < sum(uncompared)
    assert sum(f"at most {at_most:,} pairs of kept documents" in warning for warning in result.metrics["warnings"]) == 1
    assert f"{at_most:,}" in result.metrics["recall"]["excludes"]
    if not budget:
        on_driver = deduplicate(source, Settings(bucket_cap=10, bucket_leaders=20), spark=spark)
        for figure in ("candidates", "recall", "warnings"):
            assert on_driver.metrics[figure] == result.metrics[figure]
    assert kept == corpus.leaders(rows, corpus.true_pairs(rows, 0.8), ORDERS["longest"])
    again = deduplicate(Path(result.output, "kept"), Settings(bucket_cap=10, bucket_leaders=20), spark=spark)
    assert again.metrics["counts"]["removed"] == 0


@pytest.mark.slow
def test_a_budget_crossed_in_mid_search_changes_nothing(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = corpus.write(tmp_path / "docs", template_rows(120))
    searches: list[int] = []
    similar = driver._similarities

    def noting(work, pairs, *others):
        searches.append(len(pairs))
        return similar(work, pairs, *others)

    monkeypatch.setattr(driver, "_similarities", noting)

    def run(budget: int) -> Result:
        settings = Settings(bucket_cap=5, bucket_leaders=20, bands=2, rows=4, driver_budget=budget)
        return deduplicate(source, settings, spark=spark)

    whole = run(10_000_000)
    first, second = searches
    assert first > 0
    assert second > 0
    crossed = run(whole.metrics["counts"]["exact"] + first + second - 1)
    assert searches == [first, second, first], "the driver must have given up at the second search"
    stages = [stage["name"] for stage in crossed.metrics["stages"]]
    assert stages.count("decide") == 2, "the cluster must have begun anew"
    monkeypatch.undo()
    for result in (crossed, run(0)):
        assert rows_of(result) == rows_of(whole)
        for figure in FIGURES:
            assert result.metrics[figure] == whole.metrics[figure]
