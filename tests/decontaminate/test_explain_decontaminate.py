"""`sparkprep explain` of a result of decontamination: the question, the words and where they stand, or that none do."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, save
from pyspark.sql import SparkSession

from sparkprep import UserError, decontaminate_documents
from sparkprep.cli import main
from sparkprep.decontaminate.explain import DecontaminatedRun, explain

QUESTION = "A woman stands in the kitchen, pours flour into a large bowl and begins to knead the dough."
TEXTS = [prose(1), f"{prose(2)} {QUESTION.upper()} {prose(3)}", None, prose(4)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    (folder / "kitchen.jsonl").write_text(json.dumps({"id": "q\x1b0", "text": QUESTION}) + "\n")
    return save(folder / "in.parquet", pa.table({"id": ["a", "b", "c", "a"], "text": pa.array(TEXTS, pa.string())}))


def run(spark: SparkSession, source: Path, output: Path, mode: str = "drop", **options: object) -> str:
    benchmark = str(source.parent / "kitchen.jsonl")
    decontaminate_documents(
        source, output=output, spark=spark, progress=False, benchmark=benchmark, mode=mode, **options
    )
    return str(output)


@pytest.mark.parametrize(("mode", "word"), [("drop", "removed"), ("report", "told of")])
def test_a_document_tells_the_question_that_it_holds_and_where(
    spark: SparkSession, source: Path, tmp_path: Path, mode: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = run(spark, source, tmp_path / "out", mode)
    assert main(["explain", output, "--id", "b"]) == 0
    said = capsys.readouterr().out
    row = pq.read_table(Path(output) / ("removed" if mode == "drop" else "audit")).to_pylist()[0]
    assert said.startswith(f"  {word}")
    assert " kept " not in said
    assert "kitchen.jsonl line 1 (q\\x1b0)" in said
    assert "\x1b" not in said
    assert row["matched_words"] in said
    assert f"characters {row['matched_start']:,} to {row['matched_end']:,}" in said
    text = " ".join(TEXTS[1].split())
    place = text.index(QUESTION.upper())
    around = f"{text[place - 40 : place]}»{QUESTION.upper().rstrip('.')}«{text[place + len(QUESTION) - 1 :][:40]}"
    assert around in said, "the place of the match is shown, not the text's beginning"
    assert text[:40] not in said


def test_a_document_that_holds_nothing_says_of_what(spark: SparkSession, source: Path, tmp_path: Path) -> None:
    asked = DecontaminatedRun(run(spark, source, tmp_path / "out"))
    told = explain(asked, "a")
    assert told.startswith("2 documents are named so:")
    assert told.count("it holds no n-gram of kitchen.jsonl") == 2
    assert "(0 characters)" in explain(asked, "c")
    with pytest.raises(UserError, match=r"no document there is named .z. .documents are named by column .id."):
        explain(asked, "z")
    with pytest.raises(UserError, match="there is no column 'url'; columns there are: id, text"):
        explain(asked, "a", "url")
    assert TEXTS[3] in explain(asked, "a", whole=True)


def test_a_run_that_failed_is_gone_on_from_and_not_with_another_benchmark(
    spark: SparkSession, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkprep.decontaminate import report

    whole = run(spark, source, tmp_path / "whole")

    def fails(*_: object) -> None:
        raise UserError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(report, "write", fails)
        with pytest.raises(UserError, match="the disk is full"):
            run(spark, source, tmp_path / "out", keep_work=True)
    benchmark = source.parent / "kitchen.jsonl"
    questions = benchmark.read_text()
    benchmark.write_text(json.dumps({"id": "q1", "text": f"{QUESTION} Slowly."}) + "\n")
    with pytest.raises(UserError, match=r"benchmark.files"):
        run(spark, source, tmp_path / "out", resume=True)
    benchmark.write_text(questions)
    resumed = run(spark, source, tmp_path / "out", resume=True)
    figures = json.loads((Path(resumed) / "metrics.json").read_text())
    assert [stage["name"] for stage in figures["resumed"]["stages"]] == ["search"]
    for folder in ("kept", "removed"):
        first, second = (pq.read_table(Path(place) / folder) for place in (whole, resumed))
        assert first.equals(second)
