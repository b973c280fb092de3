"""The report of an extraction: what was lost and why, texts beside their addresses, nothing hostile alive in it."""

import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from warc_files import answer, archive, html, record, responses

from sparkprep import ExtractResult, ExtractSettings, UserError, deduplicate, extract_documents
from sparkprep.cli import parse
from sparkprep.options import from_arguments
from sparkprep.pages.environment import visible

HOSTILE = "<script>alert(1)</script>\u202e{{ 7*7 }}"
BAD = record("response", answer(b"x", "404 Not Found"), f"https://h.example/{HOSTILE}")
TYPE = record("response", answer(b"x", Content_Type=f"a/{HOSTILE}"), "https://h.example/type")
PAGE = html(0, "It says &lt;script&gt;alert(1)&lt;/script&gt; " * 9).replace(b"Page 0", b"&lt;b&gt;T&lt;/b&gt;")


class Seen(HTMLParser):
    """The elements and attributes that a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")


@pytest.fixture(scope="module")
def result(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> ExtractResult:
    folder = tmp_path_factory.mktemp("in")
    records = [*responses(30), BAD, TYPE, record("response", answer(PAGE), f"https://x.example/{HOSTILE}")]
    (folder / "a.warc.gz").write_bytes(archive(records))
    (folder / "b.warc.gz").write_bytes(archive(responses(2)) + b"no record of anything" * 9)
    return extract_documents(folder, spark=spark)


@pytest.fixture(scope="module")
def page(result: ExtractResult) -> str:
    return Path(result.report).read_text(encoding="utf-8")


def test_it_tells_what_was_lost_with_the_reason_its_kinds_and_addresses(page: str) -> None:
    assert "redirects, and pages that were not there" in page
    assert '<bdi class="id">404</bdi> 1' in page
    assert f'<bdi class="id">{visible(f"https://h.example/{HOSTILE}")}</bdi>' in page
    assert "33 documents + 3 records without one = 36" in page
    assert "✓ equals the records" in page


def test_it_names_damaged_places_and_archives(page: str) -> None:
    assert "b.warc.gz</bdi> <span" in page
    assert "damaged in 1 place" in page


def test_it_shows_texts_beside_their_addresses(page: str) -> None:
    for title in ("Drawn at random", "The shortest texts"):
        assert f"<h3>{title}</h3>" in page
    assert page.count('aria-label="Text of the page"') == 15
    assert "This is the paragraph of page number" in page


def test_nothing_of_a_strangers_is_alive_in_it_and_nothing_is_asked_of_a_network(page: str) -> None:
    seen = Seen(page)
    assert not {"script", "img", "link", "iframe", "b>t"} & set(seen.elements)
    assert {href for href in seen.attributes["href"] if not href.startswith("#")} == set()
    assert "{{ 7*7 }}" in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page


def test_the_result_shows_itself_and_its_documents(result: ExtractResult) -> None:
    assert "records    36: 33 documents; 1 not status 200, 1 not HTML, 1 damaged" in repr(result)
    assert "report.html" in result._repr_html_()
    assert result.documents.count() == 33
    assert [row.reason for row in result.rejected.collect()] == ["damaged"]
    assert ExtractResult.open(result.output, result.spark).metrics == result.metrics


def test_the_next_step_takes_what_extraction_returns(result: ExtractResult) -> None:
    clean = deduplicate(result, spark=result.spark)
    assert clean.metrics["counts"]["input"] == 33
    assert clean.kept.columns == result.documents.columns


def test_the_command_of_a_report_gives_the_same_settings_again(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a b.warc").write_bytes(b"".join(responses(3)))
    asked = {"language": "en,de", "keep_truncated": True, "max_seconds": 5.0}
    found = extract_documents(tmp_path / "a b.warc", spark=spark, **asked)
    _, verb, *words = shlex.split(found.metrics["command"])
    again = from_arguments(ExtractSettings, parse([verb, *words]))
    assert again == ExtractSettings(**asked)
    assert words[words.index("--input") + 1] == str(tmp_path / "a b.warc")


def test_without_a_document_there_is_a_page_all_the_same(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(BAD)
    empty = extract_documents(tmp_path, spark=spark)
    text = Path(empty.report).read_text(encoding="utf-8")
    assert "There is no document." in text
    assert empty.documents.count() == 0


@pytest.mark.parametrize(
    ("source", "keywords", "said"),
    [
        (3, {}, "source takes the path or paths of archives, not a int"),
        ("", {}, "source: an empty value was given"),
        ([], {}, "no input was given"),
        ("x.warc", {"extracter": "all"}, "extracter"),
        ("x.warc", {"max_seconds": 0}, "max_seconds"),
    ],
)
def test_what_cannot_work_is_refused_by_the_name_of_the_argument(
    spark: SparkSession, source: object, keywords: dict[str, object], said: str
) -> None:
    with pytest.raises((UserError, TypeError), match=said):
        extract_documents(source, spark=spark, **keywords)  # type: ignore[arg-type]
