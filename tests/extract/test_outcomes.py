"""What a record gives: a document of a page, whatever its server says of it, and none of what is no page."""

import gzip
import io

import brotli
import pytest
from warc_files import answer, html, record

from sparkprep.extract.main_text import page_of
from sparkprep.extract.outcomes import DAMAGED, NOT_HTML, TRUNCATED, Outcome, outcomes
from sparkprep.extract.settings import ExtractSettings

PAGE = html(1)


class Here:
    """Pages extracted in this process."""

    page_of = staticmethod(page_of)


def outcome(body: bytes, settings: ExtractSettings | None = None, **headers: str) -> Outcome:
    archive = io.BytesIO(record("response", answer(body, **headers), "https://example.org/1"))
    (found,) = outcomes(archive, "a.warc", settings or ExtractSettings(), Here())
    return found


@pytest.mark.parametrize("said", ["br", "deflate", "zstd", "gzip"])
def test_a_page_that_is_packed_otherwise_than_it_says_is_a_document(said: str) -> None:
    whole = outcome(PAGE).document
    assert whole is not None
    assert outcome(gzip.compress(PAGE), Content_Encoding=said).document == whole
    assert outcome(brotli.compress(PAGE), Content_Encoding=said).document == whole


def test_what_a_server_cut_short_is_kept_where_that_is_asked_for_whatever_it_is_said_to_be() -> None:
    cut = gzip.compress(PAGE, compresslevel=0)[:-60]
    for said in ("gzip", "br", "identity"):
        assert outcome(cut, Content_Encoding=said).reason == TRUNCATED
        kept = outcome(cut, ExtractSettings(keep_truncated=True), Content_Encoding=said).document
        assert kept is not None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (brotli.compress(PAGE * 3)[:-9], "binary, said to be text/html"),
        (b'{"a": "<p>words</p>"}', "JSON, said to be text/html"),
        (b"var x = function(){return 1;};\n" * 9, "a script, said to be text/html"),
    ],
)
def test_what_is_no_html_is_none_whatever_its_server_says(body: bytes, kind: str) -> None:
    found = outcome(body)
    assert (found.reason, found.kind) == (NOT_HTML, kind)


def test_a_page_whose_length_lies_is_damaged_and_not_too_large() -> None:
    whole = record("response", answer(PAGE), "https://example.org/1")
    length = b"Content-Length: " + str(len(answer(PAGE))).encode()
    archive = io.BytesIO(whole.replace(length, b"Content-Length: 99999999999999") + whole)
    damaged, sound = outcomes(archive, "a.warc", ExtractSettings(), Here())
    assert damaged.reason == DAMAGED
    assert damaged.rejected is not None
    assert damaged.rejected["detail"] == "its length is wrong"
    assert sound.document is not None


@pytest.mark.parametrize("kind", ["text/html, text/html", "text/html,application/pdf", "TEXT/HTML ; charset=utf-8"])
def test_of_several_types_the_first_counts(kind: str) -> None:
    assert outcome(PAGE, Content_Type=kind).document is not None
    assert outcome(PAGE, Content_Type=f"application/pdf, {kind}").reason == NOT_HTML
