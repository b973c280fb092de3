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


KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. " * 3
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy. Všichni lidé rodí se svobodní a sobě rovní. " * 3


@pytest.mark.parametrize(
    ("text", "codec", "header", "meta", "by"),
    [
        (RUSSIAN, "cp1251", "iso-8859-1", "windows-1251", "meta"),  # what a server says of all of its pages
        (RUSSIAN, "koi8-r", "windows-1251", "koi8-r", "meta"),
        (RUSSIAN, "cp1251", "windows-1251", "koi8-r", "header"),
        (RUSSIAN, "cp1251", "windows-1251", "iso-8859-1", "header"),
        (FRENCH, "cp1252", "iso-8859-1", "iso-8859-2", "header"),
        (JAPANESE, "cp932", "utf-8", "shift_jis", "meta"),  # bytes that disprove the header
        (JAPANESE, "euc_jp", "shift_jis", "euc-jp", "meta"),
        (KOREAN, "cp949", "utf-8", "euc-kr", "meta"),
        (KOREAN, "cp949", "euc-kr", "utf-8", "header"),
        (FRENCH, "utf-8", "iso-8859-1", "utf-8", "content"),
        (CZECH, "cp1250", "windows-1250", "", "header"),
        (JAPANESE, "euc_jp", "shift_jis", "", "content"),
    ],
)
def test_where_header_and_page_contradict_each_other_content_decides(
    text: str, codec: str, header: str, meta: str, by: str
) -> None:
    decoded = decode(page(text, meta).encode(codec), f"text/html; charset={header}")
    assert (decoded.text, decoded.by) == (page(text, meta), by)


def test_damaged_utf_8_is_told_from_a_few_letters_of_another_code() -> None:
    text = "<p>plain English words</p>" * 500 + "café"
    assert decode(page(text, "iso-8859-1").encode("cp1252"), "text/html; charset=utf-8").text.endswith(
        "café</p></body></html>"
    )
    damaged = page(FRENCH * 9, "iso-8859-1").encode() + b"<!-- \xff -->"
    assert decode(damaged, "text/html; charset=utf-8").encoding == "utf-8"


@pytest.mark.parametrize(
    ("content_type", "head", "by"),
    [
        ("application/xhtml+xml", "<?xml version='1.0' encoding='windows-1251'?><html>", "xml"),
        ("text/html", '<?xml version="1.0" encoding = "windows-1251" standalone=\'yes\'?>\n<html>', "xml"),
        ("application/xhtml+xml", "<?xml version='1.0' encoding='windows-1251'?><meta charset=koi8-r>", "xml"),
        ("text/html", "<?xml version='1.0' encoding='koi8-r'?><meta charset='windows-1251'>", "meta"),
    ],
)
def test_an_xml_declaration_counts_before_the_meta_element_in_xhtml_and_behind_it_in_html(
    content_type: str, head: str, by: str
) -> None:
    decoded = decode((head + RUSSIAN).encode("cp1251"), content_type)
    assert (decoded.text, decoded.encoding, decoded.by) == (head + RUSSIAN, "cp1251", by)


@pytest.mark.parametrize(
    "header",
    [
        'text/html;charset="windows-1251"', "text/html; charset='windows-1251'", 'text/html; charset=" windows-1251 "',
        "text/html; charset = Windows-1251 ; x=y", "text/html; charset=windows-1251;charset=utf-8",
        "text/html; charset=cp1251,x",
        "text/html; charset=windows_1251", 'text/html; charset="windows 1251"', "text/html; charset=win-1251",
    ],
)  # fmt: skip
def test_labels_with_blanks_and_quotes_are_read_in_the_header(header: str) -> None:
    assert decode(page(RUSSIAN).encode("cp1251"), header)[1:] == ("cp1251", "header")


@pytest.mark.parametrize(
    "meta",
    [
        "<meta charset=' windows-1251 '>", '<META CHARSET="windows 1251" />', "<meta\n charset\n=\nwindows-1251>",
        "<meta http-equiv=Content-Type content='text/html; charset=\"windows-1251\"'>",
        "<meta content=\"text/html; charset = windows-1251\" http-equiv='content-type'/>",
        "<meta name='a' content='x > y'><meta charset=nobody-knows><meta charset=windows-1251>",
        "<!-- <meta charset=koi8-r> --><meta name=description content='charset=koi8-r'><meta charset=windows-1251>",
    ],
)  # fmt: skip
def test_labels_with_blanks_and_quotes_are_read_in_meta_elements(meta: str) -> None:
    assert decode((meta + RUSSIAN).encode("cp1251"), "text/html")[1:] == ("cp1251", "meta")


