"""Lists, tables and code as text: numbers, cells and lines as the page shows them."""

import time

import pytest
from articles import between, text_of

from sparkprep.extract.numbering import written


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<table><tr><td><p>one</p><p>two</p><td><h2>three</h2><div>four</div></table>", "one\n\ntwo\n\nthree\n\nfour"),
        ("<table><tr><td>one<br><br>two</table>", "one\n\ntwo"),
        ("<table><tr><td><table><tr><th>a<th>b<tr><td>1<td>2</table><p>x</table>", "a\tb\n1\t2\n\nx"),
        ("<table role=presentation><tr><td>one<td>two</table>", "one\n\ntwo"),
        ("<table><tr><td><ul><li>one<li>two</ul><p>three</table>", "- one\n- two\n\nthree"),
    ],
)
def test_paragraphs_stay_paragraphs_where_a_table_only_places_them(inner: str, text: str) -> None:
    assert between(inner) == text


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<table><tr><th>a<th>b<tr><td><p>one</p><p>two</p><td>three<br>four</table>", "a\tb\none two\tthree four"),
        ("<table><caption>c</caption><tr><td><p>one</p><p>two</p><td>x</table>", "c\none two\tx"),
        (
            "<table><tr><td>name<td>a text of some words<tr><td>x<td><p>1</p><p>2</table>",
            "name\ta text of some words\nx\t1 2",
        ),
        ("<table role=table><tr><td><p>one</p><p>two</p><td>x</table>", "one two\tx"),
        ("<table><tr><th>k<tr><td>code:<pre>a\n b</pre></table>", "k\ncode:\na\n b"),
        ("<table><tr><th>k<tr><td>these:<ul><li>a<li>b</ul></table>", "k\nthese:\n- a\n- b"),
    ],
)
def test_the_cells_of_a_table_of_data_stay_cells_and_its_rows_lines(inner: str, text: str) -> None:
    assert between(inner) == text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("<th>a<th>b<th>c<tr><td>1<td><td>3<tr><td><td>2<td><tr><td><td><td>3", "a\tb\tc\n1\t\t3\n\t2\n\t\t3"),
        ("<th>a<th colspan=2>b<th>d<tr><td>1<td>2<td>3<td>4", "a\tb\t\td\n1\t2\t3\t4"),
        ("<th>a<th>b<tr><td rowspan=2>1<td>2<tr><td>3<tr><td>4<td>5", "a\tb\n1\t2\n\t3\n4\t5"),
        ("<th>a<th>b<tbody><tr><td rowspan=0>1<td>2<tr><td>3<tbody><tr><td>4", "a\tb\n1\t2\n\t3\n4"),
        ("<th><img><th>a<th><th>b<tr><td><img src=x><td>1<td>&nbsp;<td>2", "a\tb\n1\t2"),
        ("<th>a<th>b<tr><td colspan=2>all of it<tr><td colspan=x>1<td colspan=0>2", "a\tb\nall of it\n1\t2"),
    ],
)
def test_a_cell_stays_in_its_column_beside_empty_and_spanning_ones(rows: str, text: str) -> None:
    assert between(f"<table><tr>{rows}</table>") == text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("<td>1<td><ul><li>x<li><p>y</p><p>z</p></ul>and<tr><td>2<td>3", "a\tb\n1\t- x - y z and\n2\t3"),
        ("<td><ol><li>x<li>y</ol><td>2", "a\tb\n1. x 2. y\t2"),
        ("<td><dl><dt>t<dd>d</dl><td><div>2<br>3</div><h4>4</h4>", "a\tb\nt d\t2 3 4"),
        ("<td>1<td>these: <code>&nbsp; x</code><pre> y</pre>", "a\tb\n1\tthese: x y"),
        ("<td>before<td><pre>x:\n  y</pre><tr><td>1<td>2", "a\tb\nbefore\n\nx:\n  y\n1\t2"),
        ("<td>in<td><table><tr><th>c<th>d<tr><td>1<td>2</table>", "a\tb\nin\n\nc\td\n1\t2"),
    ],
)
def test_a_row_is_a_line_whatever_its_cells_have_but_lines_of_code_and_rows_of_their_own(rows: str, text: str) -> None:
    assert between(f"<table><tr><th>a<th>b<tr>{rows}</table>") == text


