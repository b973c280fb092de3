"""Crawls deduplicated one after another against an index come to what one run over all of them comes to."""

from pathlib import Path

import corpus
import pyarrow.parquet as pq
import pytest
from crawls import NAMES, all_at_once, one_after_another, split
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from sparkprep.dedup.crawls.removal import BACK, remove_crawl
from sparkprep.dedup.index.folder import read_index

ON_THE_DRIVER, ON_THE_CLUSTER = 10_000_000, 0


@pytest.mark.parametrize(
    "budget", [ON_THE_DRIVER, pytest.param(ON_THE_CLUSTER, marks=pytest.mark.scale)], ids=["driver", "cluster"]
)
def test_three_crawls_come_to_what_one_run_comes_to_and_one_taken_out_to_what_the_others_do(
    spark: SparkSession, tmp_path: Path, budget: int
) -> None:
    crawls = split(corpus.documents(seed=3, families=40), 3)
    apart, metrics = one_after_another(spark, tmp_path, crawls, driver_budget=budget)
    together = all_at_once(spark, tmp_path, crawls, driver_budget=budget)
    assert apart == together
    assert {crawl for *_, crawl in apart.values()} == set(NAMES), "each crawl keeps twins of later documents"
    assert {rule for _, _, rule, _ in apart.values()} == {"exact", "near"}
    for number, (name, figures) in enumerate(zip(NAMES, metrics, strict=True)):
        index = figures["index"]
        assert index["crawls_before"] == list(NAMES[:number])
        assert sum(index["removed_against"].values()) == figures["counts"]["removed"]
        kept = pq.read_table(tmp_path / name / "kept")["id"].to_pylist()
        assert set(kept) == {row["id"] for row in crawls[number]} - set(apart)

    removal = remove_crawl(
        tmp_path / "crawls.index", "jan", output=tmp_path / "changes", spark=spark, driver_budget=budget
    )
    without = all_at_once(spark, tmp_path, crawls[1:], NAMES[1:], driver_budget=budget)
    later = {row["id"] for rows in crawls[1:] for row in rows}
    changed = pq.read_table(tmp_path / "changes" / "changes").to_pylist()
    back = {row["id"] for row in changed if row["change"] == BACK}
    assert back == (set(apart) & later) - set(without)
    assert back
    assert {row["id"] for row in changed} - back == set(without) - set(apart)
    assert sum(removal.back.values()) == len(back)
    manifest = read_index(tmp_path / "crawls.index")
    assert [crawl.name for crawl in manifest.crawls] == ["feb", "mar"]
    assert sum(crawl.counts["removed"] for crawl in manifest.crawls) == len(without)

    again, _ = one_after_another(spark, tmp_path, [crawls[0]], ["jan-again"], driver_budget=budget)
    order = [*crawls[1:], [{**row, "order": f"9{row['order']}"} for row in crawls[0]]]
    assert without | again == all_at_once(spark, tmp_path, order, ["feb", "mar", "jan-again"], driver_budget=budget)


@pytest.mark.scale
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 20), crawls=st.integers(1, 3), budget=st.sampled_from([ON_THE_DRIVER, ON_THE_CLUSTER]))
def test_any_small_corpus_comes_to_the_same(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, seed: int, crawls: int, budget: int
) -> None:
    folder = tmp_path_factory.mktemp("crawls")
    cut = split(corpus.documents(seed, families=15), crawls, seed)
    apart, _ = one_after_another(spark, folder, cut, driver_budget=budget)
    assert apart == all_at_once(spark, folder, cut, driver_budget=budget)


@pytest.mark.scale
@pytest.mark.parametrize("budget", [ON_THE_DRIVER, ON_THE_CLUSTER])
def test_oversized_buckets_go_on_with_rows_of_an_index(spark: SparkSession, tmp_path: Path, budget: int) -> None:
    crawls = split(corpus.documents(seed=8, families=30), 2)
    apart, metrics = one_after_another(spark, tmp_path, crawls, bucket_cap=2, driver_budget=budget)
    assert metrics[1]["candidates"]["hot_buckets"]
    kept = {row["id"] for rows in crawls for row in rows} - set(apart)
    assert all(twin in kept and (rule == "exact" or jaccard >= 0.8) for twin, jaccard, rule, _ in apart.values())
    truth = corpus.true_pairs([row for rows in crawls for row in rows], 0.8)
    assert not [pair for pair in truth if set(pair) <= kept]


@pytest.mark.scale
@pytest.mark.parametrize("size", ["1k", "10k"])
def test_the_embedded_subset_in_three_crawls_comes_to_what_it_does_at_once(
    spark: SparkSession, tmp_path: Path, size: str
) -> None:
    from sparkprep.sample import embedded

    rows = pq.read_table(embedded(size).documents, columns=["id", "url", "text"]).to_pylist()
    crawls = split([{**row, "score": len(row["text"]) % 10} for row in rows], 3)
    apart, metrics = one_after_another(spark, tmp_path, crawls)
    assert apart == all_at_once(spark, tmp_path, crawls)
    index = metrics[-1]["index"]
    print(f"{size}: {(index['bytes'] + index['bytes_before']) / len(rows):,.0f} bytes a document in the index")