def test_x_user_defined_means_what_browsers_take_it_for_and_in_a_header_nothing() -> None:
    assert decode(page("“curly” – €", "x-user-defined").encode("cp1252"))[1:] == ("cp1252", "meta")
    assert decode(page(RUSSIAN).encode("cp1251"), "text/html; charset=x-user-defined")[1:] == ("cp1251", "content")


@pytest.mark.parametrize("label", ["utf-16", "UTF-16LE", "unicode"])
def test_utf_16_without_a_mark_is_little_endian(label: str) -> None:
    for text in ("<p>" + RUSSIAN, "<p>汉字汉字汉字</p>", "<p>plain</p>"):
        assert decode(text.encode("utf-16-le"), f"text/html; charset={label}") == (text, "utf-16-le", "header")


def test_utf_16_that_cannot_be_is_not_believed() -> None:
    assert decode(("<p>" + RUSSIAN).encode("utf-16-be"), "text/html; charset=utf-16").text == "<p>" + RUSSIAN
    assert decode(page(RUSSIAN).encode("cp1251"), "text/html; charset=utf-16").text == page(RUSSIAN)
    assert decode(page(RUSSIAN).encode(), "text/html; charset=utf-16")[1:] == ("utf-8", "content")
    assert decode(page(FRENCH, "utf-16").encode(), "text/html")[1:] == ("utf-8", "meta")
    assert decode(b"<p>plain", "text/html; charset=utf-16").text == "<p>plain"


def test_euc_jp_has_the_characters_that_browsers_add_to_it() -> None:
    data = page(JAPANESE, "euc-jp").encode("euc_jp").replace(b"<p>", b"<p>\xad\xa1\xad\xea\xad\xe2 \xa9\xa1 ")
    assert "<p>①㈱№ \ufffd" in decode(data).text


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


@pytest.mark.parametrize("header", ["", "; charset=utf-8", "; charset=shift_jis", "; charset=iso-8859-1"])
def test_the_escapes_of_iso_2022_jp_are_known_whatever_is_told(header: str) -> None:
    text = page(JAPANESE, "utf-8") + "日"
    assert decode(text.encode("iso2022_jp"), f"text/html{header}") == (text, "iso2022_jp", "content")
    half = "<p>日本 ｱｲｳ</p>"
    assert decode(half.encode("iso2022_jp_ext"), f"text/html{header}").text == half
    assert decode(b"<p>\x1b[31mred\x1b(B \x1b$ 5</p>").text.startswith("<p>\x1b[31mred")


GREEK = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. " * 3
GERMAN = "Die Straßenbahn fährt über die große Brücke, während die Möwen kreischen. Fußgängerübergänge! " * 3
ICELANDIC = "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum. Þeir eru gæddir vitsmunum. " * 3


@pytest.mark.parametrize("meta", ["", "utf-8", "iso-8859-1"])
@pytest.mark.parametrize(
    ("text", "codec"),
    [(RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "euc_jp"), (KOREAN, "cp949"), (GREEK, "cp1253")],
)
def test_a_server_that_names_latin_1_for_all_is_not_believed_of_another_script(
    text: str, codec: str, meta: str
) -> None:
    data = page(text, meta).encode(codec)
    assert decode(data, "text/html; charset=iso-8859-1").text == page(text, meta)
    assert decode(page(text[:85], meta).encode(codec), "text/html; charset=iso-8859-1").text == page(text[:85], meta)


@pytest.mark.parametrize(
    "text", [FRENCH, GERMAN, ICELANDIC, "A page in English. " * 9 + "«»" * 40 + "¤°·¨" * 9, "ÀÉÎÕÜ"]
)
def test_latin_1_stays_what_it_is_said_to_be(text: str) -> None:
    decoded = decode(page(text, "utf-8").encode("cp1252"), "text/html; charset=iso-8859-1")
    assert (decoded.text, decoded.encoding) == (page(text, "utf-8"), "cp1252")
