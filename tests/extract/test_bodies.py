"""Bodies that are packed, that lie about it, that end too early, and that never end."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from warc_files import answer

from sparkprep.extract.bodies import Body, answer_of, body_of

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
