"""What a run with an index refuses, does again, tells, and leaves where it is killed."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import s3_buckets
from crawls import prose_table
from dedup_runs import prose, save, with_changed
from pyspark.sql import SparkSession

from sparkprep import Result, cli, deduplicate
from sparkprep.dedup.audit.explain import explain
from sparkprep.dedup.audit.finished import FinishedRun, links_in
from sparkprep.dedup.audit.index import Index
from sparkprep.dedup.audit.pages import Pages
from sparkprep.dedup.cli import summary
from sparkprep.dedup.crawls.removal import remove_crawl
from sparkprep.dedup.index.folder import read_index
from sparkprep.errors import UserError

TEXTS = [prose(seed) for seed in range(6)]
JAN = TEXTS[:4]
FEB = [TEXTS[4], TEXTS[0].upper(), with_changed(TEXTS[1], 3), with_changed(TEXTS[4], 9)]


def crawl(spark: SparkSession, folder: Path, name: str, texts: list[str], first: int, **settings: Any) -> Result:
    source = save(folder / f"{name}.parquet", prose_table(texts, first))
    output = settings.pop("output", folder / name)
    settings = {"index": folder / "crawls.index", "crawl": name, "threshold": 0.7, **settings}
    result = deduplicate(source, output=output, spark=spark, **settings)
    source.unlink()
    return result


@pytest.fixture(scope="module")
def two(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of two crawls and the results of both, their input being gone."""
    folder = tmp_path_factory.mktemp("two")
    crawl(spark, folder, "jan", JAN, 100)
    crawl(spark, folder, "feb", FEB, 200)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_audit_names_the_old_document_and_its_crawl(two: Path) -> None:
    removed = pq.read_table(two / "feb" / "removed").sort_by("id").to_pylist()
    assert [(row["id"], row["kept_id"], row["kept_crawl"], row["rule"]) for row in removed] == [
        (200, 203, "feb", "near"),
        (201, 100, "jan", "exact"),
        (202, 101, "jan", "near"),
    ]
    run = FinishedRun(str(two / "feb"))
    told = explain(run, "202")
    assert "kept       101  (of crawl jan)" in told
    assert "the text of the other lies in the result of crawl jan" in told
    assert "words only in the" in explain(run, "200")
    with Index(run) as links:
        pages = Pages(run, links)
        kept = next(link.kept_row for batch in run.links() for link in links_in(batch) if link.row == 2)
        assert kept < 0
        for address in (f"/pair?row=2&kept={kept}", f"/cluster?kept={kept}"):
            assert "of crawl <bdi>jan</bdi>" in pages.page(address)
        for address in ("/", "/clusters"):
            assert "101" in pages.page(address)


def test_removed_rows_come_with_the_text_of_a_kept_one_where_it_is_here(spark: SparkSession, two: Path) -> None:
    rows = {row["id"]: row for row in Result.open(two / "feb", spark).removed_with_text().collect()}
    assert {key: row["text"] for key, row in rows.items()} == {200: FEB[0], 201: FEB[1], 202: FEB[2]}
    assert {key: row["kept_text"] for key, row in rows.items()} == {200: FEB[3], 201: None, 202: None}


def test_metrics_and_summary_tell_how_many_went_for_which_crawl(two: Path) -> None:
    metrics = json.loads((two / "feb" / "metrics.json").read_text())
    assert metrics["index"]["removed_against"] == {"jan": 2, "feb": 1}
    assert (metrics["index"]["documents_before"], metrics["index"]["was_there"]) == (4, False)
    assert f"--index {two}/crawls.index --crawl feb" in metrics["command"]
    assert "jan 2, this crawl 1" in summary(metrics, "feb")
    assert "jan" in (two / "feb" / "report.html").read_text()


def test_a_crawl_added_again_gives_the_same_result_and_leaves_the_index_as_it_is(
    spark: SparkSession, two: Path, tmp_path: Path
) -> None:
    before = content(two / "crawls.index")
    for name, texts, first in (("feb", FEB, 200), ("jan", JAN, 100)):
        again = crawl(spark, two, name, texts, first, output=tmp_path / name)
        assert again.metrics["index"]["was_there"]
        for part in ("kept", "removed"):
            assert pq.read_table(tmp_path / name / part).equals(pq.read_table(two / name / part))
    assert content(two / "crawls.index") == before


