"""What a run says of its decisions: the removed rows, why each went, what nearly went, what other thresholds do."""

from pathlib import Path

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, run, with_changed
from pyspark.sql import SparkSession

from sparkprep import Settings, deduplicate
from sparkprep.dedup.pipeline import Result

ROWS = corpus.documents(seed=21, families=60)
SURE = {"bands": 42, "rows": 3}
"""A banding that misses one pair of 0.7 in fifty million."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return corpus.write(tmp_path_factory.mktemp("corpus") / "docs", ROWS, files=3)


@pytest.fixture(scope="module")
def result(spark: SparkSession, source: str) -> Result:
    return deduplicate(source, Settings(threshold=0.8, **SURE), spark=spark)


def table(result: Result, name: str) -> pa.Table:
    return pq.read_table(Path(result.output, name))


def test_kept_and_the_rows_set_aside_are_the_input_each_in_its_order(result: Result, source: str) -> None:
    rows = pq.read_table(source)
    gone = set(table(result, "removed")["id"].to_pylist())
    is_gone = pa.array([name in gone for name in rows["id"].to_pylist()])
    assert table(result, "audit/rows").equals(rows.filter(is_gone))
    assert table(result, "kept").equals(rows.filter(pa.compute.invert(is_gone)))


def test_every_decision_is_told_by_the_places_of_its_rows(result: Result, source: str) -> None:
    ids = pq.read_table(source)["id"].to_pylist()
    pairs = table(result, "audit/pairs").to_pylist()
    told = {(ids[p["row"]], ids[p["kept_row"]], p["jaccard"], p["rule"]) for p in pairs if p["rule"] != "miss"}
    assert told == {tuple(row.values()) for row in table(result, "removed").to_pylist()}
    assert all((ids[p["row"]], ids[p["kept_row"]]) == (p["id"], p["kept_id"]) for p in pairs)


@pytest.mark.parametrize("budget", [10_000_000, pytest.param(0, marks=pytest.mark.slow)])
def test_near_misses_are_the_pairs_of_kept_documents_just_below_the_threshold(
    spark: SparkSession, source: str, budget: int
) -> None:
    result = deduplicate(source, Settings(threshold=0.8, driver_budget=budget, **SURE), spark=spark)
    kept = set(table(result, "kept")["id"].to_pylist())
    near = corpus.true_pairs(ROWS, 0.7)
    expected = {pair for pair, jaccard in near.items() if jaccard < 0.8 and kept.issuperset(pair)}
    misses = table(result, "audit/pairs").filter(pa.compute.field("rule") == "miss").to_pylist()
    assert {(min(m["id"], m["kept_id"]), max(m["id"], m["kept_id"])) for m in misses} == expected
    assert len(expected) > 5
    length = {row["id"]: len(str(row["text"])) for row in ROWS}
    assert all(length[m["kept_id"]] >= length[m["id"]] for m in misses), "the one that would stay is named as kept"


def test_copies_are_no_near_misses_of_one_another_and_stand_for_their_text_once(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Of three copies of a text and two of a similar one, only the pair of those that stay is a near miss."""
    base = prose(1, words=80)
    similar = with_changed(base, 20, 50)
    assert (
        0.7
        <= len(corpus.shingles(base) & corpus.shingles(similar)) / len(corpus.shingles(base) | corpus.shingles(similar))
        < 0.8
    )
    texts = [similar, base.upper(), base, f"{base}!", f"{similar}!!"]
    rows = pa.table({"id": list("edcba"), "text": texts})
    (tmp_path / "in").mkdir()
    pq.write_table(rows, tmp_path / "in" / "docs.parquet")
    done = run(spark, tmp_path / "in", tmp_path / "out", **SURE)
    (miss,) = pq.read_table(done.folder / "audit" / "pairs", filters=[("rule", "=", "miss")]).to_pylist()
    assert {miss["id"], miss["kept_id"]} == set(done.kept_ids()) == {"a", "b"}


@pytest.mark.parametrize("rule", ["leader", "component"])
def test_a_run_at_another_threshold_removes_as_many_as_was_said(spark: SparkSession, source: str, rule: str) -> None:
    """To the document above the run's own threshold, and below it too where its bands find those pairs."""
    said = deduplicate(source, Settings(threshold=0.8, rule=rule, **SURE), spark=spark).metrics["other_thresholds"]
    assert [row["threshold"] for row in said] == [0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]
    assert len({row["removed"] for row in said}) > 4
    for row in said[::2]:
        there = deduplicate(source, Settings(threshold=row["threshold"], rule=rule, **SURE), spark=spark)
        assert there.metrics["counts"]["removed"] == row["removed"], row
        assert there.metrics["candidates"]["verified"] == row["pairs"], row


def test_candidates_compared_and_pairs_at_the_threshold_reconcile(result: Result) -> None:
    pairs = result.metrics["candidates"]
    histogram = result.metrics["jaccard_histogram"]
    edges, bars = histogram["edges"], histogram["counts"]
    assert sum(bars) == pairs["pairs"]
    assert sum(n for edge, n in zip(edges, bars, strict=False) if edge >= 0.8) == pairs["verified"]
    clusters = {int(size): number for size, number in result.metrics["clusters"].items()}
    counts = result.metrics["counts"]
    assert sum((size - 1) * number for size, number in clusters.items()) == counts["removed"]
    assert counts["exact"] <= counts["copies"] == result.metrics["other_thresholds"][-1]["removed"]
    just_below = sum(n for edge, n in zip(edges, bars, strict=False) if 0.7 <= edge < 0.8)
    assert pairs["just_below"] == just_below >= pairs["near_misses"]
    removed_texts = table(result, "audit/rows")["text"].to_pylist()
    assert result.metrics["input"]["removed_text_bytes"] == sum(len(text.encode()) for text in removed_texts)
    true = corpus.true_pairs(ROWS, 0.7)
    texts = {str(row["id"]): str(row["text"]).lower().replace(",", "") for row in ROWS}
    distinct = {tuple(sorted((texts[a], texts[b]))) for a, b in true if texts[a] != texts[b]}
    assert sum(n for edge, n in zip(edges, bars, strict=False) if edge >= 0.7) == len(distinct)


def test_what_was_lost_to_whom_is_counted_by_source(result: Result) -> None:
    sources = result.metrics["sources"]
    assert sum(flow["documents"] for flow in sources["flows"]) == result.metrics["counts"]["removed"]
    by_id = {row["id"]: str(row["url"]).split("/")[2] for row in ROWS}
    counted: dict[tuple[str, str], int] = {}
    for row in table(result, "removed").to_pylist():
        way = by_id[row["id"]], by_id[row["kept_id"]]
        counted[way] = counted.get(way, 0) + 1
    assert {(flow["source"], flow["kept_source"]): flow["documents"] for flow in sources["flows"]} == counted
    lost = [row["removed"] for row in sources["top"]]
    assert lost == sorted(lost, reverse=True)
