"""From the block of a response to the bytes of its page: HTTP's head, transfer and content encodings.

What the headers say of the body is tried and not believed. What begins as gzip or zstd does is unpacked as such,
whatever it is said to be; one that is not chunked, or not compressed, as it is said to be is taken as it lies, as
crawlers store them unpacked and keep the headers. What is binary then is tried as brotli and deflate, which nothing
marks, and taken for that where the whole of it is HTML. Everything is unpacked up to a limit and no further.

Checksums at the end of gzip and zlib are passed over, as browsers do: before them all bytes are there.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import brotli
import zstandard

from sparkprep.extract.records import headers_of

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?: [^\n]*)?\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_MOST_ENCODINGS = 4
_PIECE = 1 << 16
_SLICE = 1 << 10
"""Compressed bytes at a time, of brotli and zstd, whose libraries give all that these hold."""


@dataclass(frozen=True)
class Answer:
    """What a server has sent. headers: names in lower case. body: as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Body:
    """A body, unpacked. is_cut: it has more bytes than the limit. is_broken: its packing ends too early or is damaged,
    and these are the bytes before that."""

    data: bytes
    is_cut: bool = False
    is_broken: bool = False


def answer_of(block: bytes) -> Answer | None:
    """Return status, headers and body of a response's block; None where it does not begin as HTTP does.

    Of a head without an end, everything is head.
    """
    status = _STATUS.match(block)
    if status is None:
        return None
    end = _HEAD_END.search(block, status.end() - 2)
    head, body = (block, b"") if end is None else (block[: end.start()], block[end.end() :])
    return Answer(int(status[1]), headers_of(head), body)


def body_of(answer: Answer, limit: int) -> Body:
    """Return the body of an answer without its encodings, at most `limit` bytes of it."""
    data, is_broken = answer.body, False
    if "chunked" in answer.headers.get("transfer-encoding", "").lower():
        data, is_broken = _joined(data)
    names = [name.strip() for name in answer.headers.get("content-encoding", "").lower().split(",")]
    names = [name for name in reversed(names) if name in _UNPACKERS]
    for _ in range(_MOST_ENCODINGS):
        body = _without_one(data, names, limit)
        if body is None:
            break
        if body.is_cut:
            return body
        data, is_broken, names = body.data, is_broken or body.is_broken, names[1:]
    return Body(data[:limit], len(data) > limit, is_broken)


def is_binary(data: bytes) -> bool:
    """Return whether bytes are no text of a page in any code, by the control characters at their beginning.

    Of compressed bytes every ninth is one that no text has; UTF-16 and UTF-32 are known by their marks, or their zeros.
    """
    head = data[:_LOOKED_AT].rstrip(b"\0")
    if not head:
        return bool(data)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls * _BINARY_FROM > len(head) and _WIDE.match(head) is None