@pytest.mark.parametrize(
    ("name", "texts", "settings", "told"),
    [
        ("feb", JAN, {}, r"crawl 'feb' is in the index with other documents .* choose another crawl"),
        ("mar", FEB, {"threshold": 0.8}, "threshold: 0.7 there, 0.8 here"),
        ("mar", FEB, {"id_column": "text"}, "the type of the identifiers: 'int64' there, 'string' here"),
    ],
)
def test_what_does_not_fit_the_index_is_refused_and_nothing_changes(
    spark: SparkSession, two: Path, tmp_path: Path, name: str, texts: list[str], settings: dict[str, Any], told: str
) -> None:
    before = content(two / "crawls.index")
    with pytest.raises(UserError, match=told):
        crawl(spark, two, name, texts, 300, output=tmp_path / "out", **settings)
    assert content(two / "crawls.index") == before
    assert not (tmp_path / "out").exists()


def test_an_index_that_has_lost_a_file_is_told_of(spark: SparkSession, two: Path, tmp_path: Path) -> None:
    shutil.copytree(two / "crawls.index", tmp_path / "crawls.index")
    next((tmp_path / "crawls.index" / "crawls").glob("jan-*/shingles/*.parquet")).unlink()
    with pytest.raises(UserError, match=r"the index is not as it was written: .*restore that file"):
        crawl(spark, tmp_path, "mar", [with_changed(TEXTS[2], 7)], 300)


