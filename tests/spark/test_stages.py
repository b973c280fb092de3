"""Jobs of one pass: parts that an earlier run has noted stay, on any number of cores, and the result is the same."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dedup_runs import prose, save
from pyspark.sql import SparkSession
from warc_files import archive, record, responses

from sparkprep import filter_documents
from sparkprep.console import what_is_left
from sparkprep.documents.parquet import pieces
from sparkprep.errors import Finished, UserError
from sparkprep.extract import pipeline as extraction
from sparkprep.filter import pipeline as filtering
from sparkprep.io.output import OutputFolder
from sparkprep.io.parquet import WrittenFile
from sparkprep.spark import stages as stages_module
from sparkprep.spark.stages import PartNotes
from sparkprep.spark.tables import Table, Written
from sparkprep.tokens import pipeline as tokenization

Job = Callable[..., dict[str, Any]]


class Stopped(Exception):
    """What ends a run in these tests."""


@pytest.fixture(autouse=True)
def finely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut inputs into pieces however small, and note all parts however quick."""
    monkeypatch.setattr(stages_module, "NOTED_AFTER_S", 0.0)
    monkeypatch.setattr(pieces, "LEAST_PIECE_BYTES", 1)


def archives(folder: Path) -> Path:
    for number in range(4):
        others = [record("response", b"20240101 dns")] * number
        (folder / f"{number}.warc.gz").write_bytes(archive([*responses(3 + number), *others]))
    return folder


def texts(folder: Path) -> Path:
    for number in range(5):
        save(folder / f"{number}.parquet", {"id": [number, 9 - number], "text": [prose(number, 80), prose(9, 30)]})
    return folder


def extract(spark: SparkSession, source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return extraction.extract(spark, [str(source)], str(out), **options)


def curate(spark: SparkSession, source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return filter_documents(source, output=out, spark=spark, rules="gopher-quality", **options).metrics


def tokenize(spark: SparkSession, source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return tokenization.make_tokens(spark, str(source), str(out), **options)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(folder.rglob("*.parquet"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("job", "name", "make", "module"),
    [
        (extract, "extract", archives, extraction),
        (curate, "filter", texts, filtering),
        (tokenize, "tokenize", texts, tokenization),
    ],
    ids=["extract", "filter", "tokenize"],
)
def test_parts_that_are_finished_stay(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Job, name: str, make: Any, module: Any
) -> None:
    (tmp_path / "in").mkdir()
    source, out = make(tmp_path / "in"), tmp_path / "out"
    whole = job(spark, source, tmp_path / "whole")

    def stop(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(OutputFolder, "commit", stop)
        with pytest.raises(Stopped) as caught:
            job(spark, source, out, resume=True)
    told = what_is_left(caught.value) or ""
    assert f"{name}): the same command with resume=True goes on from there" in told
    (left,) = tmp_path.glob("out.partial-*")
    notes = sorted((left / "_resume/parts" / name).iterdir())
    assert len(notes) >= 3
    notes[0].unlink()
    notes[1].write_text("{")
    for record_of_stage in left.glob("_resume/stages/*.json"):
        record_of_stage.unlink()
    parts = {path: path.stat().st_mtime_ns for path in left.rglob("part-*.parquet")}
    monkeypatch.setattr(module, "cores", lambda _: 7)
    metrics = job(spark, source, out, resume=True)
    assert metrics["resumed"] == {"runs": 2, "stages": [], "parts": {name: len(notes) - 1}}
    assert digests(out) == digests(tmp_path / "whole")
    other = ("resumed", "seconds", "stages", "date", "output", "command")
    assert {k: v for k, v in metrics.items() if k not in other} == {k: v for k, v in whole.items() if k not in other}
    again = [path for path, time in parts.items() if (out / path.relative_to(left)).stat().st_mtime_ns != time]
    numbers = {f"part-{int(note.stem):05d}" for note in notes[:2]}
    assert {path.name.partition(".")[0] for path in again} == numbers
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(Finished, match=f"{out} is finished already, by a run of the same input and settings: nothing"):
        job(spark, source, out, resume=True)
    with pytest.raises(UserError, match="out exists; pass overwrite=True"):
        job(spark, source, out)
    first = min(source.iterdir())
    first.write_bytes(first.read_bytes())
    with pytest.raises(UserError, match="out exists; pass overwrite=True"):
        job(spark, source, out, resume=True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]


def test_a_part_is_noted_where_its_work_took_a_while(tmp_path: Path) -> None:
    tables = (Table(str(tmp_path / "table"), pa.schema([])),)
    told = Written(3, WrittenFile(0, 0, ""), {"documents": 2})
    assert PartNotes(str(tmp_path), least_seconds=60).once(3, lambda: told) == told
    assert PartNotes().once(3, lambda: told) == told
    assert list(tmp_path.iterdir()) == []
    assert PartNotes(str(tmp_path), least_seconds=0).once(3, lambda: told) == told
    later = PartNotes(str(tmp_path), tables, done=frozenset([3]))
    assert later.once(3, lambda: pytest.fail("it is done again")) == told
    assert later.once(4, lambda: Written(4, WrittenFile(0, 0, ""))).number == 4
    assert json.loads((tmp_path / "3.json").read_text())["version"] == 1


def test_a_part_that_tells_what_json_does_not_have_is_not_noted(tmp_path: Path) -> None:
    assert isinstance(PartNotes(str(tmp_path), least_seconds=0).once(1, object), object)
    assert list(tmp_path.iterdir()) == []
