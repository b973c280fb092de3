"""The main text of a page: what it keeps, what goes, and how it is written."""

import pytest
from articles import LONG, article, between, text_of

from sparkprep.extract.main_text import EXTRACTORS, page_of


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<p>one<br>two</p>", "one\ntwo"),
        ("<div>one</div>two<section>three</section>", "one\n\ntwo\n\nthree"),
        ("<p><b>bo</b>ld and <i>sl</i><em>anted</em> <span>words</span></p>", "bold and slanted words"),
        ("<ul><li>one</li><li>two<ul><li>deep</li></ul></li></ul>", "- one\n- two\n  - deep"),
        ("<ol><li>one</li><li><p>two</p><p>more</p></li><li>three</li></ol>", "1. one\n2. two\n   more\n3. three"),
        ("<pre>def f():\n    return 1 &lt; 2\n\n\tx</pre>", "def f():\n    return 1 < 2\n\n\tx"),
        ("<xmp>\n<p>shown as it is</ul>\n</xmp>after", "<p>shown as it is</ul>\n\nafter"),
        ("<noframes><ul><li>no</noframes><iframe><p>no</iframe>after", "after"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a\tb\n1\t2"),
        ("<p>AT&amp;T &lt;tag&gt; caf&eacute; &#x4e2d;&nbsp;x</p>", "AT&T <tag> café 中 x"),
        ("<p>a <!-- gone --> b<script>var gone = '</p>';</script><style>gone</style></p>", "a b"),
        ("<p>x<math><semantics><mi>y</mi><annotation>{\\y}</annotation></semantics></math> z</p>", "xy z"),
        ("<p title='a > b'>one</p><p title=\"<p>\">two</p>", "one\n\ntwo"),
    ],
)
def test_text_is_written_as_the_page_shows_it(inner: str, text: str) -> None:
    assert between(inner) == text


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("Press<button>Send</button>now", "Press now"),
        ("or<img src=x>later, <b>bo</b>ld<wbr>ly", "or later, boldly"),
        ("<label>Name</label><input><label>Email (<svg></svg>x)</label>", "Name Email (x)"),
        ("a link<svg><text>no</text></svg>. And<select><option>no</select>2", "a link. And 2"),
        ("end.<video>no</video>The<iframe></iframe> next<img>, <img> one<img>", "end. The next, one"),
        ("我<img>你，<img>他<img>。", "我 你， 他。"),
        ("<code>a<canvas>no</canvas>b</code><input type=hidden>c", "a bc"),
        ("so<img style='display: none'>me<textarea>no</textarea><br><object></object>thing", "some\nthing"),
    ],
)
def test_what_is_shown_as_a_box_parts_the_words_beside_it(inner: str, text: str) -> None:
    assert between(f"<p>{inner}</p>") == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<span style='display:none'>Unseen</span>",
        "<i STYLE='color: red; DISPLAY : None'>Un<i>se</i>en</i>",
        "<span hidden>Unseen <span>and</span> <script>'</span>'</script><!-- </span> -->more</span>",
        "<a href=x aria-hidden=true>Unseen</a>",
        "<code hidden=until-found>Unseen</code>",
        "<x-icon style='visibility:hidden'><i>Unseen</i></x-icon>",
    ],
)
def test_what_is_hidden_in_a_line_is_left_out(hidden: str) -> None:
    assert between(f"<p>some{hidden}thing</p>").replace("\n", "") == "something"


def test_what_only_looks_hidden_stays() -> None:
    shown = "<span aria-hidden=false>a</span><i data-hidden=true>b</i><b style='overflow:hidden'>c</b><wbr hidden>d"
    assert between(f"<p>{shown}<u hidden=false>e</u><q class=hidden title='display:none'>f</q></p>") == "abcdef"
    assert text_of(f"<p>x</p><x-app hidden><p>{LONG * 9}</p></x-app>").endswith(LONG.strip())


MATHML = "<math><semantics><mi>y</mi><annotation>{\\y}</annotation></semantics></math>"


@pytest.mark.parametrize(
    "formula",
    [
        f"<b class=katex><span class=katex-mathml>{MATHML}</span><span class=katex-html aria-hidden=true>y</span></b>",
        "<span class=katex><span class='katex-html' aria-hidden=true><span>y</span></span></span>",
        f"<span><nobr aria-hidden=true><span>y</span></nobr><span role=presentation>{MATHML}</span></span>",
        f"<mjx-container><mjx-math aria-hidden=true>y</mjx-math><mjx-assistive-mml>{MATHML}</mjx-assistive-mml>",
        f"<span style='display: none;'>\n {MATHML}</span><img aria-hidden=true alt=y>",
        f"</p><div><div style='display: none;'>\n {MATHML}</div><img aria-hidden=true></div><p>",
    ],
)
def test_a_formula_stays_once(formula: str) -> None:
    assert between(f"<p>x {formula} z</p>").split() == ["x", "y", "z"]


@pytest.mark.parametrize(
    "boilerplate",
    [
        "<nav><p>{}</p></nav>",
        "<footer>{}</footer>",
        "<div role='navigation'>{}</div>",
        "<div class='page-sidebar'>{}</div>",
        "<div id='relatedPosts related'>{}</div>",
        "<div style='color: red; display: none'>{}</div>",
        "<div hidden=''>{}</div>",
        "<ul><li><a href='/1'>{}</a></li><li><a href='/2'>other</a></li></ul>",
        "<noscript>{}</noscript>",
    ],
)
def test_what_is_no_main_text_goes(boilerplate: str) -> None:
    boilerplate = boilerplate.format("Boilerplate that nobody wants to read")
    assert "Boilerplate" not in text_of(f"<div>{boilerplate}{article('')}{boilerplate}</div>")
    assert "Boilerplate" not in text_of(article(boilerplate))


