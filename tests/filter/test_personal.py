"""Addresses of people: what is one, and what stands in its place."""

import pyarrow as pa
import pytest

from sparkprep.filter.cli import EPILOG
from sparkprep.filter.personal import personal_data


def replaced(text: str) -> str:
    return str(personal_data(pa.array([text]), replace=True)[0][0].as_py())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Mail jo.doe+x@mail.example.org.", "Mail email@example.com."),
        ("a@b.de,c@d.fr", "email@example.com,email@example.com"),
        ("<jo@example.org> (jo@example.org)", "<email@example.com> (email@example.com)"),
        ("@handle, jo@localhost, a @ b.org, @types/node@1.2", "@handle, jo@localhost, a @ b.org, @types/node@1.2"),
        ("8.8.8.8 and 8.8.4.4:53", "192.0.2.1 and 192.0.2.1:53"),
        ("10.0.0.1 127.0.0.1 1.2.3.4.5 999.1.1.1 v1.2.3", "10.0.0.1 127.0.0.1 1.2.3.4.5 999.1.1.1 v1.2.3"),
        ("2001:4860:4860::8888 ::1 12:30:45 std::vec::Vec", "2001:db8::1 ::1 12:30:45 std::vec::Vec"),
        ("+49 30 901820, +1 (415) 555-2671", "+1-202-555-0100, +1-202-555-0100"),
        ("(415) 555-2671 or 415-555-2671 or 415.555.2671", "+1-202-555-0100 or +1-202-555-0100 or +1-202-555-0100"),
        ("jörg.meier@firma.de, josé@example.org", "email@example.com, email@example.com"),
        ("info@müller.de иван@почта.рф: jose\u0301@x.org", "email@example.com email@example.com: email@example.com"),
        ("他的邮箱是jo@mail.org他，Пишитеjo@mail.orgи", "他的邮箱是email@example.com他，Пишитеemail@example.comи"),
        ("and so on...jo@mail.org a..b@docomo.ne.jp", "and so on...email@example.com email@example.com"),
        ("=" * 99 + "jo@mail.org", "=" * 99 + "email@example.com"),
        ("a" * 65 + "@mail.org 用户@例子.公司", "a" * 65 + "@mail.org 用户@例子.公司"),
        ("logo@2x.png a@1.2.js jo@mail.org2", "logo@2x.png a@1.2.js jo@mail.org2"),
        ("Ada::Cafe face::b00c Dead::Beef fe80::1", "Ada::Cafe face::b00c Dead::Beef fe80::1"),
        ("2620:fe::fe [2001:4860:4860::8888]:53", "2001:db8::1 [2001:db8::1]:53"),
        ("8.8.8.8.example.com v8.8.8.8 8.8.8.8a", "8.8.8.8.example.com v8.8.8.8 8.8.8.8a"),
        ("地址8.8.8.8他 8.8.8.8. Then 8.8.4.4/24", "地址192.0.2.1他 192.0.2.1. Then 192.0.2.1/24"),
        ("224.0.0.1 is as FineWeb has it", "192.0.2.1 is as FineWeb has it"),
        ("+3.14159265 +1.41421356 +27.1828182", "+3.14159265 +1.41421356 +27.1828182"),
        ("+20000000 units, +15000000, +48.8566140+002.3522190", "+20000000 units, +15000000, +48.8566140+002.3522190"),
        ("+49.30901820 +4930901820 +14155552671", "+1-202-555-0100 +1-202-555-0100 +1-202-555-0100"),
        ("+39 06 1234567 +390612345678 +86 138 0013 8000", "+1-202-555-0100 +1-202-555-0100 +1-202-555-0100"),
        ("+1 415 555 2671 2024 +7 (495) 123-45-67", "+1-202-555-0100 2024 +1-202-555-0100"),
        ("2024-05-18 12345-6789 1,415,555 +5 123-456-7890-1", "2024-05-18 12345-6789 1,415,555 +5 123-456-7890-1"),
    ],
)
def test_an_address_is_replaced_by_one_of_nobody_and_nothing_else_is(text: str, left: str) -> None:
    assert replaced(text) == left


def test_what_is_found_is_counted_by_kind_and_a_text_once() -> None:
    texts = pa.array(["a@b.de c@d.fr 8.8.8.8", None, "", "+49 30 901820"])
    same, counts, found = personal_data(texts, replace=False)
    assert same.equals(texts)
    assert (dict(counts), found) == ({"email": 2, "ip": 1, "phone": 1}, 2)


@pytest.mark.parametrize(
    "text",
    [
        "a@" * 200_000, "1." * 400_000, "a-" * 300_000 + "@x", ":" * 500_000, "1" * 500_000, "é" * 500_000 + "@é",
        "@" + "é." * 200_000, "@é-" * 150_000, "2001:" * 100_000, "+1 " * 200_000, "+49 30" * 99_000,
    ],
)  # fmt: skip
def test_a_long_text_of_half_an_address_is_looked_through_once(text: str) -> None:
    """Were it looked through from each of its places, it would take hours."""
    assert replaced(text) == text


def test_what_was_replaced_is_not_counted_again() -> None:
    text = "jo@example.org 8.8.8.8 2001:4860:4860::8888 (415) 555-2671"
    once = personal_data(pa.array([text]), replace=True)[0]
    again, counts, found = personal_data(once, replace=True)
    assert again.equals(once)
    assert (counts.total(), found) == (0, 0)


def test_the_help_says_what_becomes_of_its_examples() -> None:
    told = " ".join(EPILOG.partition("--personal goes by form")[2].split())
    for example, becomes in (
        *((address, "email@example.com") for address in ("jo.doe@mail.example.org", "jörg@müller.de", "иван@почта.рф")),
        *((address, "192.0.2.1") for address in ("8.8.8.8", "224.0.0.1", "4.3.2.1")),
        ("2a00:1450:4001::200e", "2001:db8::1"),
        *((number, "+1-202-555-0100") for number in ("+49 30 901820", "(415) 555-2671", "1-800-356-9377")),
    ):
        assert replaced(example) == becomes
        assert example in told
        assert becomes in told
    for stays in (
        *("10.0.0.7", "192.168.1.1", "127.0.0.1", "1.2.3.4.5", "8.8.8.8.example.com", "v4.3.2.1", "Ada::Cafe"),
        *("030 901820", "4155552671", "+3.14159265", "+20000000", "logo@2x.png"),
    ):
        assert replaced(stays) == stays
        assert stays in told
