"""Bodies that are packed, that lie about it, that end too early, and that never end."""

import gzip
import random
import zlib
from collections.abc import Callable

import brotli
import hypothesis.strategies as st
import pytest
import zstandard
from hypothesis import given
from warc_files import answer

from sparkprep.extract.bodies import Body, answer_of, body_of, is_binary

PAGE = b"<html><body>" + b"".join(b"<p>paragraph %d of the page</p>" % n for n in range(5_000))
LIMIT = 1 << 20
PACKINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", lambda data: zlib.compress(data, wbits=-15)),
    ("br", lambda data: brotli.compress(data, quality=5)),
    ("zstd", zstandard.compress),
]


def body(data: bytes, **headers: str) -> Body:
    found = answer_of(answer(data, **headers))
    assert found is not None
    return body_of(found, LIMIT)


def chunks(data: bytes, size: int = 1_000) -> bytes:
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x;name=value\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(("name", "pack"), PACKINGS)
def test_a_body_is_unpacked_as_it_says(name: str, pack: Callable[[bytes], bytes]) -> None:
    assert body(pack(PAGE), Content_Encoding=name) == Body(PAGE)
    assert body(chunks(pack(PAGE)), Content_Encoding=name, Transfer_Encoding="chunked") == Body(PAGE)


@pytest.mark.parametrize(("name", "pack"), PACKINGS)
def test_a_body_that_ends_too_early_gives_what_there_is(name: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(PAGE)
    found = body(packed[: len(packed) * 2 // 3], Content_Encoding=name)
    assert found.is_broken
    assert PAGE.startswith(found.data)


@pytest.mark.parametrize(("name", "pack"), PACKINGS)
def test_a_bomb_is_unpacked_to_the_limit(name: str, pack: Callable[[bytes], bytes]) -> None:
    assert body(pack(bytes(1 << 25)), Content_Encoding=name) == Body(bytes(LIMIT), is_cut=True)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd", "identity", "nobody knows", "gzip, gzip"])
def test_a_body_that_is_not_packed_as_it_says_is_taken_as_it_is(name: str) -> None:
    assert body(PAGE, Content_Encoding=name) == Body(PAGE)


def test_a_body_that_is_packed_and_does_not_say_so_is_unpacked() -> None:
    assert body(gzip.compress(PAGE)) == Body(PAGE)


@pytest.mark.parametrize("data", [PAGE, b"12\nand twelve more words in a row", b"<p>ff\r\n", b""])
def test_a_body_that_is_not_in_chunks_as_it_says_is_taken_as_it_is(data: bytes) -> None:
    assert body(data, Transfer_Encoding="chunked") == Body(data)


def test_chunks_without_an_end_are_told() -> None:
    assert body(chunks(PAGE)[:-5], Transfer_Encoding="chunked") == Body(PAGE, is_broken=True)


def test_a_block_that_is_no_answer_of_http_is_none() -> None:
    assert answer_of(b"") is None
    assert answer_of(b"<html>") is None
    assert answer_of(b"HTTP/1.1 OK\r\n\r\n") is None
    found = answer_of(b"HTTP/2 404\r\nA: b")
    assert found is not None
    assert (found.status, found.body) == (404, b"")


def test_a_body_is_unpacked_by_what_its_bytes_are_where_it_is_said_to_be_something_else() -> None:
    for name, pack in PACKINGS:
        for said in ("gzip", "deflate", "br", "zstd", "identity", "gzip, br"):
            assert body(pack(PAGE), Content_Encoding=said) == Body(PAGE), (name, said)
        assert body(pack(PAGE)) == Body(PAGE), name


def test_a_body_whose_checksum_alone_is_wrong_or_missing_is_whole() -> None:
    packed = gzip.compress(PAGE)
    for bad in (packed[:-8] + bytes(8), packed[:-8], packed[:-3]):
        assert body(bad, Content_Encoding="gzip") == Body(PAGE)
    assert body(zlib.compress(PAGE)[:-4], Content_Encoding="deflate") == Body(PAGE)


def test_a_member_of_gzip_may_have_all_that_its_head_allows() -> None:
    bare = zlib.compress(PAGE, wbits=-15)
    head = b"\x1f\x8b\x08\x1f" + bytes(6) + b"\x03\0abc" + b"name\0" + b"comment\0" + b"\1\2"
    assert body(head + bare + bytes(8)) == Body(PAGE)
    assert body(gzip.compress(PAGE[:999]) + head + bare + bytes(8), Content_Encoding="gzip") == Body(PAGE[:999] + PAGE)
    assert body(head[:20], Content_Encoding="gzip") == Body(b"", is_broken=True)


@pytest.mark.parametrize(
    "page",
    [
        PAGE, b"", b"<p>", "<p>日本語のページ</p>".encode("iso2022_jp"), "<p>日本語のページ</p>".encode("cp932"),
        *("<p>汉字汉字</p>".encode(f"utf-{which}") for which in ("8", "16", "16-le", "16-be", "32")),
        "<p>汉字汉字</p>".encode("gb18030"),
        "Все счастливые семьи".encode("koi8-r"), b"<p>a bell\7 and a zero\0 byte in a sentence of this page" + PAGE,
        b"x^2 + y^2 is no zlib, though its first bytes are a head of it",
    ],
)  # fmt: skip
def test_text_in_any_code_is_not_binary_and_stays_as_it_is(page: bytes) -> None:
    assert not is_binary(page)
    for said in ("gzip", "deflate", "br", "zstd", ""):
        assert body(page, Content_Encoding=said) == Body(page)


@given(st.binary(min_size=200, max_size=3_000))
def test_what_compression_leaves_is_binary(data: bytes) -> None:
    noise = random.Random(data).randbytes(2_000)
    for _, pack in PACKINGS:
        assert is_binary(pack(noise + data))
    assert is_binary(bytes(len(data)))


@given(st.binary(max_size=400), st.sampled_from(["gzip", "deflate", "br", "zstd", ""]))
def test_no_bytes_make_it_fail(data: bytes, said: str) -> None:
    for mark in (b"", b"\x1f\x8b\x08\x04", b"\x28\xb5\x2f\xfd", b"\x78\x9c"):
        body(mark + data, Content_Encoding=said)
