"""What is said of pairs that oversized buckets leave uncompared is true: a bound, of documents that both stay."""

from dataclasses import replace
from pathlib import Path

import corpus
import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkprep import Settings, deduplicate
from sparkprep.dedup.candidates import BucketSearch, CandidateCounts
from sparkprep.dedup.cli import summary
from sparkprep.dedup.resolve import uncompared

COUNTS = CandidateCounts(pairs=0, exact=0, hot_buckets=18, uncompared_pairs=0, duplicate_ids=0)


def test_a_pair_left_out_of_many_buckets_counts_once() -> None:
    every_bucket = replace(COUNTS, uncompared_pairs=18 * 45)
    pairs = uncompared.most_pairs(iter([np.arange(6), np.arange(6, 10)]), own=100)
    assert uncompared.bound(every_bucket, pairs, compared=0) == 45
    assert uncompared.bound(every_bucket, pairs, compared=40) == 5
    assert uncompared.bound(every_bucket, pairs, compared=45) == 0
    assert uncompared.bound(replace(COUNTS, uncompared_pairs=3), pairs, compared=0) == 3


def test_two_documents_that_an_index_decided_on_make_no_pair() -> None:
    assert uncompared.most_pairs(iter([np.array([0, 1, 2]), np.array([10, 11])]), own=10) == 3 + 3 * 2
    assert uncompared.most_pairs(iter([]), own=10) == 0


def test_recall_names_what_it_leaves_out_and_nothing_where_nothing_is() -> None:
    assert uncompared.recall_without(0, COUNTS) is None
    first = replace(COUNTS, uncompared_pairs=7)
    assert "removed document" in (uncompared.recall_without(0, first) or "")
    assert "at most 5 pairs of kept documents" in (uncompared.recall_without(5, first) or "")
    assert uncompared.warning(0) == []


@pytest.mark.parametrize("budget", [10_000_000, pytest.param(0, marks=pytest.mark.slow)])
def test_where_one_document_stays_no_pair_of_kept_ones_was_left_out(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    budget: int,
) -> None:
    """Sixty variants of one text: the first search leaves pairs out, and of those one document goes anyway."""
    text = [f"w{n}" for n in range(120)]
    rows = [
        {"id": f"{number:02d}", "text": " ".join([*text[:number], "other", *text[number + 1 :]])}
        for number in range(60)
    ]
    seen: list[int] = []
    search = BucketSearch.run

    def noted(self: BucketSearch, least_tasks: int) -> CandidateCounts:
        counts = search(self, least_tasks)
        seen.append(counts.uncompared_pairs)
        return counts

    monkeypatch.setattr(BucketSearch, "run", noted)
    settings = Settings(bucket_cap=5, bucket_leaders=3, driver_budget=budget)
    caplog.set_level("INFO", "sparkprep")
    metrics = deduplicate(corpus.write(tmp_path / "docs", rows), settings, spark=spark).metrics
    why = [line for line in caplog.messages if "driver_budget=0 is too little for" in line]
    assert len(why) == (budget == 0), "the way over the cluster is told of once, with its reason"
    assert metrics["counts"]["kept"] == 1
    assert seen[0] > 0
    assert metrics["candidates"]["uncompared_pairs"] == 0
    assert metrics["warnings"] == []
    told = summary(metrics, "out")
    assert "not compared" not in told
    assert "by the banding; not counting pairs with a removed document" in told