@pytest.mark.parametrize("written_before", [False, True], ids=["by pages", "whole"])
def test_an_index_that_was_damaged_is_told_of_and_makes_no_result(
    spark: SparkSession, two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], written_before: bool
) -> None:
    index = tmp_path / "crawls.index"
    shutil.copytree(two / "crawls.index", index)
    assert cli.main(["index", "list", str(index), "--verify"]) == 0
    assert "all 5 files are as they were written" in capsys.readouterr().out
    damaged = next((index / "crawls").glob("jan-*/shingles/*.parquet"))
    content = bytearray(damaged.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    damaged.write_bytes(content)
    if written_before:
        manifest = (index / "index.json").read_text()
        assert manifest.count('"page_checksums": true') == 5
        (index / "index.json").write_text(re.sub(r',\s*"page_checksums": true', "", manifest))
    with pytest.raises(UserError, match=rf"the index is not as it was written: {damaged}: .*restore that file"):
        crawl(spark, tmp_path, "mar", [with_changed(TEXTS[2], 7)], 300)
    assert not (tmp_path / "mar").exists()
    assert [each.name for each in read_index(index).crawls] == ["jan", "feb"]
    assert cli.main(["index", "list", str(index), "--verify"]) == 2
    told = capsys.readouterr()
    assert f"{damaged}: its content has changed" in told.out
    assert "1 of 5" in told.err


def test_the_last_crawl_is_taken_out_without_spark_and_an_earlier_one_wants_an_output(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "crawls.index"
    shutil.copytree(two / "crawls.index", index)
    assert cli.main(["index", "list", str(index)]) == 0
    shown = capsys.readouterr().out
    assert all(told in shown for told in ("jan", "feb", "threshold 0.7"))
    assert cli.main(["index", "remove", str(index), "--crawl", "mar"]) == 2
    assert "crawls there are: jan, feb" in capsys.readouterr().err
    assert cli.main(["index", "remove", str(index), "--crawl", "jan"]) == 2
    assert "2 documents of later crawls were removed for documents of jan" in capsys.readouterr().err
    assert cli.main(["index", "remove", str(index), "--crawl", "feb"]) == 0
    assert [each.name for each in read_index(index).crawls] == ["jan"]
    assert len(list((index / "crawls").iterdir())) == 1, "its tables are gone"


def test_of_a_crawl_taken_out_what_comes_back_is_told(spark: SparkSession, two: Path, tmp_path: Path) -> None:
    shutil.copytree(two / "crawls.index", tmp_path / "crawls.index")
    removal = remove_crawl(
        tmp_path / "crawls.index", "jan", output=tmp_path / "changes", spark=spark, stream=io.StringIO()
    )
    assert (removal.back, removal.goes) == ({"feb": 2}, {"feb": 0})
    changes = pq.read_table(tmp_path / "changes" / "changes").sort_by("id").to_pylist()
    assert changes == [{"crawl": "feb", "id": key, "change": "comes back"} for key in (201, 202)]


def test_rows_of_one_id_are_told_apart_as_at_once(spark: SparkSession, tmp_path: Path) -> None:
    texts = [with_changed(TEXTS[0], 5), TEXTS[0], with_changed(TEXTS[0], 5)]
    for name, some in (("jan", texts), ("feb", [with_changed(TEXTS[0], 5, 20)])):
        table = prose_table(some).set_column(0, "id", [[7] * len(some)])
        source = save(tmp_path / f"{name}.parquet", table)
        deduplicate(source, output=tmp_path / name, index=tmp_path / "i", crawl=name, spark=spark, threshold=0.5)
        source.unlink()
    assert pq.read_table(tmp_path / "jan" / "kept").num_rows == 1
    assert pq.read_table(tmp_path / "feb" / "removed")["kept_crawl"].to_pylist() == ["jan"]


@pytest.mark.slow
def test_index_and_result_lie_on_s3_as_well(bucket: str, tmp_path: Path) -> None:
    def sparkprep(*words: str) -> None:  # in a process of its own: the workers of this one do not know the bucket
        subprocess.run([sys.executable, "-m", "sparkprep", *words], check=True)

    index, changes = f"{bucket}/crawls.index", tmp_path / "changes"
    for name, texts, first in (("jan", JAN, 100), ("feb", FEB, 200)):
        source = save(tmp_path / f"{name}.parquet", prose_table(texts, first))
        options = ("--output", f"{bucket}/{name}", "--index", index, "--crawl", name, "--threshold", "0.7")
        sparkprep("dedup", "--input", str(source), *options)
        source.unlink()
    part = s3_buckets.client().get_object(Bucket="bucket", Key="feb/removed/part-00000.snappy.parquet")
    removed = pq.read_table(io.BytesIO(part["Body"].read())).sort_by("id")
    assert removed["kept_crawl"].to_pylist() == ["feb", "jan", "jan"]
    sparkprep("index", "remove", index, "--crawl", "jan", "--output", str(changes))
    assert sorted(pq.read_table(changes / "changes")["id"].to_pylist()) == [201, 202]
    assert not [name for name in s3_buckets.objects() if name.startswith("crawls.index/crawls/jan-")]


@pytest.mark.slow
def test_a_killed_run_leaves_the_index_as_it_was_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sparkprep", "dedup", "--index", str(tmp_path / "crawls.index")]

    def start(name: str, texts: list[str], first: int) -> subprocess.Popen[bytes]:
        source = save(tmp_path / f"{name}.parquet", prose_table(texts, first))
        more = ["--input", str(source), "--output", str(tmp_path / name), "--crawl", name]
        return subprocess.Popen([*words, *more], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    assert start("jan", JAN, 100).wait() == 0
    before = (tmp_path / "crawls.index" / "index.json").read_bytes()
    run = start("feb", FEB, 200)
    while not list((tmp_path / "crawls.index" / "crawls").glob("feb-*/shingles/*.parquet")):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert (tmp_path / "crawls.index" / "index.json").read_bytes() == before
    assert not (tmp_path / "feb").exists()
    assert start("feb", FEB, 200).wait() == 0
    assert [each.name for each in read_index(tmp_path / "crawls.index").crawls] == ["jan", "feb"]
    assert len(list((tmp_path / "crawls.index" / "crawls").iterdir())) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threshold": [0.7, 0.8]}, "index: an index is of one threshold; keep one for each"),
        ({"resume": True}, "a run with index notes no stages; leave that out and it starts anew"),
    ],
)
def test_what_does_not_go_with_an_index_is_refused_before_anything_is_made(
    spark: SparkSession, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        crawl(spark, tmp_path, "jan", JAN, 0, **given)
    assert [path.name for path in tmp_path.iterdir()] == ["jan.parquet"]
