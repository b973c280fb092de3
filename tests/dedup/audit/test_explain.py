"""`sparkprep explain`: why any document went or stayed, by the result alone."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audited import HOSTILE_ID, LARGE, SURE, Audited
from dedup_runs import prose
from pyspark.sql import SparkSession
from remote import put_folder

from sparkprep import deduplicate
from sparkprep.cli import main
from sparkprep.dedup.audit.explain import _difference, explain
from sparkprep.dedup.audit.finished import Document, FinishedRun
from sparkprep.errors import UserError


@pytest.fixture(scope="module")
def run(audited_run: Audited) -> FinishedRun:
    return FinishedRun(str(audited_run.folder))


def lines(text: str) -> dict[str, str]:
    """{first word: rest} of the lines that begin with one."""
    return {words[0]: " ".join(words[1:]) for line in text.splitlines() if (words := line.split())}


def test_a_removed_document_names_its_twin_the_reason_and_the_words_that_differ(run: FinishedRun) -> None:
    text = explain(run, "gone-007")
    told = lines(text)
    assert told["removed"].startswith("gone-007 https://mirror.example/7 (")
    assert told["kept"].startswith("kept-007 https://site1.example/7 (")
    assert told["why"].startswith("near: Jaccard similarity 0.8")
    assert "[-changed10-]" in text
    assert "{+extraordinarily+}" in text


def test_a_kept_document_tells_for_how_many_it_stands(run: FinishedRun) -> None:
    told = lines(explain(run, "large"))
    assert told["stands"].startswith(f"for {LARGE} removed: copy-00 (1.000), ")
    assert told["stands"].endswith("and 55 more")
    assert lines(explain(run, "copy-31"))["why"].startswith("exact: ")


def test_a_near_miss_is_told_of_from_either_side(run: FinishedRun) -> None:
    for name, other in (("miss-long", "miss-short"), ("miss-short", "miss-long")):
        told = lines(explain(run, name))
        assert told["nearest"].startswith(f"{other} https://miss.example/")
        assert "is below the threshold 0.8" in told["why"]


def test_a_document_like_no_other_is_said_to_be_so(run: FinishedRun) -> None:
    told = lines(explain(run, "alone"))
    assert told["stands"] == "for no removed document"
    assert told["nearest"].startswith("no other kept document was found")


def test_every_document_is_found_and_has_its_own_text(run: FinishedRun, audited_run: Audited) -> None:
    places = range(len(audited_run.rows))
    documents = run.documents(list(places))
    assert [documents[place].text for place in places] == [row["text"] for row in audited_run.rows]
    for name in ("kept-000", "gone-069", "copy-59", HOSTILE_ID):
        assert run.named(name) == [audited_run.place(name)]


def test_hostile_names_and_texts_reach_no_terminal_as_they_are(run: FinishedRun) -> None:
    text = explain(run, HOSTILE_ID, whole=True)
    assert "\\x1b[31m" in text
    assert not {"\x1b", "\u202e"} & set(text)
    coloured = explain(run, HOSTILE_ID, colour=True)
    assert "\x1b[2J" not in coloured


def test_whole_texts_are_given_on_request(run: FinishedRun, audited_run: Audited) -> None:
    text = explain(run, "gone-007", whole=True)
    assert audited_run.rows[audited_run.place("gone-007")]["text"] in text
    assert audited_run.rows[audited_run.place("kept-007")]["text"] in text


def test_an_unknown_name_is_an_error_that_says_what_names_documents(
    audited_run: Audited, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(audited_run.folder), "gone-7\n"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no document there is named 'gone-7\\n'" in error
    assert "column 'id'" in error


def test_a_document_is_found_by_its_address_too(audited_run: Audited, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(audited_run.folder), "--url", "https://mirror.example/7"]) == 0
    by_url = capsys.readouterr().out
    assert main(["explain", str(audited_run.folder), "--id", "gone-007"]) == 0
    assert capsys.readouterr().out == by_url
    assert main(["explain", str(audited_run.folder), "--url", "https://mirror.example/none"]) == 2
    assert "(documents are named by column 'url')" in capsys.readouterr().err


def test_what_is_no_whole_result_is_refused(audited_run: Audited, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        FinishedRun(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"holds no metrics\.json"):
        FinishedRun(str(audited_run.folder / "kept"))
    copy = tmp_path / "copy"
    shutil.copytree(audited_run.folder, copy)
    part = next((copy / "kept").glob("part-*"))
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(UserError, match="other rows than the run wrote"):
        explain(FinishedRun(str(copy)), "kept-000")
    shutil.rmtree(copy / "audit")
    with pytest.raises(UserError, match="audit/ is gone"):
        FinishedRun(str(copy))


def test_documents_without_an_id_are_found_by_the_hash_of_their_text(spark: SparkSession, tmp_path: Path) -> None:
    texts = [prose(1), prose(1) + ".", prose(2), prose(1), "", None]
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), tmp_path / "docs.parquet")
    deduplicate(tmp_path / "docs.parquet", SURE, output=tmp_path / "clean", spark=spark)
    run = FinishedRun(str(tmp_path / "clean"))
    removed = pq.read_table(tmp_path / "clean" / "removed").to_pylist()
    assert len(removed) == 2
    for row in removed:
        assert "2 documents are named so" in explain(run, row["id"])
        assert lines(explain(run, row["kept_id"]))["stands"].startswith("for 2 removed")


@pytest.mark.parametrize("kind", [pa.int64(), pa.binary(), pa.timestamp("us")])
def test_identifiers_of_any_type_are_given_as_they_are_shown(
    spark: SparkSession, tmp_path: Path, kind: pa.DataType
) -> None:
    values = pa.array([1, 2, 3], pa.int64())
    ids = values.cast(pa.string()).cast(kind) if pa.types.is_binary(kind) else values.cast(kind)
    table = pa.table({"id": ids, "text": [prose(1), prose(1), prose(2)]})
    pq.write_table(table, tmp_path / "docs.parquet")
    deduplicate(tmp_path / "docs.parquet", SURE, output=tmp_path / "clean", spark=spark)
    run = FinishedRun(str(tmp_path / "clean"))
    (gone,) = pq.read_table(tmp_path / "clean" / "removed")["id"].to_pylist()
    assert lines(explain(run, str(gone)))["removed"].startswith(" ".join(str(gone).split()))
    assert lines(explain(run, str(ids[2].as_py())))["stands"] == "for no removed document"


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_documents_whose_id_is_null_are_found_by_that_word(
    spark: SparkSession, tmp_path: Path, kind: pa.DataType
) -> None:
    ids = pa.array([None, 2, 3, None], pa.int64()).cast(kind)
    pq.write_table(pa.table({"id": ids, "text": [prose(n) for n in (1, 1, 2, 2)]}), tmp_path / "docs.parquet")
    deduplicate(tmp_path / "docs.parquet", SURE, output=tmp_path / "clean", spark=spark)
    run = FinishedRun(str(tmp_path / "clean"))
    assert explain(run, "null") == explain(run, "None")
    assert explain(run, "null").startswith("2 documents are named so")
    assert "None" not in explain(run, "null")
    assert re.search(r"(removed|kept) +null  \(", explain(run, "null"))


def test_a_result_on_s3_answers_too(audited_run: Audited, bucket: str) -> None:
    remote = FinishedRun(put_folder(audited_run.folder, f"{bucket}/clean"))
    local = FinishedRun(str(audited_run.folder))
    for name in ("gone-033", "large", "miss-short"):
        assert explain(remote, name) == explain(local, name)


def test_a_terminal_gets_colours_and_nothing_else_gets_an_escape(audited_run: Audited) -> None:
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "sparkprep", "explain", str(audited_run.folder), "gone-007"]
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with os.fdopen(terminal, "wb") as there:
        subprocess.run(command, stdout=there, env=environment, check=True, timeout=60)
    with os.fdopen(master, "rb", buffering=0) as reader:
        shown = reader.read(1 << 16).decode()
    assert "\x1b[31;9mchanged10\x1b[0m" in shown
    piped = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "[-changed10-]" in piped
    assert "\x1b" not in piped


def test_what_was_not_looked_at_of_long_texts_is_marked_with_how_much_it_is() -> None:
    words = " ".join(f"w{number}" for number in range(20_000))
    first, second = (Document(0, "a", None, f"{one} {words} {one} {words} {one}") for one in ("red", "green"))
    told = "\n".join(_difference(first, second, colour=False, whole=False))
    assert "[-red-] {+green+}" in told
    marked = re.search(r"… ([\d,]+) more characters of the first and ([\d,]+) of the second, not compared …", told)
    assert marked is not None
    assert all(int(each.replace(",", "")) > len(words) for each in marked.groups())
    middle = [Document(0, "a", None, f"{words} {one} {words}") for one in ("red", "green")]
    told = "\n".join(_difference(*middle, colour=False, whole=False))
    assert "[-red-] {+green+}" in told
    assert told.count("equal characters …") == 2
    assert "not compared" not in told
