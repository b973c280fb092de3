"""Marks of footnotes and links to edit a section, which are no words of a text."""

import time

import pytest
from articles import between

from sparkprep.extract.reference_marks import without_marks

WIKI = (
    '<sup id="cite_ref-1" class="reference"><a href="#cite_note-1"><span class="cite-bracket">[</span>1'
    '<span class="cite-bracket">]</span></a></sup>'
)
NEEDED = (
    '<sup class="noprint Inline-Template">[<i><a href="/wiki/C"><span title="x > y">citation needed</span></a></i>]'
    "</sup>"
)
EDIT = (
    '<span class="mw-editsection"><span class="mw-editsection-bracket">[</span><a href="/w">edit</a>'
    '<span class="mw-editsection-divider"> | </span><a href="/v">edit source</a><span>]</span></span>'
)


@pytest.mark.parametrize(
    "mark",
    [
        WIKI,
        WIKI * 3,
        NEEDED,
        '<sup><a href="#fn1">[1]</a></sup>',
        '<sup>[<a href="/page.html?x=1#fn1" title="note">note&nbsp;2</a>]</sup>',
        "<sup> <a href='#a'>[3]</a>, <a class=x href='#b'><b>[a]</b></a> </sup>",
    ],
)
def test_marks_of_footnotes_go_and_leave_the_words_as_they_are(mark: str) -> None:
    assert between(f"<p>One fact{mark}, and another{mark}.{mark} The end.</p>") == "One fact, and another. The end."


def test_links_to_edit_a_section_go() -> None:
    assert between(f"<h2><span>History</span>{EDIT}</h2><p>text</p>") == "History\n\ntext"


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<p>take a[1] and [2] of it</p>", "take a[1] and [2] of it"),
        ("<p>x<sup>2</sup>, y<sup>[2]</sup>, m<sup>th</sup></p>", "x2, y[2], mth"),
        ("<p>x<sup><a href='#n'>2</a></sup></p>", "x2"),
        ("<p>x<sup><a href='/other'>[1]</a></sup></p>", "x[1]"),
        ("<p>x<sup>see <a href='#n'>[1]</a></sup></p>", "xsee [1]"),
        ("<pre>a<sup><a href='#n'>[1]</a></sup>[1]</pre>", "a[1][1]"),
        ("<p><code>a<sup class=reference>[1]</sup></code> b<sup class=reference>[1]</sup></p>", "a[1] b"),
        ("<p>an <a href='#x'>[1]</a> and a <span class='mw-editsection-like'>[edit]</span></p>", "an [1] and a [edit]"),
    ],
)
def test_brackets_powers_and_code_stay(inner: str, text: str) -> None:
    assert between(inner) == text


@pytest.mark.parametrize(
    "html",
    [
        b"<sup>" * 100_000,
        b"<sup" + b" a" * 200_000 + b">",
        b"<sup>" + b"[ " * 300_000 + b"</sup>",
        b'<sup><a href="#x">' + b"<i></i>" * 50_000 + b"</a></sup>",
        (b"<sup>" + b'<a href="#">' * 200 + b"</sup>") * 200,
        b'<span class="mw-editsection">' * 50_000,
        b"<sup></sup><code>" * 20_000,
    ],
    ids=range(7),
)
def test_no_markup_costs_more_than_time_in_proportion(html: bytes) -> None:
    start = time.process_time()
    without_marks(html)
    assert time.process_time() - start < 3
