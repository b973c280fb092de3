"""Characters that nobody sees: gone where they would cut a word, kept where the writing needs them."""

import re
import unicodedata

import pytest
from articles import between
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.extract.characters import visible
from sparkprep.extract.main_text import page_of


@pytest.mark.parametrize(
    "inside",
    ["\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066",
     "\u2069", "\u061c", "\u2062", "\u206a", "\ufff9", "\ufdd0", "\U000e0041",
     "\x00", "\x08", "\x1b", "\x7f", "\x9f", "\ud800"],
    ids=ascii,
)  # fmt: skip
def test_what_nobody_sees_cuts_no_word(inside: str) -> None:
    assert visible(f"co{inside}opera{inside * 2}tion, {inside}é{inside}") == "cooperation, é"


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم کتاب\u200cها",  # Persian: a word, of which the parts do not join
        "क्\u200dष र\u200d्य",  # Devanagari: half forms
        "ক্\u200cষ",
        "ශ්\u200dරී ලංකා",  # Sinhala
        "മലയാളം\u200d",
        "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 🏳\ufe0f\u200d🌈 👩🏽\u200d🚀 ☺\ufe0f",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # the flag of Scotland
        "ภาษา\u200bไทย ភាសា\u200bខ្មែរ",
        "葛\U000e0100城市",
        "ᠬᠠᠭᠠ\u180eᠨ",
        "a\u0301 \ufffd \ue000 x\ty\nz",
    ],
)
def test_what_a_writing_needs_stays(text: str) -> None:
    assert visible(text) == text


def test_the_same_characters_go_where_no_writing_needs_them() -> None:
    assert visible("Auf\u200clage a\u200db \u200d👨 ไทย\u200bx 1\u200d2") == "Auflage ab 👨 ไทยx 12"
    assert visible("x\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065") == "x"  # words hidden in tags


def test_controls_that_are_white_space_do_not_run_words_together() -> None:
    assert visible("a\x0bb\x0cc\x1cd\r\ne\rf\x85g\u2028h\u2029i") == "a b c d\ne\nf\ng\nh\ni"


def test_a_page_is_read_without_them_title_and_code_included() -> None:
    assert between("<p>Donau&shy;dampf&#8203;schiff&zwnj;fahrt&#xfeff;</p>") == "Donaudampfschifffahrt"
    assert between("<pre>a&#x202e;b\n c&#8203;d</pre>") == "ab\n cd"
    assert page_of("<title>\ufeffA\u00adB\u200b</title><p>x".encode(), "text/html; charset=utf-8", "all").title == "AB"


@given(st.text(st.characters(), max_size=60))
def test_the_rule_is_sound(text: str) -> None:
    once = visible(text)
    assert visible(once) == once
    once.encode()
    seen = [c for c in text if unicodedata.category(c)[0] in "LNPSM"]
    assert [c for c in once if unicodedata.category(c)[0] in "LNPSM"] == seen
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]", once)