_LOOKED_AT = 1 << 12
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\f\x1b"))  # escapes are those of ISO-2022
_BINARY_FROM = 30
"""Bytes for each control character: of a page that is text, with damage, there are hundreds."""
_WIDE = re.compile(rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff|(?:[\t\n\r -~]\0{1,3}){2}|(?:\0{1,3}[\t\n\r -~]){2}")


def _without_one(data: bytes, names: list[str], limit: int) -> Body | None:
    """Return a body without its outermost encoding; None where it has none. names: that it is said to have."""
    marked = [name for name, magic in _MAGICS.items() if data.startswith(magic)]
    is_text = not marked and not is_binary(data)
    broken = None
    for name in (*marked, *names):
        body = _unpacked(name, data, limit)
        if body is not None and not body.is_broken and (body.data or not is_text):
            return body
        if not is_text:  # of which an unpacker may make a few bytes before it fails
            broken = broken or body
    for name in () if marked or is_text else _UNMARKED:
        body = _unpacked(name, data, limit)
        if body is not None and not body.is_broken and _TAG.search(body.data) and not is_binary(body.data):
            return body
    return broken


_UNMARKED = ("deflate", "br")
_TAG = re.compile(rb"<\0{0,3}[!/?A-Za-z]")


def _joined(data: bytes) -> tuple[bytes, bool]:
    """Return the chunks of a body joined, and whether they end too early; the data itself where it is not chunked."""
    parts: list[bytes] = []
    place = 0
    while (size := _CHUNK.match(data, place)) is not None:
        start, length = size.end(), int(size[1], 16)
        if not length:
            return b"".join(parts), False
        part = data[start : start + length]
        end = data[start + length : start + length + 2]
        if not parts and len(part) == length and not end.startswith((b"\r\n", b"\n")):
            return data, False  # a number at the begin of a text
        parts.append(part)
        place = start + length + (2 if end == b"\r\n" else 1)
    return (b"".join(parts), True) if parts else (data, False)


_GZIP_MAGIC = b"\x1f\x8b"
_MAGICS = {"gzip": _GZIP_MAGIC, "zstd": b"\x28\xb5\x2f\xfd"}


def _unpacked(name: str, data: bytes, limit: int) -> Body | None:
    """Return a body without one encoding; None where it does not have it."""
    parts: list[bytes] = []
    size = 0
    try:
        for part in _UNPACKERS[name](data):
            parts.append(part)
            size += len(part)
            if size > limit:
                return Body(b"".join(parts)[:limit], is_cut=True)
    except (*_FAULTS, EOFError):
        is_marked = data.startswith(tuple(_MAGICS.values()))
        return Body(b"".join(parts), is_broken=True) if size or is_marked else None
    return Body(b"".join(parts))


_FAULTS = (zlib.error, brotli.error, zstandard.ZstdError)


def _inflated(data: bytes) -> Generator[bytes, None, bytes]:
    """Yield what a bare stream of deflate holds; return what follows on it."""
    engine = zlib.decompressobj(wbits=-15)
    while not engine.eof:
        part = engine.decompress(data, _PIECE)
        if part:
            yield part
        data = engine.unconsumed_tail
        if not data and not part and not engine.eof:
            raise EOFError
    return engine.unused_data


def _gzip(data: bytes) -> Iterator[bytes]:
    """Yield what the members of gzip hold (RFC 1952), one after the other."""
    while True:
        head = _GZIP_HEAD.match(data)
        if head is None:
            raise zlib.error("no gzip")
        rest = yield from _inflated(data[_end_of_head(data, head) :])
        data = rest[_GZIP_CHECKS:]
        if not data.startswith(_GZIP_MAGIC):
            return


_GZIP_HEAD = re.compile(rb"\x1f\x8b\x08([\0-\x1f]).{6}", re.DOTALL)
_GZIP_CHECKS = 8
_HAS_CHECK, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16


def _end_of_head(data: bytes, head: re.Match[bytes]) -> int:
    flags, end = head[1][0], head.end()
    if flags & _HAS_EXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            end = data.find(b"\0", end) + 1 or len(data)
    return end + (2 if flags & _HAS_CHECK else 0)


def _deflate(data: bytes) -> Iterator[bytes]:
    """Yield what zlib's format holds, as the standard says, or the bare stream that some servers send."""
    is_zlib = len(data) > 1 and data[0] & 15 == 8 and not int.from_bytes(data[:2]) % 31
    yield from _inflated(data[2:] if is_zlib else data)


def _brotli(data: bytes) -> Iterator[bytes]:
    engine = brotli.Decompressor()
    for start in range(0, len(data), _SLICE):
        more = engine.process(data[start : start + _SLICE], output_buffer_limit=_PIECE)
        while more:
            yield more
            more = engine.process(b"", output_buffer_limit=_PIECE)
        if engine.is_finished():
            return
    raise EOFError


def _zstd(data: bytes) -> Iterator[bytes]:
    engine: Any = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    for start in range(0, len(data), _SLICE):
        yield engine.decompress(data[start : start + _SLICE])
        if engine.eof:
            return
    raise EOFError


_UNPACKERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
