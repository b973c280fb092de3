"""`sparkprep browse`: every decision is on a page, found by its names and words, and nobody else can read it."""

import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlsplit

import pytest
from audited import FAMILIES, HOSTILE_ID, LARGE, Audited

from sparkprep.dedup.audit.finished import FinishedRun
from sparkprep.dedup.audit.index import ORDERS, Index
from sparkprep.dedup.audit.pages import NotThere, Pages
from sparkprep.dedup.audit.server import LocalServer

REMOVED = FAMILIES + LARGE + 1


@pytest.fixture(scope="module")
def index(audited_run: Audited) -> Iterator[Index]:
    with Index(FinishedRun(str(audited_run.folder))) as made:
        yield made


@pytest.fixture(scope="module")
def pages(audited_run: Audited, index: Index) -> Pages:
    return Pages(FinishedRun(str(audited_run.folder)), index)


def ids(html: str) -> list[str]:
    """The first identifier of each row of a list."""
    return re.findall(r'<article class="row">.*?<bdi class="id">(.*?)</bdi>', html, re.DOTALL)


def followed(pages: Pages, address: str) -> list[str]:
    """The HTML of a list, page after page, as its links lead."""
    found = []
    while address:
        found.append(pages.page(address))
        after = re.search(r'rel="next" href="([^"]*)"', found[-1])
        address = f"/{unescape(after[1])}" if after else ""
    return found


@pytest.mark.parametrize("order", ORDERS)
def test_paging_leads_through_every_removed_document_once(pages: Pages, order: str) -> None:
    found = followed(pages, f"/pairs?order={order}")
    assert len(found) == 3
    names = [name for html in found for name in ids(html)]
    assert len(names) == len(set(names)) == REMOVED


def test_they_come_sorted_by_similarity(index: Index) -> None:
    least, most = (index.links("removed", order, "", 0, 1000)[1] for order in ("least", "most"))
    similarities = [listed.link.jaccard for listed in least]
    assert similarities == sorted(similarities)
    assert similarities[::-1] == [listed.link.jaccard for listed in most]
    places = [listed.link.row for listed in index.links("removed", "input", "", 0, 1000)[1]]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("kind", "number"), [("near", FAMILIES + 1), ("exact", LARGE), ("miss", 1), ("removed", REMOVED)]
)
def test_each_list_holds_its_kind(index: Index, kind: str, number: int) -> None:
    assert index.links(kind, "least", "", 0, 10)[0] == number


@pytest.mark.parametrize(
    ("search", "number"),
    [
        ("gone-00", 10),
        ("GONE-00", 10),
        ("kept-003", 1),  # the kept one's name
        ("copies.example/1", 11),  # a source
        ("site1.example", 23),  # the kept one's source
        ("%", 1),
        ("50%_off", 1),
        ("g_ne", 0),
        ("' OR 1 = 1 --", 0),
        ("nothing", 0),
    ],
)
def test_a_search_finds_what_identifiers_and_sources_contain_and_nothing_else(
    index: Index, search: str, number: int
) -> None:
    total, rows = index.links("removed", "least", search, 0, 1000)
    assert total == len(rows) == number


def test_the_texts_of_removed_documents_are_searched(pages: Pages, audited_run: Audited) -> None:
    html = pages.page("/texts?words=changed10")
    expected = [row["id"] for row in audited_run.rows if "changed10" in row["text"] and row["id"].startswith("gone")]
    assert ids(html) == expected
    assert f"{len(expected)} removed documents hold" in " ".join(html.split())
    assert "0 removed documents hold" in " ".join(pages.page("/texts?words=%3Cnothing%3E").split())


def test_clusters_come_largest_first_and_lead_to_all_their_members(pages: Pages, audited_run: Audited) -> None:
    first = pages.page("/clusters")
    assert ids(first)[0] == "large"
    assert f">{LARGE + 1}</a>" in first
    found = followed(pages, f"/cluster?kept={audited_run.place('large')}")
    names = re.findall(r'<article class="item"><header><bdi class="id">(.*?)</bdi>', "".join(found))
    assert {name for name in names if name != "large"} == {f"copy-{n:02d}" for n in range(LARGE)}


def test_a_pair_shows_both_texts_whole_and_their_difference(pages: Pages, audited_run: Audited) -> None:
    row, kept = audited_run.place("gone-012"), audited_run.place("kept-012")
    html = pages.page(f"/pair?row={row}&kept={kept}")
    assert audited_run.rows[row]["text"] in html
    assert audited_run.rows[kept]["text"] in html
    assert "<del>changed15</del>" in html


def test_hostile_text_is_shown_and_never_obeyed(pages: Pages, audited_run: Audited) -> None:
    row = audited_run.place(HOSTILE_ID)
    kept = audited_run.place("50%_off")
    for address in ("/pairs?order=most&search=hostile", f"/pair?row={row}&kept={kept}", f"/cluster?kept={kept}"):
        html = pages.page(address)
        assert "<script" not in html
        assert "<img" not in html
        assert not {"\x1b", "\u202e"} & set(html)
        assert "&lt;script&gt;" in html
    html = pages.page("/pairs?search=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script" not in html


@pytest.mark.parametrize(
    "address",
    [
        "/other",
        "/pairs?kind=all",
        "/pairs?order=id",
        "/pairs?page=-1",
        "/pairs?page=99999",
        "/pairs?kind=near&search=nothing&page=1",
        "/clusters?page=99999",
        "/clusters?page=999999999999999999",
        "/pair?row=0&kept=0",
        "/pair",
        "/cluster?kept=999999",
        "/../pairs",
        "/pair?row=99999999999999999999&kept=0",
    ],
)
def test_an_address_of_nothing_is_not_there(pages: Pages, address: str) -> None:
    with pytest.raises(NotThere):
        pages.page(address)


@pytest.mark.parametrize("path", ["/pairs?kind=exact", "/clusters?", "/cluster?kept={large}"])
def test_the_page_behind_the_last_of_a_list_is_not_there(pages: Pages, audited_run: Audited, path: str) -> None:
    address = path.format(large=audited_run.place("large"))
    behind = len(followed(pages, address))
    with pytest.raises(NotThere):
        pages.page(f"{address}&page={behind}")


def ask(url: str, path: str | None = None, host: str | None = None) -> tuple[int, dict[str, str]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("GET", parts.path if path is None else path, headers={"Host": host or parts.netloc})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders())


def test_the_server_answers_its_own_address_only(pages: Pages) -> None:
    with LocalServer(pages.page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, headers = ask(server.url)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert ask(server.url, path="/")[0] == 403
        assert ask(server.url, path="/" + "a" * 22 + "/")[0] == 403
        assert ask(server.url, host=f"evil.example:{server.server_port}")[0] == 403
        assert ask(server.url, host=f"localhost:{server.server_port}")[0] == 200
        server.shutdown()


def test_the_command_prints_an_address_that_answers_and_ends_with_ctrl_c(audited_run: Audited) -> None:
    command = [sys.executable, "-m", "sparkprep", "browse", str(audited_run.folder), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = iter(process.stdout.readline, "")
        url = next(found[0] for line in said if (found := re.search(r"http://\S+", line)))
        assert ask(url)[0] == 200
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "interrupted\n")
