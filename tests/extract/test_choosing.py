"""Which part of a page is its main text, where a notice or a footer looks more like one than the text does."""

import time

import pytest
from articles import LONG, text_of

from sparkprep.extract.main_text import page_of

MENU = "<div><ul>" + "".join(f"<li><a href='/{n}'>Section {n}</a></li>" for n in range(9)) + "</ul></div>"
FOOTER = "<div><p>© 2024 Example Ltd. All rights reserved, on all pages of this site and in all countries.</p></div>"
SHORT = "Line {} is a sentence of some words, but a short one."
LINES = [SHORT.format(n) for n in range(12)]


def on_site(inner: str) -> str:
    """Return the text of a page of a site, with a menu before and a notice after it that do not say what they are."""
    return text_of(f"{MENU}{inner}{FOOTER}")


@pytest.mark.parametrize(
    "line",
    [
        "<div>{}</div>",
        "<div><b>Ann:</b> {}</div>",
        "<section><div>{}</div></section>",
        "<span>{}</span><br>",
        "<p>{}</p>",
        "<li>{}</li>",
        "<div class='post'><div><a href='/u'>ann</a></div><div>{}</div><div><a href='/q'>Quote</a> #1</div></div>",
    ],
)
def test_short_lines_are_the_main_text_whatever_elements_they_are_in(line: str) -> None:
    text = on_site("<div><h1>Minutes</h1>" + "".join(line.format(each) for each in LINES) + "</div>")
    assert all(each in text for each in LINES)
    assert "Section" not in text
    assert "rights reserved" not in text


def test_answers_in_short_blocks_stay_with_their_questions() -> None:
    pairs = "".join(f"<h3>Question {n}?</h3><div>{each}</div>" for n, each in enumerate(LINES))
    assert on_site(f"<div>{pairs}</div>").startswith("Question 0?\n\nLine 0 is")


def test_tables_of_links_around_a_short_article_do_not_leave_a_notice_in_its_place() -> None:
    facts = "".join(
        f"<tr><th><a href='/p{n}'>Property {n}</a></th><td><a href='/v{n}'>value {n}</a></td></tr>" for n in range(15)
    )
    more = " · ".join(f"<a href='/m{n}'>Municipality {n}</a>" for n in range(25))
    notice = f"<table><tr><td><div>This article needs <a href='/c'>citations</a>. {LONG}</div></td></tr></table>"
    paragraphs = [
        f"Paragraph {n} has <a href='/x'>a link or two</a>, as <a href='/y'>such ones do</a>, and words."
        for n in range(5)
    ]
    article = f"{notice}<table>{facts}</table><p>{'</p><p>'.join(paragraphs)}</p>"
    text = on_site(f"<div><h1>Place</h1>{article}<table><tr><td>{more}</td></tr></table></div>")
    assert [f"Paragraph {n}" in text for n in range(5)] == [True] * 5
    assert "Municipality" not in text


def test_a_table_of_facts_that_has_links_in_it_stays() -> None:
    row = "<tr><td>Size {0}</td><td><a href='/{0}'>{0} square km</a></td></tr>"
    rows = "".join(row.format(n) for n in range(9))
    assert "Size 7\t7 square km" in on_site(f"<div><p>{LONG * 9}</p><table>{rows}</table></div>")


@pytest.mark.parametrize("sentences", [1, 3, 6])
def test_a_few_sentences_of_chinese_count_more_than_a_footer_of_english(sentences: int) -> None:
    lines = ["昨天晚上我们沿着河边散步了很久。", "我们谈论着这个夏天读过的书籍。", "天黑以后大家才慢慢走回家。"] * 2
    inner = "".join(f"<p>{line}</p>" for line in lines[:sentences])
    footer = f"<div id='foot'><p>{LONG}</p></div>"
    text = text_of(f"{MENU}<div><h1>散步</h1>{inner}</div>{footer}")
    assert text.count("。") == sentences


def test_a_notice_that_a_translation_is_old_does_not_stand_for_the_page() -> None:
    notice = "この日本語訳はすでに古くなっている可能性があります。最近更新された内容を見るには英語版をご覧下さい。"
    modules = "".join(f"<li><a href='/{n}'>mod_filter_{n}</a></li>" for n in range(30))
    table = f"<table><tr><td><ul>{modules}</ul></td></tr></table>"
    body = "<p>フィルタとは、サーバが送受信したデータに適用される処理プロセスのことをいいます。</p>" * 3
    assert text_of(f"<div><div>{notice}</div><div>{table}{body}</div></div>").count("フィルタとは") == 3


