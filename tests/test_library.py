"""The package as a library: what it gives, from a table in memory to shards, and how its results show themselves."""

import io
import json
import subprocess
import sys
from dataclasses import fields
from html import unescape
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkout import ROOT
from dedup_runs import prose, save, with_changed
from pyspark.sql import SparkSession

import sparkprep
from sparkprep import ExtractSettings, Result, Settings, UserError, deduplicate, grade_result, tokenize, write_shards
from sparkprep.cli import main
from sparkprep.decontaminate.settings import DecontaminateKeywords, DecontaminateSettings
from sparkprep.dedup.settings import SettingsKeywords
from sparkprep.documents.memory import table_in_memory
from sparkprep.extract.settings import ExtractKeywords
from sparkprep.filter.settings import FilterKeywords, FilterSettings
from sparkprep.tokens.settings import ShardKeywords, ShardSettings, TokenizeKeywords, TokenizeSettings

BASE = prose(1, 60)
TEXTS = [BASE, with_changed(BASE, 30), BASE.upper(), prose(2), prose(3), None]


def columns(ids: list[Any] | None = None) -> dict[str, list[Any]]:
    """Six documents, of which two go: the second for the first or the third, and one of these as a copy."""
    urls = [f"https://site{n}.example/<b>{n}</b>" for n in range(6)]
    return {**({} if ids is None else {"id": ids}), "text": TEXTS, "url": urls, "n": [1, 2, 3, 4, 5, 6]}


@pytest.fixture(scope="module")
def result(spark: SparkSession) -> Result:
    """The result of a run on a table in memory."""
    return deduplicate(pd.DataFrame(columns(list("abcdef"))), threshold=0.7, keep="first", spark=spark)