def test_rows_in_an_item_are_indented_once() -> None:
    assert between("<ul><li>one<table><tr><th>a<th>b<tr><td>1<td>2</table></ul>") == "- one\n  a\tb\n  1\t2"


def test_cells_that_claim_thousands_of_columns_and_rows_make_no_long_lines() -> None:
    claims = "".join(f"<tr><td colspan=1000 rowspan=65534>{n}<td>x" for n in range(500))
    assert len(text_of(f"<table>{claims}</table>")) < 500 * 600


@pytest.mark.parametrize(
    "inner",
    [
        "<pre>if x:\n    y\n\nz</pre>",
        "<pre><code><div>if x:</div><div>    y</div><div>\n</div><div>z</div></code></pre>",
        "<pre>\n<div>if x:</div>\n<div>    y</div>\n\n<div>z</div>\n</pre>",
        "<pre><span style='display:block'>if x:</span><span style='color: red; display: flex'>    y</span>\n\nz</pre>",
        "<pre><span class=line>if x:</span>\n<span class=line>    y</span>\n<span class=line></span>\nz</pre>",
        "<pre>if x:<br>    y<br><br>z</pre>",
        "<pre><ol><li>if x:<li>    y<li>\n<li>z</ol></pre>",
        "<table><tr><td class=gutter><pre>1\n2\n3\n4</pre><td class=code><pre>if x:\n    y\n\nz</pre></table>",
        "<code>if x:<br>&nbsp;&nbsp;&nbsp;&nbsp;y<br><br>z</code>",
        "<div style='font: x; white-space: pre-wrap'>if x:\n    y\n\nz</div>",
    ],
)
def test_code_keeps_its_lines_however_they_are_marked_up(inner: str) -> None:
    assert between(inner) == "if x:\n    y\n\nz"


GITHUB = "<tr><td class='blob-num' data-line-number={0}><td class='blob-code blob-code-inner js-file-line'>{1}"
ROUGE = "<tr><td class='rouge-gutter gl'><pre class=lineno>1\n2\n3\n4\n</pre><td class=rouge-code><pre>{}</pre>"
DIVS = "<div class='line number1'>{}</div>"
CODE = ("if x:", "    y", "", "z")


@pytest.mark.parametrize(
    "inner",
    [
        "<table class=highlight>"
        + "".join(GITHUB.format(n, line or "\n") for n, line in enumerate(CODE, 1))
        + "</table>",
        "<pre>" + "\n".join(f"<span class=linenos>{n}</span>{line}" for n, line in enumerate(CODE, 1)) + "</pre>",
        "<pre>" + "".join(f"<span class=lineno> {n} </span>{line}\n" for n, line in enumerate(CODE, 8)) + "</pre>",
        "<pre>" + "".join(f"<b class='x ln'>{n}</b><span>{line}\n</span>" for n, line in enumerate(CODE)) + "</pre>",
        "<pre>" + "\n".join(f"<a data-line-number={n}>{n}</a>{line}" for n, line in enumerate(CODE, 1)) + "</pre>",
        f"<table>{ROUGE.format(chr(10).join(CODE))}</table>",
        f"<div class=line-numbers><div>1</div><div>2</div></div><pre>{chr(10).join(CODE)}</pre>",
        "<table>"
        + "".join(f"<tr><td id=L{n} class=lines-num><td><code>{line}</code>" for n, line in enumerate(CODE))
        + "</table>",
    ],
)
def test_code_keeps_blanks_and_lines_without_the_numbers_that_highlighters_set_beside_it(inner: str) -> None:
    assert between(inner) == "\n".join(CODE)