def test_a_row_of_languages_is_no_main_text_beside_a_sentence() -> None:
    row = (
        "<p>Available languages: "
        + " | ".join(f"<a href='/{each}'>{each}</a>" for each in ("en", "es", "fr", "tr"))
        + "</p>"
    )
    text = text_of(
        f"<div><div>{row}</div><p>The questions have been moved to <a href='/w'>the wiki</a>.</p></div><div>{row}</div>"
    )
    assert "The questions have been moved" in text


@pytest.mark.parametrize("sign", ["© 2024", "(c) 2024", "Copyright 2024", "Copyright © 2020-2024", "版权所有"])
def test_a_notice_of_copyright_is_not_what_a_short_page_says(sign: str) -> None:
    notice = (
        f"<div><p>{sign} The Example Foundation. Licensed under the terms of the licence that is found here.</p></div>"
    )
    assert text_of(f"{MENU}<div><div>Closed on Monday, until further notice.</div></div>{notice}").startswith("Closed")


def test_an_article_on_copyright_is_no_notice_of_it() -> None:
    text = on_site(f"<div><p>Copyright protects works. {LONG}</p></div><div><div>Some other words.</div></div>")
    assert "Copyright protects works." in text


def test_all_posts_of_a_thread_stay_be_one_of_them_as_long_as_it_may() -> None:
    author = "<div><a href='/u'>ann</a></div><div>Joined in May</div><div>Posts: 7</div>"
    post = f"<div class='post'>{author}<div>{{}}</div></div>"
    text = on_site("<div>" + "".join(post.format(each) for each in [*LINES[:5], LONG * 30, *LINES[5:]]) + "</div>")
    assert all(each in text for each in LINES)


def test_prices_beside_a_short_article_do_not_outweigh_it() -> None:
    card = "<div class='card'><div><a href='/{0}'>Product {0}</a></div><div>€ {0}.99</div><div>In stock</div></div>"
    cards = "".join(card.format(n) for n in range(40))
    text = on_site(f"<div><p>{LONG * 2}</p><p>{LONG * 2}</p></div><div>{cards}</div>")
    assert text == f"{LONG * 2}\n\n{LONG * 2}".replace(" \n", "\n").strip()


def test_lists_under_headings_are_an_index_where_a_page_is_next_to_nothing_but_links() -> None:
    lists = "".join(
        f"<div><h2><a href='/{part}'>Part {part}</a></h2><ul>"
        + "".join(f"<li><a href='/{part}/{n}'>Chapter {n} of it</a></li>" for n in range(20))
        + "</ul></div>"
        for part in range(5)
    )
    text = text_of(f"<div><div>This translation may be out of date. See the English one.</div>{lists}</div>{FOOTER}")
    assert text.count("Chapter 19 of it") == 5
    article = f"<div><p>{LONG * 3}</p></div>"
    assert text_of(f"<div>{lists}</div>{article}") == (LONG * 3).strip()


def test_a_footer_by_its_name_is_not_all_of_a_page_with_little_text() -> None:
    menu = "".join(f"<li><a href='/{n}'>Topic number {n}</a></li>" for n in range(30))
    text = text_of(
        f"<nav><ul>{menu}</ul></nav><h1>Index</h1><p>It has moved.</p><div id='footer'><p>{LONG * 3}</p></div>"
    )
    assert text.startswith("Index\n\nIt has moved.")


@pytest.mark.parametrize(
    "level",
    [
        "<div class='a'>{}<div class='a'>{}</div>",
        "<ul><li><div><a href='/'>link</a>",
        "<nav>text",
        "<div><a href='/'>{}</a>",
    ],
)
def test_choosing_takes_time_in_proportion_to_nested_elements(level: str) -> None:
    def seconds(levels: int) -> float:
        html = (level.format(LONG, LONG) * levels).encode()
        start = time.process_time()
        page_of(html, "text/html", "blocks")
        return time.process_time() - start

    seconds(100)
    assert seconds(8_000) < 12 * seconds(2_000) + 0.5
