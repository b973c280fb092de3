"""From the block of a response to the bytes of its page: HTTP's head, transfer and content encodings.

What the headers say of the body is tried and not believed: a body that is not chunked, or not compressed, as it is said
to be is taken as it lies, as crawlers store them unpacked and keep the headers; one that begins as gzip does without
being said to is unpacked. Everything is unpacked up to a limit and no further.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
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
    names = [name for name in reversed(names) if name in _UNPACKERS][:_MOST_ENCODINGS]
    if not names and data.startswith(_GZIP_MAGIC):
        names = ["gzip"]
    for name in names:
        body = _unpacked(name, data, limit)
        if body is None:
            continue
        if body.is_cut:
            return body
        data, is_broken = body.data, is_broken or body.is_broken
    return Body(data[:limit], len(data) > limit, is_broken)


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
_MAGICS = (_GZIP_MAGIC, b"\x28\xb5\x2f\xfd")


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
        return Body(b"".join(parts), is_broken=True) if size or data.startswith(_MAGICS) else None
    return Body(b"".join(parts))


_FAULTS = (zlib.error, brotli.error, zstandard.ZstdError)


def _zlib(data: bytes, wbits: int) -> Iterator[bytes]:
    while data:
        engine = zlib.decompressobj(wbits=wbits)
        while not engine.eof:
            part = engine.decompress(data, _PIECE)
            if part:
                yield part
            data = engine.unused_data if engine.eof else engine.unconsumed_tail
            if not data and not part and not engine.eof:
                raise EOFError
        if not data.startswith(_GZIP_MAGIC) or wbits != 31:
            return


def _gzip(data: bytes) -> Iterator[bytes]:
    return _zlib(data, 31)


def _deflate(data: bytes) -> Iterator[bytes]:
    """zlib's format, as the standard says, or the bare stream that some servers send."""
    is_zlib = len(data) > 1 and data[0] & 15 == 8 and not int.from_bytes(data[:2]) % 31
    return _zlib(data, 15 if is_zlib else -15)


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
