"""The result folder of every job is the input of the next as it lies, and each tells what of its input it left out."""

import bz2
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, refused
from pyspark.sql import SparkSession

from sparkprep import Settings, deduplicate
from sparkprep.cli import main
from sparkprep.dedup.cli import summary
from sparkprep.io.left_out import left_out_row
from sparkprep.spark.progress import Progress
from sparkprep.tokens.pipeline import make_tokens
from sparkprep.tokens.settings import ShardSettings, TokenizeSettings
from sparkprep.tokens.shards import make_shards
from sparkprep.tokens.shards_cli import print_warnings

TEXTS = [prose(n % 40) for n in range(50)]
SMALL = ShardSettings("t", shard_tokens=1500, val_tokens=300)


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 documents, 10 of them copies, a bad line, a file that tells of them, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("chain") / "crawl"
    folder.mkdir()
    lines = [json.dumps({"id": n, "text": text}) for n, text in enumerate(TEXTS)]
    (folder / "docs.jsonl").write_text("\n".join([*lines[:20], "{half a line", *lines[20:]]))
    (folder / "state.json").write_text(json.dumps({"pages": 50}, indent=2))
    (folder / "older.jsonl.bz2").write_bytes(bz2.compress(lines[0].encode()))
    return folder


@pytest.fixture(scope="module")
def clean(spark: SparkSession, crawl: Path) -> tuple[Path, dict[str, Any]]:
    """What deduplication makes of it: the folder and its metrics."""
    folder = crawl.parent / "clean"
    return folder, deduplicate(
        crawl, output=folder, spark=spark, single_file="kept-10k.snappy.parquet", max_bad="1"
    ).metrics


@pytest.fixture(scope="module")
def tokens(spark: SparkSession, crawl: Path) -> tuple[Path, dict[str, Any]]:
    """What tokenization makes of it, bad line and all."""
    folder = crawl.parent / "tokens"
    return folder, make_tokens(spark, str(crawl), str(folder), TokenizeSettings(max_bad="1"))


def test_what_was_left_out_is_in_metrics_summary_and_report(
    crawl: Path, clean: tuple[Path, dict[str, Any]], tokens: tuple[Path, dict[str, Any]]
) -> None:
    told = [
        f"1 file of other kinds left out: {crawl}/older.jsonl.bz2",
        f"1 file of JSON without documents (no object with a column 'text') left out: {crawl}/state.json",
    ]
    folder, metrics = clean
    assert (metrics["counts"]["input"], metrics["counts"]["rejected"]) == (51, 1)
    assert metrics["warnings"][:2] == tokens[1]["warnings"][:2] == told
    for line in told:
        assert f"  warning: {line}\n" in summary(metrics, "out") + "\n"
    assert "older.jsonl.bz2" in (folder / "report.html").read_text()


def test_a_result_of_deduplication_is_deduplicated_again_and_nothing_more_goes(
    spark: SparkSession, clean: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    again = deduplicate(clean[0], Settings(), output=tmp_path / "again", spark=spark).metrics
    assert (again["counts"]["input"], again["counts"]["removed"], again["warnings"]) == (40, 0, [])


def test_a_result_of_deduplication_is_tokenized(
    spark: SparkSession, clean: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert make_tokens(spark, str(clean[0]), str(tmp_path / "rows"))["documents"] == 40


def test_a_result_of_tokenization_with_bad_lines_is_made_into_shards(
    spark: SparkSession, tokens: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, metrics = tokens
    assert pq.read_table(folder / "_rejected" / "part-00000.snappy.parquet").num_rows == metrics["rejected"] == 1
    (other := tmp_path / "other").mkdir()
    for each in folder.glob("part-*.parquet"):
        (other / each.name).write_bytes(each.read_bytes())
    (other / "more.orc").write_bytes(b"ORC...")
    for source, warnings in ((folder, 0), (other, 1)):
        shards = make_shards(spark, [str(source)], f"{tmp_path}/_{warnings}", SMALL, Progress(spark, None))
        assert (shards["documents"], len(shards["warnings"])) == (50, warnings)
        assert left_out_row(shards, "manifest.json") == [
            ("left out", "1 of the input's files, named in manifest.json") for _ in range(warnings)
        ]
    print_warnings(shards["warnings"], "manifest.json")
    assert capsys.readouterr().out == f"  warning: 1 file of other kinds left out: {other}/more.orc\n"
    print_warnings(["w"] * 7, "manifest.json")
    assert capsys.readouterr().out == "  warning: w\n" * 5 + "  and 2 more warnings in manifest.json\n"


def test_an_unfinished_result_is_no_input(
    spark: SparkSession, clean: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    kept = tmp_path / "clean" / "kept"
    kept.mkdir(parents=True)
    for each in (clean[0] / "kept").glob("*.parquet"):
        (kept / each.name).write_bytes(each.read_bytes())
    (tmp_path / "clean" / "_unfinished.json").write_text("{}")
    assert "has not finished" in refused(spark, kept, tmp_path / "out")


def test_a_table_with_a_log_of_its_own_is_refused_by_every_job(
    clean: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t/_delta_log").mkdir(parents=True)
    (tmp_path / "t/part-0.parquet").write_bytes((clean[0] / "kept-10k.snappy.parquet").read_bytes())
    for verb in ("dedup", "tokenize", "shards"):
        assert main([verb, "--input", str(tmp_path / "t"), "--output", str(tmp_path / "out"), "--quiet"]) == 2
        assert capsys.readouterr().err.startswith(f"error: {tmp_path}/t: a Delta table")
