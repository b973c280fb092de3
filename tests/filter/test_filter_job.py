"""Curation on Spark: what stays, what goes and why, what is counted, what is refused."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_runs import save
from pyspark.sql import SparkSession
from s3_buckets import client
from warc_files import archive, record

from sparkprep import FilterResult, Result, UserError, filter_documents
from sparkprep.cli import main
from sparkprep.commands import command
from sparkprep.dedup.audit.finished import FinishedRun
from sparkprep.extract.pipeline import extract
from sparkprep.filter.rules import RULES, SETS
from sparkprep.io.listing import list_files
from sparkprep.io.paths import filesystem

GOOD = """\
The harbour of the old town lies behind a wall that was built to keep the winter storms away.
Fishermen mend nets there in the morning, and by noon their boats have gone out again with the tide.
A narrow street leads up to a square, where on Saturdays farmers sell apples, cheese and honey.
Some of them have been coming for forty years; others only began last spring.
If you climb further you will be rewarded: from the chapel one sees the islands, and beyond them open water."""
GOPHER = ("gopher-quality", "gopher-repetition")
SHORT = "Too short a text, but the words of it are in order."
BRACES = f"{GOOD}\nHere is a {{ bracket in a line."
MENU = f"Home\nAbout us\n{GOOD}"


def documents(path: Path, texts: list[str | None], kind: pa.DataType | None = None, **options: Any) -> Path:
    """Documents 0, 1, ... of two hosts, in a file."""
    ids = range(len(texts))
    columns = {"id": list(ids), "url": [f"https://{'ab'[n % 2]}.org/{n}" for n in ids], "n": [n * 2 for n in ids]}
    return save(path, pa.table({**columns, "text": pa.array(texts, kind or pa.string())}), **options)


def run(spark: SparkSession, source: Any, output: Path, **options: Any) -> FilterResult:
    return filter_documents(source, output=output, spark=spark, progress=False, **options)


def rows(folder: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(folder).to_pylist())


def test_documents_stay_as_they_came_or_go_with_the_rule_and_the_value_that_decided(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = documents(tmp_path / "in.parquet", [GOOD, SHORT, None, GOOD + "\n" + GOOD])
    result = run(spark, path, tmp_path / "out", rules=GOPHER)
    assert pq.read_table(tmp_path / "out" / "kept").equals(pq.read_table(path).slice(0, 1))
    removed = rows(tmp_path / "out" / "removed")
    assert [row["id"] for row in removed] == [1, 2, 3]
    told = [(row["filter_rule"], row["filter_value"], row["filter_limit"]) for row in removed]
    assert told == [("gopher-min-words", 12, 50), ("gopher-min-words", 0, 50), ("gopher-duplicate-lines", 0.5, 0.3)]
    assert [row["text"] for row in removed] == [SHORT, None, GOOD + "\n" + GOOD]
    assert result.metrics["counts"] == {
        "input": 4, "kept": 1, "removed": 3, "rejected": 0, "null_text": 1, "changed": 0,
    }  # fmt: skip
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == result.metrics


def test_figures_count_by_rule_and_by_source_and_the_report_shows_the_border(
    spark: SparkSession, tmp_path: Path
) -> None:
    texts = [GOOD, SHORT, GOOD, SHORT, "<script>alert(1)</script> \u202e", GOOD]
    metrics = run(spark, documents(tmp_path / "in.parquet", texts), tmp_path / "out", rules=GOPHER).metrics
    assert {rule["rule"]: rule["documents"] for rule in metrics["rules"] if rule["documents"]} == {
        "gopher-min-words": 3
    }
    assert metrics["sources"]["top"] == [
        {"source": "b.org", "documents": 3, "removed": 2, "rules": {"gopher-min-words": 2}},
        {"source": "a.org", "documents": 3, "removed": 1, "rules": {"gopher-min-words": 1}},
    ]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Too short a text" in page
    assert "<script>alert" not in page
    assert "U+202E" in page


@pytest.mark.parametrize(
    "kind", [pytest.param(pa.string(), marks=pytest.mark.slow), pa.dictionary(pa.int32(), pa.large_string())]
)
def test_c4_leaves_lines_out_of_texts_of_any_type_or_decides_alone(
    spark: SparkSession, tmp_path: Path, kind: pa.DataType
) -> None:
    path = documents(tmp_path / "in.parquet", [MENU, BRACES, GOOD], kind)
    result = run(spark, path, tmp_path / "out", rules="c4")
    assert [row["text"] for row in rows(tmp_path / "out" / "kept")] == [GOOD, GOOD]
    assert pq.read_schema(next((tmp_path / "out" / "kept").iterdir())).equals(pq.read_schema(path))
    assert [(row["filter_rule"], row["text"]) for row in rows(tmp_path / "out" / "removed")] == [
        ("c4-curly-bracket", BRACES)
    ]
    assert (result.metrics["counts"]["changed"], result.metrics["lines"]["c4-terminal-punctuation"]) == (1, 2)
    run(spark, path, tmp_path / "whole", rules="c4", c4_lines="keep")
    assert [row["text"] for row in rows(tmp_path / "whole" / "kept")] == [MENU, GOOD]


def test_addresses_are_counted_or_replaced_in_what_stays(spark: SparkSession, tmp_path: Path) -> None:
    text = f"{GOOD}\nWrite to jo@example.net, or call (415) 555-2671."
    path = documents(tmp_path / "in.parquet", [text, GOOD])
    counted = run(spark, path, tmp_path / "a", personal="count")
    assert counted.metrics["personal"] == {"email": 1, "ip": 0, "phone": 1, "documents": 1, "replaced": False}
    assert rows(tmp_path / "a" / "kept")[0]["text"] == text
    run(spark, path, tmp_path / "b", personal="replace")
    assert rows(tmp_path / "b" / "kept")[0]["text"].endswith("Write to email@example.com, or call +1-202-555-0100.")


def test_lines_of_json_archives_and_tables_are_documents_too(spark: SparkSession, tmp_path: Path) -> None:
    lines = [json.dumps({"id": n, "text": text}) for n, text in enumerate([GOOD, SHORT, GOOD])]
    (tmp_path / "docs.jsonl.gz").write_bytes(gzip.compress("\n".join(["{half", *lines]).encode()))
    metrics = run(spark, tmp_path / "docs.jsonl.gz", tmp_path / "a", max_bad="1").metrics
    assert (metrics["counts"]["kept"], metrics["counts"]["removed"], metrics["counts"]["rejected"]) == (2, 1, 1)
    (tmp_path / "x.warc.wet").write_bytes(archive([record("conversion", GOOD.encode(), "https://a.org/")]))
    extract(spark, [str(tmp_path / "x.warc.wet")], str(tmp_path / "pages"))
    result = run(spark, tmp_path / "pages", tmp_path / "b")
    assert result.metrics["counts"]["kept"] == 1
    read = [file.path for file in list_files([result.output], "text")]
    assert [Path(path).parent for path in read] == [tmp_path / "b" / "kept"], "what the next job reads of it"
    table = pa.table({"text": [GOOD, SHORT]})
    assert run(spark, table, tmp_path / "c").metrics["counts"]["kept"] == 1


def test_what_an_earlier_run_removed_can_be_asked_again(spark: SparkSession, tmp_path: Path) -> None:
    run(spark, documents(tmp_path / "in.parquet", [SHORT, "No."]), tmp_path / "a")
    again = run(spark, tmp_path / "a" / "removed", tmp_path / "b", rules="gopher-quality", gopher_min_words=5)
    assert again.removed.columns == ["id", "url", "n", "text", "filter_rule", "filter_value", "filter_limit"]
    assert [row["filter_limit"] for row in rows(tmp_path / "b" / "removed")] == [5]


def test_the_rows_do_not_depend_on_how_the_input_lies_in_files(spark: SparkSession, tmp_path: Path) -> None:
    texts = [GOOD if n % 3 else f"{SHORT} {'word ' * n}" for n in range(60)]
    whole = documents(tmp_path / "one.parquet", texts)
    documents(tmp_path / "many" / "a.parquet", texts[:7], row_group_size=2)
    table = pq.read_table(whole)
    for n, start in enumerate((0, 7, 30)):
        save(tmp_path / "many" / f"{n}.parquet", table.slice(start, (7, 23, 30)[n]), row_group_size=5)
    (tmp_path / "many" / "a.parquet").unlink()
    one, many = (run(spark, source, tmp_path / f"out{n}") for n, source in enumerate((whole, tmp_path / "many")))
    for name in ("counts", "rules", "sources", "lines"):
        assert one.metrics[name] == many.metrics[name]
    for folder in ("kept", "removed"):
        assert rows(tmp_path / "out0" / folder) == rows(tmp_path / "out1" / folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rules": "c5"}, "rules: 'c5' is none of gopher-repetition, gopher-quality, c4, fineweb"),
        ({"rules": ()}, r"rules: \(\) names no words"),
        ({"rules": ("c4", "c4")}, "given twice"),
        ({"skip": ("c4-policy",)}, "c4-policy is a rule of c4, which is not asked"),
        ({"skip": ("gopher-hash",)}, "did you mean gopher-hashes"),
        ({"c4_min_sentences": 3}, "c4_min_sentences is of the rules c4, which are not asked: name them in rules"),
        ({"skip": ("gopher-hashes",), "gopher_hashes": 0.2}, "gopher_hashes is of the rule gopher-hashes, which skip"),
        ({"gopher_min_words": 200_000}, "gopher_min_words is above gopher_max_words"),
        ({"gopher_alpha_words": 80}, "gopher_alpha_words: 80 is above 1"),
        ({"text_column": "body"}, "no column 'body'"),
        ({"source_column": "host"}, "there is no column 'host'"),
    ],
)
def test_what_cannot_work_is_refused_in_a_line_and_nothing_left(
    spark: SparkSession, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    path = documents(tmp_path / "in.parquet", [GOOD])
    with pytest.raises(UserError, match=said):
        run(spark, path, tmp_path / "out", **options)
    assert [each.name for each in tmp_path.iterdir()] == ["in.parquet"]


def test_an_output_stays_without_overwrite(spark: SparkSession, tmp_path: Path) -> None:
    path = documents(tmp_path / "in.parquet", [GOOD])
    run(spark, path, tmp_path / "out")
    with pytest.raises(UserError, match="exists; pass overwrite=True"):
        run(spark, path, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match=r"does not make \(mine\.txt\)"):
        run(spark, path, tmp_path / "out", overwrite=True)


def test_the_command_prints_what_was_removed_and_what_comes_next(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = documents(tmp_path / "in.parquet", [GOOD, SHORT, SHORT])
    words = ["filter", "--input", str(path), "--output", str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--rules", "gopher-quality", "c4", "--skip", "gopher-alpha-words", "c4-policy"]) == 0
    said = capsys.readouterr().out
    assert "  gopher-min-words 2\n" in said
    assert said.endswith(f"Next: {command('dedup', '--input', f'{tmp_path}/out', '--output', f'{tmp_path}/clean')}\n")
    assert main([*words, "--overwrite", "--gopher-min-words", "1000"]) == 0
    assert f"No document was kept: {tmp_path}/out/report.html" in capsys.readouterr().out
    assert main([*words, "--rules", "c4", "--gopher-min-words", "50"]) == 2
    assert "--gopher-min-words is of the rules gopher-quality, which are not asked" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--quiet"], []])
def test_a_warning_is_printed_once(
    spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    path = documents(tmp_path / "in.parquet", [GOOD, SHORT] * 11)
    assert main(["filter", "--input", str(path), "--output", str(tmp_path / "out"), *flags]) == 0
    said = capfd.readouterr()
    assert said.out.count("warning: b.org loses over 90 % of its documents") == 1
    assert "warning" not in said.err
    assert bool(flags) != ("filter" in said.err)


def test_a_result_of_curation_is_not_taken_for_one_of_deduplication(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(spark, documents(tmp_path / "in.parquet", [GOOD]), tmp_path / "out")
    with pytest.raises(UserError, match="a result of `filter`, not of `dedup`; name"):
        FinishedRun(str(tmp_path / "out"))
    assert FilterResult.open(tmp_path / "out", spark).kept.count() == 1
    with pytest.raises(UserError, match="has no 'candidates'"):
        Result.open(tmp_path / "out", spark)
    assert main(["browse", str(tmp_path / "out"), "--no-open"]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'out'}: a result of `filter`, not of `dedup`; name" in said
    assert f"{tmp_path / 'out'}/report.html" in said


def test_every_rule_is_of_a_set_and_every_threshold_a_setting() -> None:
    from sparkprep import FilterSettings

    assert {rule.set for rule in RULES} == set(SETS)
    assert all(hasattr(FilterSettings(), rule.setting) for rule in RULES if rule.setting)


@pytest.mark.slow
def test_the_rows_are_the_same_with_one_worker_and_from_and_to_s3(bucket: str, tmp_path: Path) -> None:
    """The job as a process of its own: the server's address must be there when Spark starts its workers."""
    for n in range(3):
        path = documents(tmp_path / "in" / f"{n}.parquet", [GOOD, MENU, SHORT, f"{BRACES} {n}"])
        client().put_object(Bucket="bucket", Key=f"in/{path.name}", Body=path.read_bytes())
    for source, output, master in (
        (str(tmp_path / "in"), str(tmp_path / "out"), "local[1]"),
        (f"{bucket}/in/", f"{bucket}/out", "local[2]"),
    ):
        words = ["filter", "--input", source, "--output", output, "--work", f"{output}-work", "--rules", *SETS]
        environment = os.environ | {"PYSPARK_SUBMIT_ARGS": f"--master {master} pyspark-shell"}
        command = [sys.executable, "-m", "sparkprep", *words, "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=240, env=environment)
    for name in ("kept", "removed"):
        local, remote = (read_parquet(f"{folder}/{name}") for folder in (f"{tmp_path}/out", f"{bucket}/out"))
        assert local.equals(remote)


def read_parquet(folder: str) -> pa.Table:
    system, inner = filesystem(folder)
    return pq.read_table(inner, filesystem=system)
