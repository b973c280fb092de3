"""What recurs on most pages of a host goes from their texts, is counted and shown; nothing else does."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from warc_files import answer, archive, html, record

from sparkprep.errors import UserError
from sparkprep.extract import site_blocks
from sparkprep.extract.outcomes import DOCUMENTS_SCHEMA, EMPTY, SITE_BOILERPLATE, Outcome
from sparkprep.extract.pipeline import extract
from sparkprep.extract.settings import ExtractSettings
from sparkprep.extract.site_blocks import SiteBlocks, host_of

NOTICE = "Subscribe to our weekly letter, so that you never miss what we write here."
OWN = "Paragraph {} says what no other page of this site has to say, and says it at some length."


def document(url: str, text: str) -> Outcome:
    row = dict.fromkeys(DOCUMENTS_SCHEMA.names) | {"url": url, "text": text, "language": "en", "offset": 0}
    return Outcome(row, url=url, language="en", charset="cp1252")


def texts_of(documents: list[Outcome], least: int = 3, share: float = 0.5) -> list[str | None]:
    """The texts that are left, None for a document that is not."""
    outcomes = list(SiteBlocks(least, share).without(documents))
    assert all(outcome.document or outcome.reason == SITE_BOILERPLATE for outcome in outcomes)
    return [str(outcome.document["text"]) if outcome.document else None for outcome in outcomes]


def site(count: int, *blocks: str, host: str = "a.org", separator: str = "\n\n") -> list[Outcome]:
    """So many pages of a host: a paragraph of their own each, and these blocks."""
    return [document(f"https://{host}/{n}", separator.join([OWN.format(n), *blocks])) for n in range(count)]


@pytest.mark.parametrize("separator", ["\n\n", "\n"])
def test_what_recurs_goes_and_what_is_a_pages_own_stays(separator: str) -> None:
    assert texts_of(site(4, NOTICE, "Twice", "Twice", separator=separator)) == [OWN.format(n) for n in range(4)]


def test_a_host_is_counted_by_itself_and_needs_enough_pages() -> None:
    pages = [*site(4, NOTICE), *site(2, NOTICE, host="b.org"), document("", NOTICE), document("http://[", NOTICE)]
    assert texts_of(pages) == [OWN.format(n) for n in range(4)] + [f"{OWN.format(n)}\n\n{NOTICE}" for n in range(2)] + [
        NOTICE,
        NOTICE,
    ]


@pytest.mark.parametrize(("share", "is_gone"), [(0.4, True), (0.5, False)])
def test_a_block_must_be_on_its_share_of_the_pages(share: float, is_gone: bool) -> None:
    pages = [*site(4, NOTICE), *[document(f"https://a.org/x{n}", OWN.format(100 + n)) for n in range(6)]]
    assert (texts_of(pages, share=share)[0] == OWN.format(0)) == is_gone


def test_copies_of_a_page_count_once_and_stay() -> None:
    assert texts_of([document(f"https://a.org/?session={n}", OWN) for n in range(20)]) == [OWN] * 20


def test_lines_without_a_letter_and_lines_of_paragraphs_stay() -> None:
    code = "for n in range(3):\n    if n:\n        break"
    pages = [document(f"https://a.org/{n}", f"{OWN.format(n)}\n\n}}\n\n***\n\nx{n}\n{code}") for n in range(9)]
    assert texts_of(pages) == [page.document["text"] for page in pages if page.document]


def test_a_page_of_boilerplate_alone_is_counted_and_others_pass_as_they_are() -> None:
    pages = [*site(4, NOTICE), document("https://a.org/empty", NOTICE), Outcome(reason=EMPTY)]
    sites = SiteBlocks(3, 0.5)
    outcomes = list(sites.without(pages))
    assert Counter(outcome.reason for outcome in outcomes) == {"": 4, EMPTY: 1, SITE_BOILERPLATE: 1}
    removed = sites.removed()
    assert (removed.hosts, removed.pages, removed.blocks, removed.bytes) == (1, 5, 5, 5 * len(NOTICE))
    assert removed.by_host[0]["sample"] == [{"text": NOTICE, "pages": 5}]


def test_what_else_is_known_of_a_document_stays() -> None:
    pages = [*site(4, NOTICE), document("https://a.org/empty", NOTICE)]
    told = [(outcome.url, outcome.language, outcome.charset) for outcome in SiteBlocks(3, 0.5).without(pages)]
    assert told == [(page.url, "en", "cp1252") for page in pages]
    assert list(SiteBlocks(10, 0.5).without(pages)) == pages


def expected(documents: list[Outcome], least: int, share: float) -> list[str]:
    """The same by sets and loops, for pages of paragraphs alone."""
    pages: dict[str, set[str]] = {}
    rows = [(host_of(str(each.document["url"])), str(each.document["text"])) for each in documents if each.document]
    for host, text in rows:
        pages.setdefault(host, set()).add(text)
    texts = []
    for host, text in rows:
        counts = Counter(block for page in pages[host] for block in set(page.split("\n\n")))
        most = max(least, share * len(pages[host]))
        texts.append("\n\n".join(block for block in text.split("\n\n") if counts[block] < most))
    return texts


def random_pages(count: int) -> list[Outcome]:
    random_ = random.Random(count)
    blocks = [f"block {'of text ' * (n % 5)} {n}" for n in range(40)]
    return [
        document(
            f"https://{random_.choice('abcdefgh')}.org/{n}",
            "\n\n".join([f"own {n}", *random_.choices(blocks, [2**-k for k in range(40)], k=random_.randrange(1, 12))]),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize(("least", "share"), [(2, 0.1), (5, 0.3), (3, 0.9)])
def test_it_is_what_counting_by_sets_gives(least: int, share: float) -> None:
    pages = random_pages(600)
    assert texts_of(pages, least, share) == expected(pages, least, share)


def test_more_blocks_than_are_counted_cost_those_seen_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_blocks, "MOST_COUNTED", 64)
    sites = SiteBlocks(20, 0.3)
    pages = site(500, NOTICE)
    assert [outcome.document["text"] for outcome in sites.without(pages) if outcome.document] == [
        OWN.format(n) for n in range(500)
    ]
    assert sites.removed().forgotten > 300
    assert len(sites._counts._keys) <= 64


def test_a_disk_without_room_is_told_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/nowhere/at/all")
    with pytest.raises(UserError, match=r"/nowhere/at/all: documents that wait .* spark\.local\.dir"):
        texts_of(site(2))


def job(spark: SparkSession, folder: Path, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    """Extract twelve pages of a site and twelve texts of another; return metrics and texts."""
    own = [f"<p>{OWN.format(n) * 3}</p>" for n in range(12)]
    records = [
        record("response", answer(html(n, f"{text}<p>{NOTICE * 2}</p>")), f"https://a.org/{n}")
        for n, text in enumerate(own)
    ]
    records += [record("conversion", f"Menu of b\n{OWN.format(n)}".encode(), f"https://b.org/{n}") for n in range(12)]
    (folder / "a.warc.gz").write_bytes(archive([*records, record("warcinfo", b"x")]))
    metrics = extract(spark, [str(folder / "a.warc.gz")], str(folder / "out"), ExtractSettings(**settings))
    return metrics, pq.read_table(folder / "out" / "documents")["text"].to_pylist()


def test_texts_lose_it_where_that_is_asked_for_and_the_metrics_show_what(spark: SparkSession, tmp_path: Path) -> None:
    metrics, texts = job(spark, tmp_path, site_boilerplate="remove")
    assert texts == [(OWN.format(n) * 3) for n in range(12)] + [OWN.format(n) for n in range(12)]
    removed = metrics["site_boilerplate"]
    assert (removed["hosts"], removed["pages"], removed["blocks"], removed["forgotten"]) == (2, 24, 24, 0)
    assert {(host["host"], host["sample"][0]["text"]) for host in removed["by_host"]} == {
        ("a.org", (NOTICE * 2)[:200]),
        ("b.org", "Menu of b"),
    }
    assert metrics["records"] == metrics["documents"] + sum(metrics["without_document"].values()) == 25


def test_texts_stay_whole_by_default(spark: SparkSession, tmp_path: Path) -> None:
    metrics, texts = job(spark, tmp_path)
    assert all(NOTICE in text or text.startswith("Menu of b") for text in texts)
    assert metrics["site_boilerplate"]["blocks"] == 0
