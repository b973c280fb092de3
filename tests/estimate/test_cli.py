"""What `sparkprep estimate` tells: of any input, on any cluster, with what it cannot know said."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3_buckets

from sparkprep.cli import main, parse

ROWS = corpus.documents(families=60)
TEXT_BYTES = sum(len(str(row["text"]).encode()) for row in ROWS)


@pytest.fixture
def docs(tmp_path: Path) -> str:
    return corpus.write(tmp_path / "docs", ROWS, files=3)


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["estimate", "--quiet", *words]) == code
    said = capsys.readouterr()
    for line in re.findall(r"^next: (.+)$", said.out, re.MULTILINE):
        parse(shlex.split(line)[1:])
    assert code == 0 or (said.err.count("\n") == 1 and not said.out)
    return said.out, said.err


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(capsys, "--json", *words)[0])
    return found


def test_a_small_input_is_told_exactly_and_its_cost_with_an_interval(
    docs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(capsys, "--input", docs)
    for name, truth in (("documents", len(ROWS)), ("text_bytes", TEXT_BYTES)):
        assert set(found[name].values()) == {truth}
    assert set(found["shuffle_bytes"]) == {"dedup", "shards"}
    assert found["removed"] is None
    assert found["jobs"] == ["dedup", "tokens", "shards"]
    for factor in (found["cost"]["dollars"], found["cost"]["hours"], found["cpu_seconds"]):
        assert 0 < factor["low"] < factor["expected"] < factor["high"]


def test_what_a_sample_cannot_tell_is_said_and_a_scan_tells_it(docs: str, capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = told(capsys, "--input", docs)
    assert "removed         a sample cannot tell; --scan can" in said
    found = as_json(capsys, "--input", docs, "--scan", "--processes", "1")
    kept = corpus.leaders(ROWS, corpus.true_pairs(ROWS, 0.8), lambda row: (-len(str(row["text"])), str(row["id"])))
    assert found["removed"]["expected"] == pytest.approx(len(ROWS) - len(kept), rel=0.1)
    assert found["shuffle_bytes"]["dedup"]["low"] > 0
    said, _ = told(capsys, "--input", docs, "--scan", "--processes", "1", "--jobs", "dedup")
    assert re.search(r"^  removed         \d+ \(\d+\.\d %\)", said, re.MULTILINE)


def test_it_is_of_the_cluster_that_is_named(docs: str, capsys: pytest.CaptureFixture[str]) -> None:
    small = as_json(capsys, "--input", docs, "--core-nodes", "1")
    assert small["cost"]["an_hour"] < as_json(capsys, "--input", docs)["cost"]["an_hour"]
    said, _ = told(capsys, "--input", docs, "--core-nodes", "1", "--jobs", "filter,dedup")
    assert "1 primary r5.xlarge + 1 core r5.xlarge" in said
    assert "filter, dedup" in said
    assert "--core-nodes 1" in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--instance-type", "r5.huge"], "r5.huge: not among the instances in the table of prices"),
        (["--instance-type", "r6g.xlarge", "--input", "/none"], "r6g.xlarge: not among the instances"),
        (["--text-column", "body"], "no column 'body'; columns there are: url, text, score, id; name it by --text-col"),
        (["--keep", "rank"], "--keep rank: there is no column 'rank'; columns there are: url, text, score, id"),
        (["--id-column", "key"], "--id-column key: there is no column 'key'"),
        (["--threshold", "7"], "--threshold: 7 is above 1"),
        (["--jobs", "extract,dedup"], "--jobs: extract reads archives, and the estimate is of documents"),
        (["--jobs", "grade"], "--jobs: 'grade' is none of"),
        (["--sample", "3"], "--sample: 3 is below 64"),
        (["--max-dollars", "1"], "--max-dollars 1: an hour of this cluster costs $2.81"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    docs: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in told(capsys, "--input", docs, *words, code=2)[1]


def test_an_input_without_documents_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    assert "empty.parquet" in told(capsys, "--input", str(tmp_path), code=2)[1]
    assert "no such file or folder" in told(capsys, "--input", str(tmp_path / "none"), code=2)[1]
    (tmp_path / "nothing").mkdir()
    assert "no data file in this folder" in told(capsys, "--input", str(tmp_path / "nothing"), code=2)[1]


def test_one_file_of_a_thousand_is_told_to_be_that_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pa.table({"text": ["one text"]})
    for number in range(1000):
        pq.write_table(table, tmp_path / f"{number:04d}.parquet")
    note = f"0007.parquet is one of 1,000 files of its kind in {tmp_path}/: the estimate is of this file alone; name"
    assert note in told(capsys, "--input", str(tmp_path / "0007.parquet"))[1]
    assert note in as_json(capsys, "--input", str(tmp_path / "0007.parquet"))["warnings"][0]
    assert "one of" not in told(capsys, "--input", str(tmp_path))[1]
    assert as_json(capsys, "--input", str(tmp_path))["documents"]["expected"] == 1000


def test_a_scan_of_json_lines_is_refused_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a b c"}\n')
    assert (
        "--scan reads Parquet, and the input is JSON Lines"
        in told(capsys, "--input", str(tmp_path / "a.jsonl"), "--scan", code=2)[1]
    )
    assert as_json(capsys, "--input", str(tmp_path / "a.jsonl"))["documents"]["expected"] == 1


def test_it_reads_from_s3(bucket: str, docs: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path(docs).iterdir():
        s3_buckets.client().upload_file(str(path), "bucket", f"docs/{path.name}")
    assert as_json(capsys, "--input", f"{bucket}/docs")["text_bytes"]["expected"] == TEXT_BYTES
