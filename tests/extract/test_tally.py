"""What is counted of records: the same however they are shared out, and small whatever they hold."""

from collections.abc import Iterator
from typing import Any

import pytest

from sparkprep.extract import tally as counting
from sparkprep.extract.outcomes import DAMAGED, EMPTY, NO_PAGE, NOT_HTML, NOT_OK, Outcome
from sparkprep.extract.report.examples import Examples
from sparkprep.extract.tally import OTHERS, Tally


def page(number: int, text: str = "", **fields: Any) -> Outcome:
    url = f"https://host{number % 7}.example/{number}"
    document = {
        "url": url, "text": text or f"text {number} " * (number % 40 + 1), "title": None,
        "language": ["en", "de", "fr"][number % 3], "archive": "a", "offset": number, "payload_bytes": 900,
    } | fields  # fmt: skip
    return Outcome(document, url=url, charset="utf-8", language=document["language"])


def records() -> list[Outcome]:
    lost = {"archive": "a", "offset": 0, "bytes": 11, "url": None, "reason": DAMAGED, "detail": "cut"}
    others = [
        Outcome(reason=NO_PAGE, url="https://x.example/", kind="request"),
        Outcome(reason=NOT_OK, url="https://host1.example/gone", kind="404"),
        Outcome(reason=NOT_OK, url="https://host1.example/moved", kind="301"),
        Outcome(reason=EMPTY, url="https://host2.example/"),
        Outcome(reason=DAMAGED, rejected=lost),
    ]
    return [*map(page, range(200)), *others]


def added(outcomes: list[Outcome]) -> tuple[Tally, Examples]:
    tally, examples = Tally(), Examples()
    for outcome in outcomes:
        tally.add(outcome)
        examples.add(outcome)
    return tally, examples


@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_records_may_be_shared_out_in_any_way(pieces: int) -> None:
    whole, shown = added(records())
    tally, examples = Tally(), Examples()
    for number in reversed(range(pieces)):
        part, of_part = added(records()[number::pieces])
        tally.merge(part)
        examples.merge(of_part)
    assert (tally, tally.figures()) == (whole, whole.figures())
    assert examples.rows() == shown.rows()


def test_each_record_counts_once_and_for_its_host() -> None:
    tally, _ = added(records())
    figures = tally.figures()
    assert (tally.records, tally.documents, figures["lost_bytes"]) == (205, 200, 11)
    assert figures["kinds"] == {NO_PAGE: {"request": 1}, NOT_OK: {"301": 1, "404": 1}}
    assert sum(figures["lengths"]["counts"]) == sum(figures["yields"]["counts"]) == 200
    assert figures["languages"] == {"en": 67, "de": 67, "fr": 66}
    losing = figures["hosts"]["losing"][0]
    assert (losing["host"], losing["records"], losing["documents"]) == ("host1.example", 31, 29)
    assert losing["reasons"] == {NOT_OK: 2}
    assert all(sum(row["reasons"].values()) == row["records"] - row["documents"] for row in figures["hosts"]["largest"])
    assert {row["host"] for row in figures["hosts"]["largest"]} == {f"host{n}.example" for n in range(7)}


def test_a_document_with_characters_that_could_not_be_read_is_counted_and_shown() -> None:
    tally, examples = added([page(1), page(2, "a \ufffd b \ufffd"), page(3, "\ufffd")])
    assert tally.unreadable == 2
    assert [row["text"] for row in examples.rows()["documents"]["unreadable"]] == ["a \ufffd b \ufffd", "\ufffd"]


def test_a_page_of_little_text_for_its_size_is_shown() -> None:
    _, examples = added([page(1, "x" * 90, payload_bytes=9_000), page(2, "y" * 20, payload_bytes=8_000), page(3)])
    assert [row["text"][0] for row in examples.rows()["documents"]["least"]] == ["y", "x"]


def many(count: int) -> Iterator[Outcome]:
    for number in range(count):
        yield Outcome(reason=NOT_HTML, url=f"https://h{number}.example/", kind=f"made/up-{number}" * 50)
    yield from (Outcome(reason=NOT_HTML, url="https://often.example/", kind="image/png") for _ in range(3))


def test_what_strangers_write_into_headers_and_addresses_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MOST_HOSTS", 100)
    monkeypatch.setattr(counting, "_MOST_VALUES", 50)
    tally, examples = added(list(many(1_000)))
    assert (len(tally.hosts) <= 100, tally.has_all_hosts) == (True, False)
    assert len(tally.kinds) <= 51
    figures = tally.figures()
    assert sum(figures["kinds"][NOT_HTML].values()) == 1_003
    assert OTHERS in figures["kinds"][NOT_HTML]
    assert figures["hosts"]["largest"][0]["host"] == "often.example"
    assert max(len(row["kind"]) for row in examples.rows()["reasons"][NOT_HTML]) <= 80
