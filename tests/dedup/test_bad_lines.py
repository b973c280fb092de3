"""JSON Lines that are not all documents: bad lines are counted, named by file and line, put aside, and never lost."""

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dedup_runs import Done, prose, refused, run
from pyspark.sql import SparkSession

from sparkprep.dedup.cli import summary

GOOD = [json.dumps({"id": n, "text": prose(n % 3), "n": {"m": [n]}}).encode() for n in range(6)]
BAD = {
    b'{"id": 90, "text": "a lone \\ud83d surrogate"}': "lone surrogate in a string",
    b'{"id": 91, "text": "caf\xe9 in Latin-1"}': "invalid UTF-8 at byte 24 of the line",
    b'{"id": 92, "text": "a surrogate as bytes \xed\xa0\x80"}': "invalid UTF-8 at byte 42 of the line",
    b'{"id": 93, "text": "cut sho': "not valid JSON",
    b'["a", "list"]': "not a JSON object but a list",
    b'{"id": 94, "text": 5}': "'text' is a number, not a string",
}


def write(folder: Path) -> list[Path]:
    """Two files, one of them compressed; the bad lines stand between good ones, with a blank line after them."""
    folder.mkdir()
    bad = list(BAD)
    plain, packed = folder / "a.jsonl", folder / "b.jsonl.gz"
    plain.write_bytes(b"\n".join([GOOD[0], bad[0], GOOD[1], *bad[1:4], GOOD[2]]) + b"\n")
    packed.write_bytes(gzip.compress(b"\n".join([bad[4], GOOD[3], GOOD[4], b"", bad[5], GOOD[5]])))
    return [plain, packed]


@pytest.fixture(scope="module")
def done(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("lines")
    write(folder / "in")
    return run(spark, folder / "in", folder / "out", max_bad="6")


def test_bad_lines_are_put_aside_with_file_line_reason_and_content(done: Done) -> None:
    plain, packed = (str(done.folder.parent / "in" / name) for name in ("a.jsonl", "b.jsonl.gz"))
    places = [(plain, 2), (plain, 4), (plain, 5), (plain, 6), (packed, 1), (packed, 5)]
    rows = sorted(pq.read_table(done.folder / "rejected").to_pylist(), key=lambda row: (row["file"], row["line"]))
    assert [(row["file"], row["line"]) for row in rows] == places
    assert [row["content"] for row in rows] == list(BAD)
    for row, reason in zip(rows, BAD.values(), strict=True):
        assert row["reason"].startswith(reason)


def test_kept_removed_and_rejected_are_all_lines_but_the_blank_one(done: Done) -> None:
    assert [done.counts[name] for name in ("input", "kept", "removed", "rejected")] == [12, 3, 3, 6]
    assert done.kept_ids() == [0, 1, 2]
    assert done.kept["n"].to_pylist() == [{"m": [n]} for n in done.kept["id"].to_pylist()]


def test_the_summary_counts_the_bad_lines_and_names_the_first(done: Done) -> None:
    lines = summary(done.metrics, "out").splitlines()
    assert "  rejected       6" in lines
    place = f"{done.folder.parent / 'in' / 'a.jsonl'}:2"
    assert any(line.startswith(f"  warning: rejected {place}: lone surrogate in a string") for line in lines)


@pytest.mark.parametrize("max_bad", ["5", "49.9%"])
def test_more_bad_lines_than_allowed_stop_the_job_with_the_first_of_them(
    spark: SparkSession, tmp_path: Path, max_bad: str
) -> None:
    plain, _ = write(tmp_path / "in")
    message = refused(spark, tmp_path / "in", tmp_path / "out", max_bad=max_bad)
    assert message.startswith(f"6 of 12 lines are not usable documents, more than max_bad='{max_bad}' allows.")
    assert f"The first: {plain}:2: lone surrogate" in message
    assert f"{plain}:4: invalid UTF-8 at byte 24" in message
    assert message.endswith("Mend them or raise it")
