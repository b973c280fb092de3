"""Sources of documents are counted within a bound, whatever there are, and nothing that is counted gets lost."""

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from dedup_runs import save
from pyspark.sql import SparkSession

from sparkprep import filter_documents
from sparkprep.filter import judging, pipeline
from sparkprep.filter.judging import OTHERS, STAYS, Tally

SHORT = "No text to speak of."


def counted(pairs: list[tuple[str, str]]) -> Tally:
    tally = Tally()
    for source, rule in pairs:
        tally.count_source(source, {rule: 1})
    return tally


def pairs(seed: int) -> list[tuple[str, str]]:
    """A few sources with many documents, one that loses many, and many with one."""
    some = [("large.example", STAYS)] * 400 + [("losing.example", "gopher-min-words")] * 200
    many = [(f"h{n}.example", STAYS) for n in range(1_000)]
    return random.Random(seed).sample([*some, *many], len(some) + len(many))


def test_too_many_sources_are_counted_together_and_the_largest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MOST_SOURCES", 60)
    for seed in range(3):
        whole = counted(pairs(seed))
        assert len(whole.sources) <= 61
        assert not whole.has_all_sources
        total = sum(whole.sources.values(), Counter())
        assert total == {STAYS: 1_400, "gopher-min-words": 200}
        assert whole.sources["losing.example"] == {"gopher-min-words": 200}
        assert whole.sources["large.example"] == {STAYS: 400}


def test_what_tasks_tell_adds_up_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [counted(pairs(1)[start::4]) for start in range(4)]
    for each in told:
        each.forget_sources(20)
        assert len(each.sources) <= 21
        assert OTHERS in each.sources
    one, other = Tally(), Tally()
    for each in told:
        one.add(each)
    for each in reversed(told):
        other.add(each)
    assert one.sources == other.sources
    assert sum(one.sources.values(), Counter()).total() == 1_600


def test_the_report_and_the_metrics_say_so(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MOST_SOURCES", 4)
    monkeypatch.setattr(pipeline, "LEAST_SOURCES", 4)
    urls = [f"https://h{n}.example/" for n in range(12)] + ["https://often.example/"] * 3
    save(tmp_path / "in.parquet", pa.table({"url": urls, "text": [SHORT] * 15}))
    result = filter_documents(tmp_path / "in.parquet", output=tmp_path / "out", spark=spark, progress=False)
    sources = result.metrics["sources"]
    assert (sources["total"], sources["all"], sources["top"][0]["documents"]) == (2, False, 3)
    assert sources["others"] == {"documents": 11, "removed": 11}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "11 documents of others (11 of them removed) are counted together" in page
