"""`sparkprep explain` of an extraction: where a page went, by its address."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from remote import put_folder
from warc_files import answer, archive, html, record, responses

from sparkprep import UserError, extract_documents
from sparkprep.cli import main
from sparkprep.extract.explain import ExtractedRun, explain_id, explain_url, variants_of

MOVED = record(
    "response", answer(b"", "301 Moved", Location="https://example.org/1\x1b[31m"), "https://example.org/old"
)
LARGE = record("response", answer(b"x" * 300_000), "https://example.org/large")
BAD_HEAD = gzip.compress(record("response", answer(html(9)), "https://example.org/torn"))


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("explained")
    asked = record("request", b"GET / HTTP/1.1", "https://example.org/asked")
    (place / "a.warc.gz").write_bytes(archive([*responses(3), MOVED, asked, LARGE]) + BAD_HEAD[:-40] + bytes(40))
    (place / "b.warc.gz").write_bytes(archive(responses(1)))
    extract_documents([place / "a.warc.gz", place / "b.warc.gz"], output=place / "out", spark=spark, max_bytes=100_000)
    return place / "out"


def lines(text: str) -> dict[str, str]:
    return {words[0]: " ".join(words[1:]) for line in text.splitlines() if (words := line.split())}


def test_a_page_that_became_a_document_tells_its_id_archive_offset_language_and_where_it_lies(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offset = len(archive(responses(1)))
    assert main(["explain", str(folder), "https://example.org/1"]) == 0
    told = lines(capsys.readouterr().out)
    assert told["kept"].startswith("1 https://example.org/1 (")
    assert told["archive"] == f"{folder.parent}/a.warc.gz, offset {offset}, {len(html(1))} bytes of page"
    assert told["language"] == "en with a score of 1.00, declared as en"
    assert told["lies"] == f"in {folder}/documents/part-00000.snappy.parquet, row 1"
    assert told["text"].startswith("This is the paragraph of page number 1,")
    assert explain_id(ExtractedRun(str(folder)), "1", whole=True).count("for what the page says.") == 3


def test_a_page_that_became_none_tells_the_reason_and_what_there_is_to_tell(folder: Path) -> None:
    run = ExtractedRun(str(folder))
    told = explain_url(run, "https://example.org/old")
    assert lines(told)["skipped"] == "https://example.org/old"
    assert "not status 200: 301, to https://example.org/1\\x1b[31m (redirects, " in told
    assert "too large" in explain_url(run, "https://example.org/large")


def test_a_page_in_several_archives_tells_of_each(folder: Path) -> None:
    told = explain_url(ExtractedRun(str(folder)), "https://example.org/0")
    assert told.startswith("2 records have it:")
    assert [f"{name}.warc.gz, offset 0" in told for name in "ab"] == [True, True]


def test_an_address_written_otherwise_is_found_and_one_that_is_not_there_is_said_to_be_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(folder), "--url", "example.org/old/"]) == 2
    assert "has the URL 'example.org/old/'; there is https://example.org/old" in capsys.readouterr().err
    run = ExtractedRun(str(folder))
    with pytest.raises(UserError, match="it is not in them, or only as a request or a revisit"):
        explain_url(run, "https://example.org/asked")
    with pytest.raises(UserError, match=r"no document there is named '77' .* ask by URL"):
        explain_id(run, "77")
    assert {"http://www.a.org/x/", "https://a.org/x", "https://a.org/x#y"} <= variants_of("https://a.org/x#y")
    assert variants_of("http://[") == {"http://["}


def test_a_result_on_s3_and_one_of_an_earlier_version_answer_too(folder: Path, bucket: str, tmp_path: Path) -> None:
    remote = explain_url(ExtractedRun(put_folder(folder, f"{bucket}/pages")), "https://example.org/old")
    assert remote == explain_url(ExtractedRun(str(folder)), "https://example.org/old")
    shutil.copytree(folder, tmp_path / "old")
    shutil.rmtree(tmp_path / "old" / "skipped")
    metrics = json.loads((tmp_path / "old" / "metrics.json").read_text())
    del metrics["parts"]["skipped"]
    (tmp_path / "old" / "metrics.json").write_text(json.dumps(metrics))
    old = ExtractedRun(str(tmp_path / "old"))
    assert explain_id(old, "2").startswith("  kept       2")
    with pytest.raises(UserError, match="an earlier version did not name others"):
        explain_url(old, "https://example.org/old")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain", "OUT"], "name one document, by its ID or by --url"),
        (["explain", "OUT", "1", "--url", "x"], "name one document"),
        (
            ["explain", "OUT/none", "1"],
            "no such folder; name the output folder of a finished extract, filter, dedup or decontaminate",
        ),
        (["browse", "OUT"], "a result of `extract`, not of `dedup`; name the output folder of a finished dedup"),
        (["explain", "OUT/documents", "1"], "it holds no metrics.json, so it is no finished result"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([word.replace("OUT", str(folder)) for word in words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
