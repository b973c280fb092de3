"""Evaluation sets as files: columns, texts as a model sees them, what is refused and how."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from s3_buckets import client

from sparkprep.decontaminate.benchmarks import Benchmark, Reading, benchmark_of, texts_of, value_of, without_text
from sparkprep.decontaminate.index import read_index
from sparkprep.decontaminate.settings import DecontaminateSettings
from sparkprep.errors import UserError

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"
HELLASWAG = {"row": 7, "ctx": "A man sits on a roof. he", "label": 1, "endings": ["sings.", "pulls up roofing."]}


def written(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def settings(path: Path | str, **options: Any) -> DecontaminateSettings:
    return DecontaminateSettings(benchmark=str(path), **options)


@pytest.mark.parametrize(
    ("record", "columns", "texts"),
    [
        (HELLASWAG, (), ("A man sits on a roof. he sings.", "A man sits on a roof. he pulls up roofing.")),
        ({"question": "Why?", "choices": {"text": ["So.", "No."]}}, (), ("Why? So.", "Why? No.")),
        ({"question": "Why?", "answer": 42}, (), ("Why? 42",)),
        ({"a": "Q", "turns": [{"say": "x"}, {"say": ["y", None]}]}, ("a", "turns.say"), ("Q x", "Q y")),
        ({"a": ["x", "y"], "b": "mid", "c": ["z"]}, ("a", "b", "c"), ("x mid", "y mid", "mid z")),
        ({"a": [], "b": "alone"}, ("a", "b"), ("alone",)),
        (
            {"ctx": "[header] How to [title] Rest [step] Lie", "endings": ["down."]},
            (),
            ("[header] How to [title] Rest [step] Lie down.", "  How to   Rest   Lie down."),
        ),
    ],
)
def test_the_texts_of_a_question_are_what_a_model_sees(
    tmp_path: Path, record: dict[str, Any], columns: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    (question,) = Reading(Benchmark(str(written(tmp_path / "b.jsonl", [record])), columns), None)
    assert question.texts == texts


def test_a_question_is_named_by_its_line_and_by_its_id(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl.gz"
    path.write_bytes(gzip.compress(f"{json.dumps(HELLASWAG)}\n\n{json.dumps({**HELLASWAG, 'row': 9})}".encode()))
    assert [(each.line, each.id) for each in Reading(Benchmark(str(path)), None)] == [(1, "7"), (3, "9")]
    assert [each.id for each in Reading(Benchmark(str(path)), "label")] == ["1", "1"]


@pytest.mark.parametrize(
    ("word", "path", "columns"),
    [
        ("/x/a.jsonl", "/x/a.jsonl", ("z",)),
        ("/x/a.jsonl.zst:q,c.text", "/x/a.jsonl.zst", ("q", "c.text")),
        ("s3://b/a.json:q", "s3://b/a.json", ("q",)),
        ("/x/a:b.jsonl", "/x/a:b.jsonl", ("z",)),
        ("/x/a:b.jsonl:q", "/x/a:b.jsonl", ("q",)),
    ],
)
def test_a_file_may_name_its_columns(word: str, path: str, columns: tuple[str, ...]) -> None:
    assert benchmark_of(word, ("z",)) == Benchmark(path, columns)


def test_places_in_a_record() -> None:
    assert value_of({"a.b": 1, "a": {"b": 2}}, "a.b") == 1, "a name with a dot goes before a place"
    assert value_of({"a": {"b": {"c": 3}}}, "a.b.c") == 3
    assert value_of({"a": 1}, "a.b") is None
    assert texts_of(["x", "", "y"]) == ("x y",)


@pytest.mark.parametrize(
    ("records", "options", "said"),
    [
        (
            [{"q": LONG, "n": 1}],
            {},
            r"which columns are the questions\? Name them, as in benchmark b.jsonl:COLUMN,COLUMN",
        ),
        ([{"q": LONG, "n": 1}], {}, "there are q, n"),
        ([{"q": LONG}], {"benchmark_columns": "q,answer"}, "no question has a column 'answer'; there are q"),
        ([{"q": {"a": 1}}], {"benchmark_columns": "q"}, "line 1: 'q' is no text, nor a list of texts"),
        ([{"text": LONG}, [1]], {}, "line 2: not a JSON object but a list; mend the line or get the file anew"),
        (
            [{"text": LONG}],
            {"benchmark_id_column": "key"},
            "benchmark_id_column='key': .*no such column; there are text",
        ),
        ([], {}, "holds no question: the file is empty"),
        (
            [{"id": 1}, {"id": 2, "q": None}, {"q": 17}, {"q": " "}, {"q": []}, {"q": [3]}],
            {"benchmark_columns": "q"},
            r"6 of 6 lines have no text in column q .lines 1, 2, 3, 4, 5, ….; name other columns",
        ),
        (
            [{"text": "Too short."}, {"text": None}],
            {"benchmark_columns": "text"},
            "every question has fewer than 8 words",
        ),
        (
            [{"text": f"{LONG} a b c"}],
            {"ngram_budget": 3},
            "line 1: the benchmarks hold more than 3 n-grams up to here",
        ),
        ([{"text": "short"}] * 3, {"ngram_budget": 2}, "line 3: the benchmarks hold more than 2 questions up to here"),
    ],
)
def test_what_is_no_benchmark_is_refused_in_a_line(
    tmp_path: Path, records: list[Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read_index(settings(written(tmp_path / "b.jsonl", records), **options))


def test_a_broken_line_a_broken_file_and_one_that_is_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": LONG}) + '\n{"text": "ha')
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": LONG}).encode() * 99)[:-20])
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    (tmp_path / "d.jsonl").mkdir()
    for name, said in (
        ("a.jsonl", "a.jsonl: line 2: not valid JSON"),
        ("b.jsonl.gz", "b.jsonl.gz: compressed file cut short or damaged after line 0"),
        ("c.parquet", "c.parquet: benchmarks are read as JSON Lines; name it .jsonl"),
        ("d.jsonl", "d.jsonl: cannot be read"),
        ("e.jsonl", "e.jsonl: cannot be read: No such file"),
    ):
        with pytest.raises(UserError, match=said):
            read_index(settings(tmp_path / name))


def test_a_file_is_named_once(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", [{"text": LONG, "title": LONG}])
    with pytest.raises(UserError, match="is given twice; name all its columns at once"):
        read_index(DecontaminateSettings(benchmark=[f"{path}:text", f"{path}:title"]))
    with pytest.raises(UserError, match="a column without a name"):
        read_index(settings(f"{path}:text,"))
    with pytest.raises(UserError, match="benchmark: name at least one evaluation set"):
        DecontaminateSettings()


def test_a_benchmark_lies_on_s3_and_two_of_one_name_are_told_apart(bucket: str, tmp_path: Path) -> None:
    local = written(tmp_path / "b.jsonl", [{"text": LONG}, {"text": "one two three four five six seven eight"}])
    client().put_object(Bucket="bucket", Key="b.jsonl", Body=local.read_bytes())
    index, told = read_index(DecontaminateSettings(benchmark=[f"{bucket}/b.jsonl", str(local)]))
    assert index.names == (f"{bucket}/b.jsonl", str(local))
    assert [(each.questions, each.whole, each.too_short) for each in told] == [(2, 1, 0)] * 2
    assert (index.size, index.ids) == (2, pa.array([None] * 4, pa.string()))
    with pytest.raises(UserError, match=r"s3://bucket/c\.jsonl: cannot be read"):
        read_index(settings(f"{bucket}/c.jsonl"))


def test_endings_take_in_only_what_they_add(tmp_path: Path) -> None:
    context = " ".join(f"c{n}" for n in range(100))
    path = written(tmp_path / "b.jsonl", [{"ctx": context, "endings": ["x y z", "x y w", "v", "v"]}])
    index, _ = read_index(settings(path))
    assert index.size == 91 + 1 + 1
    assert len(index.grams.starts) - 1 == 103 + 13 + 13


def test_blank_lines_are_told_from_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("\n \n")
    with pytest.raises(UserError, match="holds no question: all of its 2 lines are blank; get it anew"):
        read_index(settings(tmp_path / "b.jsonl"))


def test_lines_without_text_are_told_apart_from_short_questions(tmp_path: Path) -> None:
    records = [{"q": LONG}, {"a": "x"}, {"q": None}, {"q": 17}, {"q": "Too short."}, {"q": [*range(20)]}]
    _, (told,) = read_index(settings(written(tmp_path / "b.jsonl", records), benchmark_columns="q"))
    assert (told.questions, told.too_short, told.whole) == (6, 1, 0)
    assert (told.without_text, told.lines_without_text) == (4, (2, 3, 4, 6))
    assert without_text(1, 6, ["q", "a"], [2]) == "1 of 6 lines has no text in columns q, a (line 2)"


@pytest.mark.parametrize(
    ("words", "is_found"), [(7, False), (8, True), (12, True), (13, True)], ids=["too short", "8", "12", "an n-gram"]
)
def test_a_short_question_is_found_without_its_answer_and_with_it(tmp_path: Path, words: int, is_found: bool) -> None:
    question = " ".join(LONG.split()[:words])
    record = {"question": question, "choices": [f"ending {number} of them and more words" for number in range(4)]}
    index, (told,) = read_index(settings(written(tmp_path / "b.jsonl", [record])))
    grams = [index.words_of(number) for number in range(index.size)]
    assert (question in grams) == is_found
    assert any(f"{question.split()[-1]} ending 3" in each for each in grams)
    assert len(grams) == len(set(grams))
    assert (told.whole, told.too_short) == (0, 0)
    assert index.text_of(0, 99).startswith(f"{question} ending 0")


def test_the_first_column_alone_is_searched_for_without_marks_too(tmp_path: Path) -> None:
    record = {"ctx": "[header] How to rest in the shade of trees [step]", "endings": ["lie down."]}
    (question,) = Reading(Benchmark(str(written(tmp_path / "b.jsonl", [record]))), None)
    assert question.own == (record["ctx"], "  How to rest in the shade of trees  ")
    (alone,) = Reading(Benchmark(str(written(tmp_path / "b.jsonl", [{"text": LONG}]))), None)
    assert alone.own == ()