def test_a_cell_of_divs_is_code_by_its_lines_and_a_gutter_of_divs_goes() -> None:
    numbers = "".join(DIVS.format(n) for n in range(1, 4))
    lines = "".join(DIVS.format(f"<code>{line}</code>") for line in ("if x:", "&nbsp;&nbsp;y", "z"))
    table = f"<table><tr><td class=gutter>{numbers}<td class=code><div>{lines}</div></table>"
    assert between(f"<div class=syntaxhighlighter>{table}</div>") == "if x:\n  y\nz"


def test_what_is_no_number_of_a_line_of_code_stays() -> None:
    assert between("<p>Chapter <span class=ln>7</span></p>") == "Chapter 7"
    assert between("<div class='gutter'>about 7</div><pre><i class=ln>x1</i>\n1</pre>") == "about 7\n\nx1\n1"
    assert between("<table><tr><th>a<th>b<tr><td><code>  x</code><td>1   2</table>") == "a\tb\nx\t1 2"


def test_lines_of_code_that_are_blocks_are_lines_and_other_blocks_paragraphs() -> None:
    lines = "<div><code>a</code> <code>=</code></div><div><code>&nbsp;&nbsp;</code><code>b</code></div>"
    assert between(f"<div>{lines}<div>text</div></div>") == "a =\n  b\n\ntext"
    assert between("<p><code>one</code></p><p><code>two</code></p>") == "one\n\ntwo"


def test_a_row_of_a_table_in_code_is_a_line_and_its_cells_are_set_off() -> None:
    rows = "<tr><td>1<td>a<tr><td>2<td><span>  b</span>"
    assert between(f"<pre><table>{rows}</table></pre>") == "1\ta\n2\t  b"


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<ol start=5><li>a<li value=9>b<li>c</ol>", "5. a\n9. b\n10. c"),
        ("<ol reversed><li>a<li>b<li>c</ol>", "3. a\n2. b\n1. c"),
        ("<ol start=-1 reversed><li>a<li>b</ol>", "-1. a\n-2. b"),
        ("<ol type=a start=26><li>a<li>b</ol><ol type=I><li>c<li value=4>d</ol>", "z. a\naa. b\n\nI. c\nIV. d"),
        ("<ol start=x><li value=>a</ol>", "1. a"),
        ("<ol><li>a<ol><li>b<li>c</ol><li>d</ol>", "1. a\n  1. b\n  2. c\n2. d"),
        ("<ul><li><p>a</p><p>b</p><blockquote>c</blockquote><li>d</ul>", "- a\n  b\n  c\n- d"),
        ("<dl><dt>t<dt>u<dd><p>a</p><p>b</p><dt>v<dd>c</dl>", "t\nu\na\nb\nv\nc"),
    ],
)
def test_items_have_the_marks_that_a_browser_shows_and_what_is_in_one_stays_together(inner: str, text: str) -> None:
    assert between(inner) == text


def test_an_item_that_is_no_main_text_counts_for_the_numbers_of_others() -> None:
    assert between("<ol><li>one<li class=advertisement>gone<li>three</ol>") == "1. one\n3. three"


def test_numbers_are_written_in_letters_and_roman_numerals() -> None:
    assert [written(n, "A") for n in (1, 26, 27, 702, 703)] == ["A", "Z", "AA", "ZZ", "AAA"]
    assert [written(n, "i") for n in (4, 9, 1994, 3999, 4000)] == ["iv", "ix", "mcmxciv", "mmmcmxcix", "4000"]
    assert [written(-3, kind) for kind in ("a", "i", "1", "x")] == ["-3"] * 4


@pytest.mark.parametrize(
    "tags",
    [
        *("<ol><li>", "<table><tr><td>", "<table><tr><td><pre>", "<pre><div>", "<ol start=2 type=i><li><p>"),
        *("<table><tr><th>x<td>", "<span hidden>", "<i class=ln><b class=lineno>", "<div class=ln>", "<div><code>"),
    ],
)
def test_deep_nesting_and_many_lists_cost_time_in_proportion(tags: str) -> None:
    start = time.process_time()
    text_of(f"{tags}1\n2" * 4_000)
    text_of("<ol><li>one<li>two</ol><table><tr><td>1<td>2</table>" * 4_000)
    assert time.process_time() - start < 5