def test_a_list_of_links_around_the_text_goes_and_links_inside_it_stay() -> None:
    links = "".join(f"<td><a href='/{n}'>Section {n}</a></td>" for n in range(50))
    text = text_of(f"<table><tr>{links}</tr></table>{article('<p>See <a href=x>the other page</a> of it.</p>')}")
    assert "Section" not in text
    assert "See the other page of it." in text


def test_a_list_that_is_the_page_is_an_index_and_stays_with_its_heading() -> None:
    links = "".join(f"<li><a href='/{n}'>Chapter {n}</a>" for n in range(50))
    nav = "<div class='menu'><a href='/'>Home</a></div>"
    text = text_of(f"{nav}<div><h1>Contents</h1><p>{LONG}</p><div><ul>{links}</ul></div></div>")
    assert text.startswith("Contents\n\nThis is")
    assert text.endswith("- Chapter 49")


def test_what_an_item_consists_of_stays_with_its_list_be_it_a_link() -> None:
    items = "<li><p>One thing that is told here at some length</p></li><li><div><a href='/x'>Two, a link</a></div></li>"
    kept = between(f"<ul>{items}<li><p><a href='/y'>Three</a></p><p>and more of it, long enough</p></li></ul>")
    assert kept == (
        "- One thing that is told here at some length\n- Two, a link\n- Three\n  and more of it, long enough"
    )


def test_terms_that_are_links_do_not_make_their_definitions_a_list_of_links() -> None:
    terms = "".join(f"<dt><a href='/{n}'>a_function_{n}(number)</a><dd>does {n} things</dd>" for n in range(30))
    assert "a_function_7(number)\ndoes 7 things" in text_of(f"<h1>Functions</h1><dl>{terms}</dl><p>{LONG}</p>")


@pytest.mark.parametrize("opening", ["<form action='/'>", "<div class='page no-sidebar'>"])
def test_what_is_around_the_whole_page_says_nothing_of_the_text_in_it(opening: str) -> None:
    text = text_of(f"{opening}<ul class='menu'><li>Boilerplate</ul>{article('')}<div class='related'>More</div>")
    assert text.startswith(LONG.strip())
    assert "Boilerplate" not in text
    assert "More" not in text


def test_an_identifier_made_of_a_heading_says_nothing() -> None:
    own = f"<div id='sharing-code-with-others'><p>{LONG}</p></div>"
    assert text_of(f"<div>{article('')}{own}{article('')}</div>").count(LONG.strip()) == 9


def test_a_rule_that_would_take_everything_is_given_up() -> None:
    assert text_of(f"<div class='sidebar'><p>{LONG * 3}</p></div>") == (LONG * 3).strip()
    assert text_of("<div class='comments'>a few words</div>") == "a few words"


def test_a_table_of_short_cells_is_the_main_text_where_links_are_the_less_of_it() -> None:
    row = "<tr><td><a href='/x'>Name{0}</a></td><td>what the name {0} stands for</td></tr>"
    rows = "".join(row.format(n) for n in range(50))
    text = text_of(f"<div><a href='/'>Home</a> <a href='/news'>News</a></div><p>{LONG}</p><table>{rows}</table>")
    assert "Name7\twhat the name 7 stands for" in text
    assert "News" not in text


@pytest.mark.parametrize("tag", ["p", "pre"])
def test_a_paragraph_that_is_next_to_all_of_the_text_does_not_take_it_for_itself(tag: str) -> None:
    long = "One of the long lines of which there are many. " * 40
    main = f"<main><p>What it is.</p><h2>Use</h2><{tag}>{long}</{tag}><p>The end.</p></main>"
    text = text_of(f"<nav><a href='/'>Home</a></nav>{main}")
    assert text == f"What it is.\n\nUse\n\n{long.strip()}\n\nThe end."


def test_a_short_line_of_chinese_or_japanese_is_running_text() -> None:
    text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    nav = "<div><a href='/'>ホーム</a></div><div>検索</div>"
    assert text_of(f"<div>{nav}</div>" + f"<div><div>{text}</div></div>" * 9).split() == [text] * 9


def test_a_page_of_links_alone_has_their_text() -> None:
    links = "".join(f"<li><a href='/{n}'>Place {n}</a>" for n in range(9))
    assert "Place 8" in text_of(f"<ul>{links}</ul>")


@pytest.mark.parametrize("extractor", sorted(set(EXTRACTORS) - {"trafilatura"}))
def test_every_extractor_gives_text_title_and_language(extractor: str) -> None:
    html = f"<html lang=pt_BR><title>\n A &amp; B </title><body>{article('')}"
    page = page_of(html.encode(), "text/html", extractor)
    assert LONG.strip() in page.text
    assert (page.title, page.language) == ("A & B", "pt-br")


def test_deep_nesting_costs_time_in_proportion() -> None:
    for tag in ("div", "b", "table", "li", "a", "span"):
        assert text_of(f"<{tag}>" * 20_000 + "hello") in ("hello", "- hello")


@pytest.mark.parametrize("tags", ["<div>", "<ul><li>", "<ol><li>", "<table><tr><td>", "<dl><dd>", "<blockquote><pre>"])
def test_deep_nesting_with_text_at_each_level_gives_text_in_proportion(tags: str) -> None:
    assert len(text_of(f"{tags}\na line\nand another\n" * 5_000)) < 5_000 * 100


@pytest.mark.parametrize("html", ["", " ", "<", "<html", "<!--", "<p", "\0", "<frameset>", "&#0;&#xd800;&#1114112;"])
def test_a_page_without_text_is_no_error(html: str) -> None:
    page = page_of(html.encode(), "text/html", "blocks")
    page.text.encode()
    assert len(page.text) <= len(html)
