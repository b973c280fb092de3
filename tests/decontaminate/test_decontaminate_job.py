"""Decontamination on Spark: what goes and why, what is counted, what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import prose, save
from plain_ngrams import plain_hits, plain_ngrams
from pyspark.sql import SparkSession
from s3_buckets import client

from sparkprep import DecontaminateResult, FilterResult, UserError, decontaminate_documents
from sparkprep.cli import main
from sparkprep.commands import command
from sparkprep.decontaminate.report import render
from sparkprep.io.listing import list_files
from sparkprep.io.paths import filesystem
from sparkprep.sample import embedded

CONTEXT = "A woman stands in the kitchen, pours flour into a large bowl and"
ENDINGS = ["begins to knead the dough.", "drives the car away from the house."]
OTHER = "Two boys climb the old oak tree behind the school, while their sister counts to one hundred."
QUESTIONS = [
    {"id": "q0", "ctx": CONTEXT, "endings": ENDINGS},
    {"id": "q1", "ctx": OTHER, "endings": []},
    {"id": "q2", "ctx": "Eight words are what this short question has", "endings": []},
    {"id": "q3", "ctx": "Far too short", "endings": []},
]
LEAK = f"{CONTEXT.upper()} -- {ENDINGS[0]}"


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("benchmark") / "kitchen.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS))
    return str(path)


def documents(path: Path, texts: list[str | None], kind: pa.DataType | None = None, **options: Any) -> Path:
    return save(path, pa.table({"id": range(len(texts)), "text": pa.array(texts, kind or pa.string())}), **options)


def run(spark: SparkSession, source: Any, output: Path, benchmark: Any, **options: Any) -> DecontaminateResult:
    return decontaminate_documents(source, output=output, spark=spark, progress=False, benchmark=benchmark, **options)


def rows(folder: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(folder).to_pylist())


TEXTS = [
    prose(1),
    f"É. {prose(2)}\n{LEAK}\n{prose(3)}",
    None,
    f"{' '.join(OTHER.split()[:12])} {prose(4)}",  # one word short
    f"{prose(5)} eight words are what this (short) question has",
    "",
    f"{OTHER} {prose(6)} {CONTEXT}",
]


def test_documents_stay_or_go_with_the_question_and_the_words_that_matched(
    spark: SparkSession, tmp_path: Path, benchmark: str
) -> None:
    path = documents(tmp_path / "in.parquet", TEXTS)
    result = run(spark, path, tmp_path / "out", benchmark)
    table = pq.read_table(path)
    assert pq.read_table(tmp_path / "out" / "kept").equals(table.take([0, 2, 3, 5]))
    removed = rows(tmp_path / "out" / "removed")
    assert [(row["id"], row["matched_line"], row["matched_id"], row["matched_questions"]) for row in removed] == [
        (1, 1, "q0", 1),
        (4, 3, "q2", 1),
        (6, 2, "q1", 2),
    ]
    assert {row["matched_benchmark"] for row in removed} == {"kitchen.jsonl"}
    assert [row["text"][row["matched_start"] : row["matched_end"]] for row in removed] == [
        LEAK[:-1],
        "eight words are what this (short) question has",
        OTHER[:-1],
    ]
    assert removed[0]["matched_words"] == (
        "a woman stands in the kitchen pours flour into a large bowl and begins to knead the dough"
    )
    assert [row["matched_ngrams"] for row in removed] == [6, 1, 6]
    assert result.metrics["counts"] == {
        "input": 7, "kept": 4, "removed": 3, "contaminated": 3, "rejected": 0, "null_text": 1,
    }  # fmt: skip
    (told,) = result.metrics["benchmarks"]
    keys = ("questions", "whole", "too_short", "documents", "questions_found", "columns")
    assert [told[key] for key in keys] == [4, 1, 1, 3, 3, ["ctx", "endings"]]
    assert "1 of 4 questions have fewer than 8 words and cannot be found" in result.metrics["warnings"][0]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == result.metrics
    assert "3 contaminated (43 %), 4 kept" in repr(result)


def test_a_run_may_only_tell(spark: SparkSession, tmp_path: Path, benchmark: str) -> None:
    path = documents(tmp_path / "in.parquet", TEXTS, pa.dictionary(pa.int32(), pa.large_string()))
    result = run(spark, path, tmp_path / "out", benchmark, mode="report", min_question_words=13)
    assert pq.read_table(tmp_path / "out" / "kept").equals(pq.read_table(path))
    assert [row["id"] for row in rows(tmp_path / "out" / "audit")] == [1, 6]
    assert (result.removed.count(), result.contaminated.count()) == (0, 2)
    read = list_files([result.output], "text")
    assert [Path(file.path).parent for file in read] == [tmp_path / "out" / "kept"], "what the next job reads of it"


def test_an_n_gram_in_many_documents_removes_none_where_it_may_be_common(
    spark: SparkSession, tmp_path: Path, benchmark: str
) -> None:
    texts = [f"{OTHER} {prose(n)}" for n in range(11)] + [f"{OTHER} {LEAK} {LEAK}"]
    path = documents(tmp_path / "in.parquet", texts, row_group_size=3)
    metrics = run(spark, path, tmp_path / "a", benchmark).metrics
    assert metrics["counts"]["removed"] == 12
    assert "5 n-grams stand in more than 10 documents" in metrics["warnings"][1]
    assert "most_documents=10 would let such documents stay" in metrics["warnings"][1]
    found = run(spark, path, tmp_path / "b", benchmark, most_documents=11)
    assert [row["matched_id"] for row in rows(tmp_path / "b" / "removed")] == ["q0"]
    assert found.metrics["ngrams"]["common"] == 5
    assert [row["is_common"] for row in found.metrics["ngrams"]["frequent"]] == [True] * 5
    assert found.metrics["benchmarks"][0]["questions_found"] == 1
    assert [stage["name"] for stage in found.metrics["stages"]] == ["count", "search", "report"]
    assert run(spark, path, tmp_path / "c", benchmark, most_documents=12).metrics["counts"]["removed"] == 12


def test_the_rows_do_not_depend_on_how_the_input_lies_in_files(
    spark: SparkSession, tmp_path: Path, benchmark: str
) -> None:
    texts = [f"{prose(n)} {LEAK if n % 7 == 0 else OTHER if n % 5 == 0 else ''} {prose(-n)}" for n in range(60)]
    whole = documents(tmp_path / "one.parquet", texts)
    table = pq.read_table(whole)
    for n, start in enumerate((0, 7, 30)):
        save(tmp_path / "many" / f"{n}.parquet", table.slice(start, (7, 23, 30)[n]), row_group_size=5)
    sources = (whole, tmp_path / "many")
    one, many = (
        run(spark, source, tmp_path / f"out{n}", benchmark, most_documents=20).metrics
        for n, source in enumerate(sources)
    )
    for name in ("counts", "benchmarks", "ngrams"):
        assert one[name] == many[name]
    for folder in ("kept", "removed"):
        assert rows(tmp_path / "out0" / folder) == rows(tmp_path / "out1" / folder)


def test_what_is_planted_in_real_documents_is_found_and_nothing_else(spark: SparkSession, tmp_path: Path) -> None:
    """Against the definition in plain Python: questions put into the embedded documents, and some cut out of others."""
    texts = pq.read_table(embedded("1k").documents)["text"].to_pylist()
    planted = {37 * n: prose(n, 14 + n) for n in range(25)}
    for place, question in planted.items():
        words = texts[place].split(" ")
        middle = len(words) // 2
        texts[place] = " ".join([*words[:middle], question.upper().replace(" ", ", "), *words[middle:]])
    cut = [" ".join(text.split()[40:60]) for text in texts[1:400:37] if len(text.split()) > 80]
    ngrams = plain_ngrams([*planted.values(), *cut], 13, 8)
    expected = [n for n, text in enumerate(texts) if plain_hits(text, ngrams)]
    assert set(planted) < set(expected)
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps({"text": each}) + "\n" for each in [*planted.values(), *cut]))
    result = run(spark, documents(tmp_path / "in.parquet", texts), tmp_path / "out", path)
    removed = rows(tmp_path / "out" / "removed")
    assert [row["id"] for row in removed] == expected
    assert {row["id"]: row["matched_words"] for row in removed if row["id"] in planted} == planted
    assert result.metrics["benchmarks"][0]["questions_found"] == len(planted) + len(cut)


def test_the_report_shows_the_words_in_their_text_and_is_not_taken_in_by_it(
    spark: SparkSession, tmp_path: Path, benchmark: str
) -> None:
    hostile = "<script>alert(1)</script> " + LEAK.replace("FLOUR ", "FLOUR <!-- \u202e ")
    run(spark, documents(tmp_path / "in.parquet", [f"<i>{OTHER}</i>", hostile]), tmp_path / "out", benchmark)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<mark>A WOMAN STANDS IN THE KITCHEN, POURS FLOUR &lt;!-- " in page
    assert f"&lt;i&gt;<mark>{OTHER[:-1]}</mark>.&lt;/i&gt;" in page
    assert "<script>alert" not in page
    assert "U+202E" in page
    assert "a woman stands in the kitchen pours flour" in page, "the question"


def test_a_report_without_a_finding_says_so(spark: SparkSession, tmp_path: Path, benchmark: str) -> None:
    metrics = run(spark, pa.table({"text": [prose(1)]}), tmp_path / "out", benchmark).metrics
    assert "No document holds anything of these benchmarks." in render(metrics, [])
    assert metrics["counts"]["kept"] == 1


def test_results_of_other_jobs_are_taken_and_told_apart(spark: SparkSession, tmp_path: Path, benchmark: str) -> None:
    (tmp_path / "docs.jsonl").write_text("\n".join(["{half", *(json.dumps({"text": each}) for each in TEXTS if each)]))
    first = run(spark, tmp_path / "docs.jsonl", tmp_path / "a", benchmark, max_bad="1")
    assert (first.metrics["counts"]["kept"], first.metrics["counts"]["rejected"]) == (2, 1)
    again = run(spark, first, tmp_path / "b", benchmark)
    assert (again.metrics["counts"]["input"], again.metrics["counts"]["removed"]) == (2, 0), "nothing more goes"
    audited = run(spark, tmp_path / "a" / "removed", tmp_path / "c", benchmark)
    assert audited.removed.columns == first.removed.columns
    with pytest.raises(UserError, match="has no 'rules'"):
        FilterResult.open(tmp_path / "a", spark)
    assert DecontaminateResult.open(tmp_path / "a", spark).kept.count() == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ngram_words": 0}, "ngram_words: 0 is below 1"),
        ({"mode": "cut"}, "mode: 'cut' is none of drop, report"),
        ({"text_column": "body"}, "no column 'body'"),
        ({"id_column": "key"}, "there is no column 'key'"),
        ({"most_documents": 0}, "most_documents: 0 is below 1"),
        ({"benchmark_columns": "ctx,ctx"}, "'ctx' is given twice"),
    ],
)
def test_what_cannot_work_is_refused_in_a_line_and_nothing_left(
    spark: SparkSession, tmp_path: Path, benchmark: str, options: dict[str, Any], said: str
) -> None:
    path = documents(tmp_path / "in.parquet", TEXTS)
    with pytest.raises(UserError, match=said):
        run(spark, path, tmp_path / "out", benchmark, **options)
    assert [each.name for each in tmp_path.iterdir()] == ["in.parquet"]


def test_the_command_prints_what_was_found_and_what_comes_next(
    spark: SparkSession, tmp_path: Path, benchmark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = documents(tmp_path / "in.parquet", TEXTS)
    out = f"{tmp_path}/out"
    words = ["decontaminate", "--input", str(path), "--output", out, "--quiet", "--benchmark", f"{benchmark}:ctx"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "  removed         3 (43 %)\n    kitchen.jsonl 3 of 4 questions in 3 documents\n" in said
    assert f"Next: {command('tokenize', '--input', out, '--output', str(tmp_path / 'tokens'))}\n" in said
    assert main(words) == 2
    assert "exists; pass --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--mode", "report"]) == 0
    assert f"  contaminated    3 (43 %): {out}/audit (all stay in kept/)\n" in capsys.readouterr().out
    (tmp_path / "other.jsonl").write_text(json.dumps({"text": OTHER}))
    assert main([*words, "--overwrite", "--benchmark", f"{tmp_path}/other.jsonl"]) == 0
    assert "    other.jsonl   1 of 1 questions in 1 documents\n" in capsys.readouterr().out
    assert main([*words, "--overwrite", "--benchmark", f"{tmp_path}/other.jsonl:txt"]) == 2
    assert "other.jsonl: no question has a column 'txt'; there are text" in capsys.readouterr().err
    assert main(words[:6]) == 2
    assert "--benchmark: name at least one evaluation set" in capsys.readouterr().err


@pytest.mark.slow
def test_the_rows_are_the_same_with_one_worker_and_from_and_to_s3(bucket: str, tmp_path: Path, benchmark: str) -> None:
    """The job as a process of its own: the server's address must be there when Spark starts its workers."""
    client().put_object(Bucket="bucket", Key="kitchen.jsonl", Body=Path(benchmark).read_bytes())
    for n in range(3):
        path = documents(tmp_path / "in" / f"{n}.parquet", [*TEXTS, f"{LEAK} {n}"])
        client().put_object(Bucket="bucket", Key=f"in/{path.name}", Body=path.read_bytes())
    for source, output, file, master in (
        (str(tmp_path / "in"), str(tmp_path / "out"), benchmark, "local[1]"),
        (f"{bucket}/in/", f"{bucket}/out", f"{bucket}/kitchen.jsonl", "local[2]"),
    ):
        words = ["decontaminate", "--input", source, "--output", output, "--benchmark", file, "--most-documents", "50"]
        environment = os.environ | {"PYSPARK_SUBMIT_ARGS": f"--master {master} pyspark-shell"}
        line = [sys.executable, "-m", "sparkprep", *words, "--work", f"{output}-work", "--quiet"]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, timeout=240, env=environment)
    for name in ("kept", "removed"):
        local, remote = (read_parquet(f"{folder}/{name}") for folder in (f"{tmp_path}/out", f"{bucket}/out"))
        assert local.equals(remote)


def read_parquet(folder: str) -> pa.Table:
    system, inner = filesystem(folder)
    return pq.read_table(inner, filesystem=system)
