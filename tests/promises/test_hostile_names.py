"""No name, key, value or text out of the data reaches a terminal unescaped, or breaks an error into two lines."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.llmc.header import SHARD_MAGIC, pack
from sparkprep.safe import safe_text
from sparkprep.spark.failures import explained
from sparkprep.spark.tasks import run

HOSTILE = "a\x1b[31m\nb\r\u202ec\u2028d\x9b2J"
"""Colours, moves of the cursor, the ends of lines, the direction of writing turned round."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / HOSTILE
    made.mkdir()
    return made


def parquet(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def of_unknown_column(folder: Path) -> list[str]:
    parquet(folder / "a.parquet", **{HOSTILE: ["x"]})
    return ["dedup", "--input", str(folder), "--output", str(folder.parent / "out")]


def of_unknown_file(folder: Path) -> list[str]:
    return ["tokenize", "--input", str(folder / "none"), "--output", str(folder.parent / "out")]


def of_damaged_file(folder: Path) -> list[str]:
    (folder / f"{HOSTILE}.parquet").write_bytes(b"PAR1 no")
    return ["shards", "--input", str(folder), "--output", str(folder.parent / "out")]


def of_strangers_in_output(folder: Path) -> list[str]:
    parquet(folder.parent / "a.parquet", id=[1], text=["x"])
    (folder / HOSTILE).write_text("mine")
    return ["dedup", "--input", str(folder.parent / "a.parquet"), "--output", str(folder), "--overwrite"]


def of_a_flags_value(folder: Path) -> list[str]:
    return ["dedup", "--input", str(folder), "--output", "out", "--rule", HOSTILE]


def of_a_verb(folder: Path) -> list[str]:
    return [HOSTILE]


def of_a_manifest(folder: Path) -> list[str]:
    shard = {"split": "val", "index": 0, "file": f"../{HOSTILE}", "tokens": 5, "documents": 1, "sha256": "0"}
    manifest = {"plan": "f", "tokens": 5, "documents": 1, "shards": [shard]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return ["shards", "--output", str(folder), "--verify"]


def of_identifiers_graded(folder: Path) -> list[str]:
    kept = parquet(folder / "kept.parquet", id=[HOSTILE])
    truth = parquet(folder / "truth.parquet", id_a=["x"], id_b=["y"], jaccard=[0.9])
    return ["grade", str(kept), "--truth", str(truth), "--input", str(kept)]


def of_a_file_looked_into(folder: Path) -> list[str]:
    (folder / "x.bin").write_bytes(pack(SHARD_MAGIC, 1, 5) + b"\0")
    return ["peek", str(folder / "x.bin")]


def of_a_file_to_convert(folder: Path) -> list[str]:
    (folder / "x.jsonl").write_text(json.dumps({HOSTILE: 1}) + "\n")
    return ["convert", "hellaswag", str(folder / "x.jsonl"), str(folder / "x.bin")]


def of_a_document_asked_for(folder: Path) -> list[str]:
    return ["explain", str(folder), HOSTILE]


def of_a_benchmark(folder: Path) -> list[str]:
    documents = parquet(folder / "documents.parquet", text=["x"])
    (folder / "x.jsonl").write_text(json.dumps({HOSTILE: 1}) + "\n")
    places = ["--input", str(documents), "--output", str(folder / "out")]
    return ["decontaminate", *places, "--benchmark", str(folder / "x.jsonl")]


CASES = [value for name, value in sorted(globals().items()) if name.startswith("of_")]


def is_harmless(line: str) -> bool:
    return line == safe_text(line, keep="\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
def test_an_error_about_hostile_names_is_one_harmless_line(
    capsys: pytest.CaptureFixture[str], folder: Path, case: Callable[[Path], list[str]], debug: list[str]
) -> None:
    assert main([*case(folder), *(debug if case is not of_a_verb else [])]) == 2
    said = capsys.readouterr()
    assert is_harmless(said.out + said.err)
    *above, line = said.err.splitlines()
    assert line.startswith("error: ")
    assert debug or not above


def test_a_run_over_hostile_names_and_texts_says_nothing_harmful(
    spark: SparkSession, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    rows = [{"id": f"{HOSTILE}{n}", "text": prose(n // 2) + HOSTILE, "url": f"https://{HOSTILE}/"} for n in range(4)]
    lines = [*map(json.dumps, rows), json.dumps({"text": 1, HOSTILE: 2}), '{"k": 1, "k": 2}', HOSTILE]
    (folder / f"{HOSTILE}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / f"{HOSTILE}.pdf.x").write_text("left out")
    out, tokens = folder / f"{HOSTILE}-out", folder / f"{HOSTILE}-tokens"
    words = ["--input", str(folder / f"{HOSTILE}.jsonl"), "--output", str(out), "--max-bad", "9"]
    assert main(["dedup", *words]) == 0
    shards = ["--shards", str(folder / f"{HOSTILE}-shards"), "--val-tokens", "1"]
    assert main(["tokenize", "--input", str(out), "--output", str(tokens), *shards]) == 0
    (gone,) = {row["id"] for row in pq.read_table(out / "removed").to_pylist()[:1]}
    assert main(["explain", str(out), gone]) == 0
    (shard,) = (folder / f"{HOSTILE}-shards").glob("*_train_*.bin")
    assert main(["peek", str(shard), "--documents", "9"]) == 0
    said = capsys.readouterr()
    assert HOSTILE[:2] not in said.out + said.err
    assert is_harmless(said.out.replace("\t", ""))
    assert is_harmless(said.err)


def test_an_error_that_a_task_raises_about_them_reaches_the_driver_whole(spark: SparkSession) -> None:
    def task(number: int) -> list[int]:
        raise UserError(f"{HOSTILE}: number {number} is not usable; mend it")

    with pytest.raises(UserError) as told, explained():
        run(spark, [7], task)
    assert str(told.value) == f"{safe_text(HOSTILE)}: number 7 is not usable; mend it"


@given(st.text(), st.text())
def test_a_user_error_is_one_harmless_line_whatever_it_is_made_of(before: str, after: str) -> None:
    said = str(UserError(f"{before}: {after}"))
    assert said == safe_text(said)
    assert len(said.splitlines()) <= 1
    assert os.fsencode(said.encode("utf-8").decode("utf-8"))