def test_each_name_is_the_same_before_and_after_the_packages_below_are_imported() -> None:
    code = (
        "import importlib, pkgutil, sys, sparkprep\n"
        "assert not {'numba', 'pyspark'} & set(sys.modules)\n"
        "before = {name: getattr(sparkprep, name) for name in sparkprep.__all__}\n"
        "below = [module.name for module in pkgutil.iter_modules(sparkprep.__path__)]\n"
        "for name in below: name == '__main__' or importlib.import_module(f'sparkprep.{name}')\n"
        "from sparkprep import *\n"
        "assert {name: globals()[name] for name in sparkprep.__all__} == before\n"
        "assert all(callable(each) for each in before.values())\n"
        "assert not set(sparkprep.__all__) & set(below)\n"
        "assert set(sparkprep.__all__) <= set(dir(sparkprep))\n"
        "try: sparkprep.dedup_all\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout == "module 'sparkprep' has no attribute 'dedup_all'\n", done.stderr


@pytest.mark.parametrize(
    ("keywords", "settings"),
    [
        (ExtractKeywords, ExtractSettings),
        (FilterKeywords, FilterSettings),
        (DecontaminateKeywords, DecontaminateSettings),
        (SettingsKeywords, Settings),
        (TokenizeKeywords, TokenizeSettings),
        (ShardKeywords, ShardSettings),
    ],
)
def test_the_keywords_that_an_editor_shows_are_the_settings(keywords: type, settings: type) -> None:
    of_settings = {field.name for field in fields(settings)}
    hints = get_type_hints(settings)
    assert get_type_hints(keywords) == {name: hints[name] for name in hints if name in of_settings}


def test_from_a_table_to_shards_each_result_is_the_next_ones_input(spark: SparkSession, tmp_path: Path) -> None:
    result = deduplicate(pd.DataFrame(columns(list("abcdef"))), Settings(seed=2), threshold=0.7, spark=spark)
    assert (result.metrics["settings"]["threshold"], result.metrics["settings"]["seed"]) == (0.7, 2)
    tokens = tokenize(result, spark=spark)
    assert tokens.rows.count() == result.kept.count() == 4
    of_frame = tokenize(result.kept)
    assert sorted(of_frame.rows.collect()) == sorted(tokens.rows.collect())
    shards = write_shards(tokens, output=tmp_path / "shards", name="t", val_tokens=5, spark=spark)
    shards.verify()
    assert [Path(path).name for path in shards.files] == ["t_val_000000.bin", "t_train_000001.bin"]
    truth = save(tmp_path / "truth.parquet", {"id_a": ["a", "a", "b"], "id_b": ["b", "c", "c"]})
    grade = grade_result(result, truth)
    assert (grade.precision.value, grade.recall.value) == (1.0, 1.0)
    for shown in (tokens, shards, grade):
        assert "\n" in repr(shown)
        assert shown._repr_html_().startswith("<")


def test_a_result_shows_itself_in_five_lines_and_as_a_table(result: Result) -> None:
    lines = repr(result).splitlines()
    assert len(lines) == 5
    assert lines[0] == "documents  6: 4 kept, 2 removed (33.3 %; 1 exact, 1 near)"
    assert lines[1] == "threshold  0.7, rule leader, keep first"
    assert lines[3].startswith(f"output     {result.output}")
    assert f"{result.output}/report.html" in lines[4]
    page = result._repr_html_()
    assert page.count("<tr>") == 5
    assert f'href="{Path(result.report).as_uri()}"' in page
    odd = Result({**result.metrics, "settings": {**result.metrics["settings"], "keep": "<script>\x1b"}}, "/x", None)  # type: ignore[arg-type]
    assert "<script>" not in odd._repr_html_()
    assert "\x1b" not in repr(odd)


def test_the_report_is_opened_or_its_place_is_told(
    result: Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert result.show_report() == result.report
    assert capsys.readouterr().out == f"open {result.report} in a browser\n"


def test_in_a_notebook_the_report_is_shown_in_a_frame_and_nothing_else(
    result: Result, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    ipython, shown = pytest.importorskip("IPython"), []
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setattr(ipython, "get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", shown.append)
    assert result.show_report() is None
    (frame,) = shown
    page = Path(result.report).read_text()
    assert unescape(frame._repr_html_()).startswith(f'<iframe srcdoc="{page[:50]}')
    assert repr(frame) == f"report at {result.report}"
    assert not recwarn.list


def test_a_result_is_opened_again_where_it_lies(result: Result, spark: SparkSession, tmp_path: Path) -> None:
    again = Result.open(result.output, spark)
    assert repr(again) == repr(result)
    assert again.removed.collect() == result.removed.collect()
    with pytest.raises(UserError, match=r"holds no metrics\.json: name the output folder of such a run"):
        Result.open(tmp_path, spark)


IDS = {
    "instants": pd.date_range("2020-01-01", periods=6, freq="ns"),
    "repeated": ["x", "x", "x", "y", "y", None],
    "absent": None,
}


@pytest.mark.parametrize("kind", IDS)
def test_removed_rows_are_shown_with_their_text_and_their_kept_twins_whatever_names_them(
    spark: SparkSession, kind: str, tmp_path: Path
) -> None:
    source = tmp_path / "in.parquet"
    pd.DataFrame(columns(IDS[kind])).to_parquet(source)
    result = deduplicate(source, threshold=0.7, spark=spark)
    source.unlink()
    shown = result.removed_with_text()
    assert shown.columns == ["id", "kept_id", "jaccard", "rule", "text", "url", "kept_text"]
    rows = {row["url"]: row for row in shown.collect()}
    kept = pq.read_table(Path(result.output) / "kept")["text"].to_pylist()
    assert len(rows) == 2 == result.metrics["counts"]["removed"]
    for url, row in rows.items():
        assert row["text"] == TEXTS[int(url[12])]
        assert row["kept_text"] in kept
        assert row["kept_text"].lower()[:40] == BASE.lower()[:40]


def sources(folder: Path) -> dict[str, Any]:
    """The same documents in every form of a table."""
    frame = pd.DataFrame(columns(list("abcdef")))

    class Streaming:
        """As a table of Polars or DuckDB: it hands out Arrow."""

        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return pa.Table.from_pandas(frame).__arrow_c_stream__(requested_schema)

    return {
        "pandas, by its index": frame.set_index("id"),
        "pandas, filtered": pd.concat([frame, frame])[:6].sort_values("n"),
        "pandas, objects": frame.astype({"text": object}),
        "Arrow": pa.Table.from_pandas(frame, preserve_index=False),
        "a stream": Streaming(),
    }


@pytest.mark.parametrize("form", ["pandas, by its index", "pandas, filtered", "pandas, objects", "Arrow", "a stream"])
def test_a_table_in_memory_comes_back_with_its_columns_and_nulls(
    spark: SparkSession, tmp_path: Path, form: str, result: Result
) -> None:
    done = deduplicate(sources(tmp_path)[form], threshold=0.7, keep="first", output=tmp_path / "out", spark=spark)
    assert done.kept.columns == ["id", "text", "url", "n"]
    assert sorted(done.kept.collect()) == sorted(result.kept.collect())
    table = pq.read_table(tmp_path / "out" / "kept")
    assert (table.schema.field("n").type, table["text"].null_count) == (pa.int64(), 1)
    assert done.metrics["counts"]["null_text"] == 1


def test_tasks_share_a_table_in_memory(spark: SparkSession, tmp_path: Path) -> None:
    table = pa.table({"text": [prose(n, 20_000) for n in range(160)]})
    done = deduplicate(table, output=tmp_path / "out", spark=spark)
    assert len(done.metrics["parts"]["kept"]) > 1
    assert done.metrics["input"]["paths"] == ["a PyArrow table"]


def test_an_index_without_a_name_is_left_out_and_told_of_unless_it_only_counts() -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"]})
    for index, told in ((None, 0), ([5, 3, 4], 0), (["x", "y", "z"], 1)):
        made = table_in_memory(frame if index is None else frame.set_index(pd.Index(index)))
        assert made is not None
        assert (made.schema.names, len(made.warnings)) == (["text"], told)


def test_what_arrow_has_no_type_for_is_told_by_its_column() -> None:
    late = [1] * 2000 + ["one"]
    for values in (["a", 3], late, [object()]):
        with pytest.raises(UserError, match=r"^the pandas DataFrame: column 'x' has no one type .*: cast it, such"):
            table_in_memory(pd.DataFrame({"x": pd.Series(values, dtype=object)}))


@pytest.mark.parametrize("dtype", [object, "string[python]"])
@pytest.mark.parametrize(("row", "bad"), [(0, "\ud83d"), (2500, "so \udc80 far")])
def test_half_a_character_is_told_by_its_column_and_row(dtype: Any, row: int, bad: str) -> None:
    texts = ["whole \U0001f600"] * 3000
    texts[row] = bad
    frame = pd.DataFrame({"body": pd.Series(texts, range(7, 3007), dtype)})

    def read() -> None:
        made = table_in_memory(frame)
        list(made.batches() if made else ())

    with pytest.raises(UserError, match=rf"^the pandas DataFrame: column 'body', row {row + 7} holds half a character"):
        read()


@pytest.mark.parametrize("given", [pd.Series(["a", "b"]), pd.Series([1, 2], name="text"), pa.chunked_array([["a"]])])
def test_a_column_alone_is_no_table(given: Any) -> None:
    with pytest.raises(UserError, match=r"^a (Series|ChunkedArray) of (pandas|pyarrow) is no table: hand over a table"):
        table_in_memory(given)


def test_a_dataset_is_read_through_its_indices() -> None:
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"text": [str(n) for n in range(3000)], "n": list(range(3000))})
    some = whole.shuffle(seed=1).filter(lambda row: row["n"] % 3 == 0).select(range(0, 900, 2))
    made = table_in_memory(some)
    assert made is not None
    assert pa.Table.from_batches(made.batches(), made.schema)["n"].to_pylist() == some["n"][:]
    with pytest.raises(UserError, match=r"hand over one, such as documents\['train'\]"):
        table_in_memory(datasets.DatasetDict({"train": whole}))


@pytest.mark.parametrize(
    ("given", "in_python", "by_flag"),
    [
        ({"id_column": "docid"}, "id_column='docid': there is no column", "--id-column docid: there is no column"),
        ({"keep": "-score"}, "keep='-score': there is no column", "--keep -score: there is no column"),
        ({"text_column": "body"}, "name it by text_column", "name it by --text-column"),
        ({"threshold": 7}, "threshold: 7 is above 1", "--threshold: 7 is above 1"),
    ],
)
def test_an_error_names_the_argument_in_python_and_the_flag_on_the_command_line(
    spark: SparkSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, Any],
    in_python: str,
    by_flag: str,
) -> None:
    source = save(tmp_path / "in.parquet", columns(list("abcdef")))
    with pytest.raises(UserError) as refused:
        deduplicate(source, output=tmp_path / "out", spark=spark, **given)
    assert in_python in str(refused.value)
    assert "--" not in str(refused.value)
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["dedup", "--input", str(source), "--output", str(tmp_path / "out"), *words]) == 2
    assert by_flag in capsys.readouterr().err


