"""The characters of a page, whoever tells of them and whether that is true."""

import time

import pytest

from sparkprep.extract.charset import decode

RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. " * 3
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 5
FRENCH = "Longtemps, je me suis couché de bonne heure. À peine ma bougie éteinte, mes yeux se fermaient. " * 5


def page(text: str, meta: str = "") -> str:
    charset = f'<meta charset="{meta}">' if meta else ""
    return f"<html><head>{charset}<title>x</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (JAPANESE, "cp932", "Shift_JIS"),
        (JAPANESE, "euc_jp", "EUC-JP"),
        (JAPANESE, "iso2022_jp", "ISO-2022-JP"),
        ("“curly” – €", "cp1252", "ISO-8859-1"),
        ("汉字 镕", "gb18030", "gb2312"),
        (FRENCH, "utf-8", "UTF-8"),
    ],
)
def test_header_and_meta_element_are_believed(text: str, codec: str, label: str) -> None:
    by_header = decode(page(text).encode(codec), f"text/html; charset={label}")
    assert (by_header.text, by_header.by) == (page(text), "header")
    by_meta = decode(page(text, label).encode(codec), "text/html")
    assert (by_meta.text, by_meta.by) == (page(text, label), "meta")


@pytest.mark.parametrize(
    ("text", "codec"),
    [(RUSSIAN, "cp1251"), (JAPANESE, "euc_jp"), (JAPANESE, "cp932"), (FRENCH, "cp1252"), (FRENCH, "utf-8")],
)
@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=nobody-knows", "text/html; charset=utf-8"])
def test_content_decides_where_nothing_true_is_told(text: str, codec: str, content_type: str) -> None:
    assert decode(page(text).encode(codec), content_type).text == page(text)


def test_a_few_letters_of_japanese_among_much_ascii_are_known() -> None:
    text = "<p>class HashShort extends Object</p>\n" * 200 + "<p>ハッシュ値を返します</p>"
    assert decode(text.encode("cp932")).text == text


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_and_marks_win_over_what_is_told(codec: str) -> None:
    assert decode(page(FRENCH).encode(codec), "text/html; charset=windows-1251").text == page(FRENCH)


def test_utf_8_that_is_told_as_something_else_is_known() -> None:
    assert decode(page(JAPANESE).encode(), "text/html; charset=iso-8859-1").text == page(JAPANESE)


def test_utf_8_with_some_bad_bytes_stays_utf_8() -> None:
    data = page(FRENCH).encode()
    assert decode(data[:300] + b"\xff\xfe" + data[300:], "text/html; charset=utf-8").text.count("\ufffd") == 2
    cut = page(JAPANESE).encode().partition("である".encode())[0] + "で".encode()[:2]
    assert decode(cut, "text/html; charset=utf-8").text.endswith("猫")


@pytest.mark.parametrize("label", ["\x00", "utf-7", "base64", "zlib", "rot13", "idna", "undefined", "x" * 10_000, ""])
def test_no_label_makes_it_fail(label: str) -> None:
    assert "heure" in decode(page(FRENCH).encode("cp1252"), f"text/html; charset={label}").text


def test_a_long_line_costs_time_in_proportion() -> None:
    start = time.process_time()
    decode(b"<div class='" + b"x " * 500_000 + b"'>\xff\xfe\xfd", "text/html; charset" + " " * 60_000)
    assert time.process_time() - start < 5
