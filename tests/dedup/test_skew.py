"""Shapes that are bad for buckets, small: the whole answer is that of a plain reference, whatever is oversized.

benchmarks/skewed.py runs the same shapes at full size.
"""

import importlib
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from checkout import BENCHMARKS
from pyspark.sql import SparkSession

from sparkprep import Settings, deduplicate
from sparkprep.dedup import candidates
from sparkprep.dedup.candidates import PAIRS_OF_HOT, BucketSearch, CandidateCounts
from sparkprep.dedup.kernels.bands import further

NAMES = ("boilerplate", "identical", "chain", "giant")


@pytest.fixture
def skewed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("skewed_corpus")


def shingles(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


def similarity(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


def reference(shape: Any, rule: str) -> dict[int, tuple[int, float, str]]:
    """By keep rank of each removed document: the kept one's rank, their similarity, the rule."""
    bearers: dict[int, list[int]] = {}
    for rank, text in enumerate(shape.text_of.tolist()):
        bearers.setdefault(text, []).append(rank)
    first = {text: min(ranks) for text, ranks in bearers.items()}
    near: dict[int, dict[int, float]] = {}
    for (a, b), jaccard in zip(shape.pairs.tolist(), shape.jaccard.tolist(), strict=True):
        near.setdefault(a, {})[b] = near.setdefault(b, {})[a] = jaccard
    gone: dict[int, tuple[int, float]] = {}
    if rule == "leader":
        for text in sorted(bearers, key=first.__getitem__):
            kept = [t for t in near.get(text, {}) if first[t] < first[text] and t not in gone]
            if kept:
                gone[text] = max((near[text][t], -first[t], t) for t in kept)[::-2]
        gone = {text: (first[t], jaccard) for text, (t, jaccard) in gone.items()}
    else:
        seen: set[int] = set()
        for text in sorted(bearers, key=first.__getitem__):
            todo = [] if text in seen else [text]
            seen.add(text)
            while todo:
                for other in near.get(todo.pop(), {}):
                    if other not in seen:
                        seen.add(other)
                        todo.append(other)
                        jaccard = near[text].get(other)
                        exact = similarity(shingles(shape.words(text)), shingles(shape.words(other)))
                        assert jaccard in (None, pytest.approx(exact))
                        gone[other] = first[text], exact
    removed = {}
    for text, ranks in bearers.items():
        for rank in ranks:
            if text in gone:
                removed[rank] = (*gone[text], "near")
            elif rank != first[text]:
                removed[rank] = first[text], 1.0, "exact"
    return removed


@pytest.mark.parametrize("name", NAMES)
def test_the_similar_pairs_of_a_shape_are_those_that_are_said(skewed: ModuleType, name: str) -> None:
    shape = skewed.SHAPES[name][0](150, 3)
    texts = [shingles(shape.words(text)) for text in range(int(shape.text_of.max()) + 1)]
    similar = {}
    for a, b in combinations(range(len(texts)), 2):
        jaccard = similarity(texts[a], texts[b])
        if jaccard >= skewed.THRESHOLD:
            similar[a, b] = jaccard
    said = dict(zip(map(tuple, shape.pairs.tolist()), shape.jaccard.tolist(), strict=True))
    assert similar == pytest.approx(said)
    assert len(said) > 0
    assert sorted(set(shape.text_of.tolist())) == list(range(len(texts)))


def run_and_compare(
    skewed: ModuleType, spark: SparkSession, folder: Path, shape: Any, rule: str, **options: Any
) -> dict[str, Any]:
    """Run the job on a shape, compare all that it removes with the reference, and return its metrics."""
    skewed.write(shape, folder / "in", 1)
    settings = Settings(keep="first", rule=rule, **options)
    result = deduplicate(folder / "in", settings, output=folder / "out", spark=spark)
    rows = pq.read_table(folder / "out" / "removed").to_pylist()
    removed = {int(row["id"][1:]): (int(row["kept_id"][1:]), row["jaccard"], row["rule"]) for row in rows}
    expected = reference(shape, rule)
    assert {rank: (kept, which) for rank, (kept, _, which) in removed.items()} == {
        rank: (kept, which) for rank, (kept, _, which) in expected.items()
    }
    assert {rank: row[1] for rank, row in removed.items()} == pytest.approx(
        {rank: row[1] for rank, row in expected.items()}
    )
    kept = sorted(pq.read_table(folder / "out" / "kept", columns=["id"])["id"].to_pylist())
    assert kept == [skewed.name_of(rank) for rank in range(shape.documents) if rank not in expected]
    return dict(result.metrics)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("rule", "budget", "documents"),
    [
        ("leader", 10_000_000, 300),
        pytest.param("leader", 0, 2000, marks=pytest.mark.scale),
        pytest.param("component", 10_000_000, 2000, marks=pytest.mark.scale),
        pytest.param("component", 0, 2000, marks=pytest.mark.scale),
        pytest.param("leader", 10_000_000, 4000, marks=pytest.mark.scale),
    ],
)
def test_a_bad_shape_gets_the_right_answer(
    skewed: ModuleType, spark: SparkSession, tmp_path: Path, name: str, rule: str, budget: int, documents: int
) -> None:
    shape = skewed.SHAPES[name][0](documents, 1)
    metrics = run_and_compare(skewed, spark, tmp_path, shape, rule, driver_budget=budget, bucket_cap=20)
    candidates = metrics["candidates"]
    warned = [warning for warning in metrics["warnings"] if "were not compared" in warning]
    if name == "boilerplate":
        assert candidates["hot_buckets"] >= 18
        assert candidates["uncompared_pairs"] > 0
    kept = metrics["counts"]["kept"]
    assert candidates["uncompared_pairs"] <= kept * (kept - 1) // 2
    assert len(warned) == (candidates["uncompared_pairs"] > 0)
    assert all(f"{candidates['uncompared_pairs']:,} pairs" in warning for warning in warned)


@pytest.mark.scale
def test_what_a_further_search_brings_back_is_searched_again(
    skewed: ModuleType, spark: SparkSession, tmp_path: Path
) -> None:
    """A hundred variants of one text, of which few are compared with it at first: none stays beside it."""
    shape = skewed.identical(10_300, 1)
    run_and_compare(skewed, spark, tmp_path, shape, "leader", bucket_cap=4, bucket_leaders=3)


def test_candidate_pairs_keep_to_the_bound_that_is_stated(
    skewed: ModuleType, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """n b (c - 1) / 2 pairs of ordinary buckets, and of h documents in oversized ones (2 p + 3 b) h."""
    monkeypatch.setattr(candidates, "SPLIT_PAIRS", 0)
    seen: list[tuple[int, CandidateCounts]] = []
    search = BucketSearch.run

    def noted(self: BucketSearch, least_tasks: int) -> CandidateCounts:
        counts = search(self, least_tasks)
        seen.append((self.number, counts))
        assert self.tables.hot.rows <= self.number
        most = self.number * settings.banding.bands * (settings.bucket_cap - 1) / 2
        most += (2 * PAIRS_OF_HOT + 3 * settings.banding.bands) * self.tables.hot.rows
        assert counts.pairs <= most
        return counts

    monkeypatch.setattr(BucketSearch, "run", noted)
    settings = Settings(bucket_cap=2, bucket_leaders=500, keep="first")
    assert further(settings.threshold, settings.banding.rows, settings.seed) is not None
    skewed.write(skewed.boilerplate(600, 1), tmp_path / "in", 1)
    deduplicate(tmp_path / "in", settings, output=tmp_path / "out", spark=spark)
    number, counts = seen[0]
    assert counts.hot_buckets
    assert counts.pairs > number  # the bound is no empty one