def test_an_unknown_keyword_is_told_with_the_nearest_one(spark: SparkSession, tmp_path: Path) -> None:
    for job, wrong, near in ((deduplicate, "treshold", "threshold"), (tokenize, "ouput", "output")):
        with pytest.raises(UserError, match=rf"knows no '{wrong}'; did you mean {near}\?"):
            job("in.parquet", spark=spark, **{wrong: 1})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="knows no 'shard_token'; did you mean shard_tokens"):
        write_shards("in.parquet", output=tmp_path, spark=spark, shard_token=1)  # type: ignore[call-arg]
    with pytest.raises(UserError, match="truth or size: give one of them"):
        grade_result("out")


@pytest.mark.parametrize(
    ("job", "wrong", "told"),
    [
        (deduplicate, {"output": ""}, "^output: an empty value was given"),
        (deduplicate, {"work": ""}, "^work: an empty value was given"),
        (deduplicate, {"output": 3}, "^output takes a path, not 3$"),
        (deduplicate, {"keep_work": "no"}, "^keep_work takes True or False, not 'no'$"),
        (deduplicate, {"single_file": b"kept"}, "^single_file=b'kept': it is a name in the output folder"),
        (deduplicate, {"stream": "log.txt"}, "^stream takes an open text file"),
        (tokenize, {"output": ""}, "^output: an empty"),
        (tokenize, {"spark": "local[2]"}, r"^spark takes a SparkSession, not 'local\[2\]'$"),
        (tokenize, {"reuse": 1}, "^reuse takes True or False, not 1$"),
        (write_shards, {"output": None}, "^output takes a path, not None$"),
        (write_shards, {"output": "o", "progress": "yes"}, "^progress takes True, False or None, not 'yes'$"),
        (
            grade_result,
            {"truth": pd.DataFrame()},
            "^truth takes the path of a Parquet file or folder, not a DataFrame$",
        ),
        (grade_result, {"truth": ""}, "^truth: an empty"),
        (grade_result, {"size": "1k", "input": ["a"]}, "^input takes the path of the documents as Parquet, not a list"),
    ],
)
def test_an_argument_of_another_kind_is_named_with_what_it_takes(job: Any, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        job("in.parquet", **wrong)


@pytest.mark.parametrize("flag", ["--output", "--work"])
def test_an_empty_path_is_none_on_a_command_line_either(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dedup", "--size", "1k", flag, ""]) == 2
    assert capsys.readouterr().err.startswith(f"error: {flag}: an empty value was given")


def test_numbers_of_numpy_are_settings_too(spark: SparkSession, tmp_path: Path) -> None:
    done = deduplicate(
        pa.table(columns()), threshold=np.float64(0.7), seed=np.int64(3), output=tmp_path / "o", spark=spark
    )
    assert json.loads((tmp_path / "o" / "metrics.json").read_text())["settings"]["seed"] == 3
    assert done.metrics["counts"]["removed"] == 2


def test_where_there_is_a_stream_it_is_told_there(spark: SparkSession, tmp_path: Path) -> None:
    stream = io.StringIO()
    tokenize(pa.table(columns()), output=tmp_path / "o", spark=spark, stream=stream)
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["read", "tokenize"]
    assert sparkprep.__version__ in (tmp_path / "o" / "_metrics.json").read_text()


@pytest.mark.parametrize(
    "name", ["../victim.txt", "{folder}/kept-all.snappy.parquet", "kept", "", "a/kept-1.snappy.parquet"]
)
def test_a_single_file_is_a_name_in_the_result_and_nothing_else(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    with pytest.raises(UserError, match="single_file="):
        deduplicate(pa.table({"text": ["a"]}), output=tmp_path / "out", single_file=name.format(folder=tmp_path))
    assert victim.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim.txt"]
