"""--resume: a run goes on from the stages that an earlier one has finished, and gives what an undisturbed one gives."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from dedup_runs import DONE_PARTS, FIGURES, listing, prose, save, with_changed
from pyspark.sql import SparkSession

from sparkprep import deduplicate
from sparkprep.console import what_is_left
from sparkprep.dedup import pipeline
from sparkprep.dedup.report import page
from sparkprep.dedup.resolve import cluster, driver
from sparkprep.errors import UserError
from sparkprep.io import output as output_module
from sparkprep.io.output import OutputFolder
from sparkprep.io.resuming import FORMAT
from sparkprep.spark import stages as stages_module


class Stopped(Exception):
    """What ends a run in these tests."""


def _stop(*_: object, **__: object) -> None:
    raise Stopped


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [prose(n) for n in range(60)]
    texts += [with_changed(prose(n), 5) for n in range(20)] + [prose(n) for n in range(40, 45)]
    folder = tmp_path_factory.mktemp("in")
    for number in range(2):
        part = range(number, len(texts), 2)
        save(folder / f"{number}.parquet", {"id": list(part), "text": [texts[n] for n in part]})
    return folder


@pytest.fixture(scope="module")
def whole(spark: SparkSession, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run gives."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    deduplicate(source, output=folder, spark=spark)
    return folder


def stopped(spark: SparkSession, source: Path, out: Path, **options: Any) -> str:
    """Run, and return what the error says of what is left."""
    with pytest.raises(Stopped) as caught:
        deduplicate(source, output=out, spark=spark, **{"resume": True, **options})
    return what_is_left(caught.value) or ""


def digests(folder: Path) -> dict[str, str]:
    """Name and SHA-256 of each file of a result's tables."""
    files = sorted(folder.rglob("*.parquet"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def same(folder: Path, whole: Path) -> bool:
    here, there = (json.loads((each / "metrics.json").read_text()) for each in (folder, whole))
    assert {path.name for path in folder.iterdir()} == DONE_PARTS
    return digests(folder) == digests(whole) and all(here[name] == there[name] for name in FIGURES)


@pytest.mark.parametrize(
    ("module", "name", "before"),
    [
        (pipeline, "_search", ["sketch"]),
        (driver, "_decide", ["sketch", "candidates"]),
        (pipeline, "_write", ["sketch", "candidates", "verify", "decide"]),
        (page, "write", ["sketch", "candidates", "verify", "decide", "write"]),
    ],
)
def test_stages_that_have_ended_are_not_done_again(
    spark: SparkSession,
    source: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    before: list[str],
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module, name, _stop)
        told = stopped(spark, source, out)
    assert f"({', '.join(before)}): the same command with resume=True goes on from there" in told
    assert [path.name.partition("-")[0] for path in tmp_path.iterdir()] == ["out.partial"]
    with monkeypatch.context() as patch:
        for stage, function in (("sketch", "_sketch"), ("candidates", "_search"), ("decide", "_resolve")):
            if stage in before:
                patch.setattr(pipeline, function, _stop)
        result = deduplicate(source, output=out, spark=spark, resume=True)
    assert same(out, whole)
    assert [stage["name"] for stage in result.metrics["resumed"]["stages"]] == before
    assert result.metrics["resumed"]["runs"] == 2
    assert not set(before) & {stage["name"] for stage in result.metrics["stages"]}
    assert list(tmp_path.iterdir()) == [out]


def test_the_comparison_of_texts_that_has_ended_is_not_done_again(
    spark: SparkSession, source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(driver, "_rank", _stop)
        stopped(spark, source, tmp_path / "out")
    monkeypatch.setattr("sparkprep.dedup.verify._compare", _stop)
    deduplicate(source, output=tmp_path / "out", spark=spark, resume=True)
    assert same(tmp_path / "out", whole)


@pytest.mark.slow  # DataFrames
def test_what_the_driver_has_begun_the_cluster_may_end(
    spark: SparkSession, source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(driver, "_rank", _stop)
        stopped(spark, source, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_misses", _stop)
        stopped(spark, source, tmp_path / "out", driver_budget=1)
    deduplicate(source, output=tmp_path / "out", spark=spark, resume=True)
    assert same(tmp_path / "out", whole), "the driver's budget is no part of the answer"


def test_parts_that_are_noted_are_not_written_again(
    spark: SparkSession, source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages_module, "NOTED_AFTER_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_finish", _stop)
        stopped(spark, source, tmp_path / "out")
    (left,) = tmp_path.iterdir()
    (left / "_resume/stages/write.json").unlink()
    parts = {path: path.stat().st_mtime_ns for path in left.glob("kept/*")}
    assert parts
    result = deduplicate(source, output=tmp_path / "out", spark=spark, resume=True)
    assert same(tmp_path / "out", whole)
    assert result.metrics["resumed"]["parts"] == {"write": len(parts)}
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/kept").iterdir()} == {
        path.name: time for path, time in parts.items()
    }


def refused(spark: SparkSession, source: Path, out: Path, **options: Any) -> str:
    """Return why a run does not go on from an earlier one, which it must leave as it was."""
    before = listing(out.parent)
    with pytest.raises(UserError) as caught:
        deduplicate(source, output=out, spark=spark, resume=True, **options)
    assert listing(out.parent) == before
    return str(caught.value)


def test_an_earlier_run_of_something_else_is_not_gone_on_from(
    spark: SparkSession, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "in"
    for path in source.iterdir():
        save(here / path.name, pq.read_table(path))
    out = tmp_path / "work" / "out"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_search", _stop)
        stopped(spark, here, out)
    (left,) = out.parent.iterdir()
    way_out = "make that as it was, or run without resume=True to start anew; to remove it: "
    told = refused(spark, here, out, threshold=0.7)
    assert told.startswith(
        f"{left}: what an earlier run has left there is not gone on from: threshold was 0.8, and is 0.7"
    )
    assert way_out in told
    assert "shingle_words was 5, and is 4" in refused(spark, here, out, shingle_words=4)
    assert f"its tables lie in {left}/_tmp, and work now names another place" in refused(
        spark, here, out, work=tmp_path
    )
    first = here / "0.parquet"
    then = first.stat()
    os.utime(first, ns=(then.st_atime_ns, then.st_mtime_ns + 5_000_000_000))
    assert f"{first} was last changed" in refused(spark, here, out)
    os.utime(first, ns=(then.st_atime_ns, then.st_mtime_ns))
    added = save(here / "9.parquet", pq.read_table(first))
    assert f"{added} is in the input now, and was not then" in refused(spark, here, out)
    added.unlink()
    first.rename(tmp_path / "away")
    assert f"{first} was read by it, and is not in the input now" in refused(spark, here, out)
    (tmp_path / "away").rename(first)
    manifest = left / "_resume/manifest.json"
    noted = json.loads(manifest.read_text())
    for change, said in (
        ({"sparkprep": "9.9.9"}, "it was made by sparkprep 9.9.9, and this is"),
        ({"job": "filter"}, "it was made by `filter`, and this is `dedup`"),
        ({"version": FORMAT + 1}, f"was written by another version of sparkprep (format {FORMAT + 1}; this one knows"),
        ({"runs": "2"}, "not the JSON that was expected"),
    ):
        manifest.write_text(json.dumps(noted | change))
        assert said in refused(spark, here, out)
    manifest.write_text(json.dumps(noted))
    assert deduplicate(here, output=out, spark=spark, resume=True).metrics["resumed"]["runs"] == 2


def test_a_run_that_is_still_at_work_is_not_gone_on_from(
    spark: SparkSession, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_search", _stop)
        stopped(spark, source, tmp_path / "out")
    with OutputFolder(tmp_path / "out", overwrite=False, resume=True):
        assert "the run that writes there is still at work" in refused(spark, source, tmp_path / "out")
    assert deduplicate(source, output=tmp_path / "out", spark=spark, resume=True).metrics["resumed"]["runs"] == 2


def test_tables_that_are_lost_or_cut_short_are_made_again(
    spark: SparkSession, source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(page, "write", _stop)
        stopped(spark, source, tmp_path / "out")
    (left,) = tmp_path.iterdir()
    next((left / "_tmp/signatures").iterdir()).write_bytes(b"PAR1")
    next((left / "kept").iterdir()).unlink()
    (left / "kept/part-00077.snappy.parquet").write_bytes(next((left / "removed").iterdir()).read_bytes())
    result = deduplicate(source, output=tmp_path / "out", spark=spark, resume=True)
    assert same(tmp_path / "out", whole), "what is none of its parts does not stay in a result"
    assert [stage["name"] for stage in result.metrics["resumed"]["stages"]] == ["candidates", "verify", "decide"]


def test_without_anything_to_go_on_from_a_run_starts_from_the_beginning(
    spark: SparkSession, source: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = deduplicate(source, output=tmp_path / "out", spark=spark, resume=True, stream=sys.stderr)
    assert capsys.readouterr().err.startswith("no earlier run to go on from: starting from the beginning\n")
    assert result.metrics["resumed"] is None
    assert same(tmp_path / "out", whole)


def test_a_table_that_is_no_file_and_an_output_without_a_name_cannot_be_resumed(
    spark: SparkSession, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="resume=True: documents that are no files cannot be known again"):
        deduplicate(pq.read_table(source), output=tmp_path / "out", spark=spark, resume=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="resume=True goes on from what lies beside an output: name output"):
        deduplicate(source, spark=spark, resume=True)


def test_a_failed_run_that_nobody_wants_to_resume_leaves_nothing_unless_it_was_long(
    spark: SparkSession, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_search", _stop)
    assert stopped(spark, source, tmp_path / "out", resume=False) == ""
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(output_module, "KEPT_AFTER_S", 0.0)
    told = stopped(spark, source, tmp_path / "out", resume=False)
    (left,) = tmp_path.iterdir()
    assert told.startswith("what is finished is kept, ")
    assert f" in {left} (sketch): the same command with resume=True goes on from there; to remove it: " in told

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "_search", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        deduplicate(source, output=tmp_path / "other", spark=spark)
    assert what_is_left(caught.value) == "nothing was put in place"
    assert list(tmp_path.iterdir()) == [left]
    with pytest.raises(KeyboardInterrupt) as caught:
        deduplicate(source, output=tmp_path / "other", spark=spark, resume=True)
    assert (what_is_left(caught.value) or "").startswith("nothing was put in place; what is finished is kept, ")


def test_nothing_is_kept_of_an_input_that_has_changed(
    spark: SparkSession, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "in.parquet", pq.read_table(source))

    def change(*_: object) -> None:
        path.write_bytes(path.read_bytes()[:-100])
        raise Stopped

    monkeypatch.setattr(pipeline, "_search", change)
    assert stopped(spark, path, tmp_path / "out") == ""
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_is_not_to_go_on_says_what_it_could_have_gone_on_from(
    spark: SparkSession,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(driver, "_decide", _stop)
        stopped(spark, source, tmp_path / "out")
    (left,) = tmp_path.iterdir()
    deduplicate(source, output=tmp_path / "out", spark=spark)
    assert capsys.readouterr().err == (
        f"note: deleted {left}, which a killed run had left (finished: sketch, candidates; resume=True would have gone "
        "on from there)\n"
    )


def test_lines_of_json_are_read_once(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"id": n, "text": prose(n % 15)}) for n in range(20)]
    source = tmp_path / "docs.jsonl"
    source.write_text("\n".join([*lines, "no JSON"]) + "\n")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_sketch", _stop)
        assert "(read)" in stopped(spark, source, tmp_path / "out", max_bad="1")
    with monkeypatch.context() as patch:
        patch.setattr("sparkprep.documents.opening.spool", _stop)
        result = deduplicate(source, output=tmp_path / "out", spark=spark, resume=True, max_bad="1")
    assert (result.metrics["counts"]["kept"], result.metrics["counts"]["rejected"]) == (15, 1)
    assert result.metrics["warnings"] == deduplicate(source, spark=spark, max_bad="1").metrics["warnings"]


def test_a_work_place_of_its_own_is_gone_on_from_too(
    spark: SparkSession, source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_write", _stop)
        told = stopped(spark, source, tmp_path / "out", work=work)
    assert f" and {next(work.iterdir())} (sketch, candidates, verify, decide)" in told
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_sketch", _stop)
        deduplicate(source, output=tmp_path / "out", spark=spark, work=work, resume=True)
    assert same(tmp_path / "out", whole)
    assert list(work.iterdir()) == []
