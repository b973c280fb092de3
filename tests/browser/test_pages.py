"""The report and `sparkprep browse` in a real browser: nothing overlaps or runs out of the page, all links lead on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from audited import LARGE, Audited
from laid_out import laid_out_well
from pyspark.sql import SparkSession
from warc_files import answer, archive, record, responses

from sparkprep import extract_documents
from sparkprep.dedup.audit.finished import FinishedRun
from sparkprep.dedup.audit.index import Index
from sparkprep.dedup.audit.pages import Pages
from sparkprep.dedup.audit.server import LocalServer
from sparkprep.sample import embedded, write_archives

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def expect() -> Callable[..., Any]:
    """Playwright's own, which waits for what is expected."""
    from playwright.sync_api import expect

    return expect


@pytest.fixture(scope="module")
def address(audited_run: Audited) -> Iterator[str]:
    """Where the pages of `browse` are."""
    finished = FinishedRun(str(audited_run.folder))
    with Index(finished) as index, LocalServer(Pages(finished, index).page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


def test_the_report_is_laid_out_well_and_runs_nothing(
    page: Page, audited_run: Audited, expect: Callable[..., Any]
) -> None:
    page.goto(f"file://{audited_run.folder}/report.html")
    laid_out_well(page)
    assert page.title() == "Near-duplicate removal: report"
    for question in ("Is the threshold right?", "Why was this removed?", "Which sources lose?"):
        page.get_by_role("link", name=question).click()
        expect(page.get_by_role("heading", name=question)).to_be_in_viewport()


def test_the_report_is_laid_out_well_in_the_dark(page: Page, audited_run: Audited) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"file://{audited_run.folder}/report.html")
    laid_out_well(page)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 23, 28)"


def test_documents_are_searched_sorted_and_looked_at(page: Page, address: str, expect: Callable[..., Any]) -> None:
    page.goto(address)
    laid_out_well(page)
    page.get_by_label("Identifier or source").fill("gone-01")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("article.row")).to_have_count(10)
    page.get_by_role("link", name="most similar").click()
    expect(page.locator("article.row")).to_have_count(10)
    similarities = [float(text) for text in page.locator("article.row > a").all_text_contents()]
    assert similarities == sorted(similarities, reverse=True)
    page.locator("article.row > a").first.click()
    expect(page.get_by_role("heading", name="Removed", exact=True)).to_be_visible()
    assert page.locator("del").count() > 1
    laid_out_well(page)


def test_clusters_are_paged_through(page: Page, address: str, expect: Callable[..., Any]) -> None:
    page.goto(address)
    page.get_by_role("link", name="Clusters").click()
    laid_out_well(page)
    page.locator("article.row > a").first.click()
    expect(page.get_by_role("heading", name=f"A cluster of {LARGE + 1}")).to_be_visible()
    laid_out_well(page)
    first = page.locator("article.item").count()
    page.get_by_role("link", name="next").click()
    expect(page.locator("article.item")).to_have_count(LARGE + 2 - first)
    page.get_by_role("link", name="before").click()
    expect(page.locator("article.item")).to_have_count(first)


def test_texts_are_searched_and_hostile_ones_do_nothing(page: Page, address: str, expect: Callable[..., Any]) -> None:
    page.goto(address)
    page.get_by_label("Words in a removed text").fill("{{ 7 * 7 }}")
    page.get_by_role("button", name="Search all texts").click()
    expect(page.locator("article.row")).to_have_count(1)
    page.locator("article.row > a").first.click()
    expect(page.get_by_role("heading", name="Removed", exact=True)).to_be_visible()
    assert page.title() == "sparkprep browse"
    expect(page.get_by_text("{{ 7 * 7 }}").first).to_be_visible()
    laid_out_well(page)


@pytest.fixture(scope="module")
def extracted(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on the sample's archives, and one that is damaged and holds a record with long names."""
    folder = tmp_path_factory.mktemp("in")
    write_archives(embedded("1k"), folder)
    long = "a-rather-long-name" * 9
    gone = record("response", answer(b"", Content_Type=f"application/{long}"), f"https://{long[:60]}.example/{long}")
    (folder / "damaged.warc.gz").write_bytes(archive([gone, *responses(2)]) + b"no record of anything" * 9)
    return extract_documents(folder, spark=spark).report


def test_the_report_of_an_extraction_is_laid_out_well(page: Page, extracted: str, expect: Callable[..., Any]) -> None:
    page.goto(f"file://{extracted}")
    laid_out_well(page)
    for question in ("What was lost, and why?", "Damage", "From where?", "Is the text clean?"):
        page.get_by_role("link", name=question).click()
        expect(page.get_by_role("heading", name=question)).to_be_in_viewport()
    for number in range(page.locator("details").count()):
        page.locator("details").nth(number).evaluate("each => each.open = true")
    laid_out_well(page)
    assert page.locator(".page:visible").count() >= 10
