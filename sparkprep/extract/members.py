"""An archive as pieces of plain bytes: members of gzip, frames of zstd, or as it lies.

Damage ends a member, not the archive: the next member that begins a record is searched for, also in what was taken for
more of the damaged one, as where a member was cut short and the next one written behind it. What a member may inflate
to is bounded by what its record is allowed and by its compressed size, so that a bomb costs no more.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol

import zstandard

READ_BYTES = 1 << 18
"""Of the archive, at a time."""
PIECE_BYTES = 1 << 16
"""Of what a member inflates to, at a time."""
RECORD = b"WARC/"
"""What a record begins with."""
_SLICES = {"gzip": 1 << 14, "zstd": 1 << 10}
"""Compressed bytes that are unpacked at a time: the zstd library gives all that they hold, at most 32 MB."""
_GZIP_MAGIC, _ZSTD_MAGIC, _DICTIONARY_MAGIC = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x5d\x2a\x4d\x18"
_LARGEST_DICTIONARY = 1 << 25
_SEARCHED_AGAIN = 1 << 18
"""Bytes before the place where a member turns out to be damaged in which the next one may begin: those of two blocks of
zstd, and far more than deflate needs to come upon something impossible."""
_SEARCHES = 3
"""How often all bytes of an archive may be searched again."""
_LOOKED_AT = 1 << 12
"""Compressed bytes by which a member is known for one that begins a record."""


@dataclass(frozen=True)
class Piece:
    """Some plain bytes of an archive, or what is wrong with it there.

    offset: where in the archive the member begins that they are of; of plain archives that of the bytes themselves.
    begins: whether they are the first of their member. fault: why there is nothing more of that member; no bytes then.
    """

    data: bytes
    offset: int
    begins: bool = False
    fault: str = ""


class Readable(Protocol):
    """A stream of bytes, read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many of the next bytes; none at the end."""


class Source(Protocol):
    """Plain bytes of an archive, piece after piece. position: bytes of the archive that were used up."""

    is_compressed: bool

    @property
    def position(self) -> int: ...

    def next(self) -> Piece | None:
        """Return the next piece; None at the end."""

    def leave(self) -> None:
        """Give up the member at hand; what comes next is the next one that begins a record."""

    def doubt(self, member: int) -> None:
        """Search for the next member in what was taken for the one that begins at an offset, too."""


class _Raw:
    """The bytes of a file, with their place in it. kept: bytes that can be gone back by."""

    def __init__(self, stream: Readable, kept: int = 0) -> None:
        self._stream, self._kept = stream, kept
        self._data = b""
        self._start = 0
        self.offset = 0
        self._is_over = False

    def __len__(self) -> int:
        """The bytes that were read and not used yet."""
        return len(self._data) - self._start

    def fill(self, least: int = 1) -> bool:
        """Read until at least so many bytes are there; return whether they are."""
        if len(self) < least and not self._is_over:
            before = min(self._start, self._kept)
            parts, size = [self._data[self._start - before :]], len(self)
            while size < least and not self._is_over:
                block = self._stream.read(READ_BYTES)
                self._is_over = not block
                parts.append(block)
                size += len(block)
            self._data, self._start = b"".join(parts), before
        return len(self) >= least

    def peek(self, count: int) -> bytes:
        """Return up to so many of the bytes that are there."""
        return self._data[self._start : self._start + count]

    def find(self, what: bytes) -> int:
        """Return where something begins among the bytes that are there, -1 where it does not."""
        place = self._data.find(what, self._start)
        return place - self._start if place >= 0 else -1

    def drop(self, count: int) -> None:
        """Go on by so many of the bytes that are there."""
        self._start += count
        self.offset += count

    def back(self, offset: int) -> None:
        """Go back to an offset, or as far as is kept towards it."""
        self.drop(-min(self.offset - offset, self._start))


class PlainSource:
    """An archive that is not compressed. Its pieces have no members: a record is found again in the bytes alone."""

    is_compressed = False

    def __init__(self, stream: Readable) -> None:
        self._raw = _Raw(stream)

    @property
    def position(self) -> int:
        """Bytes that were used up."""
        return self._raw.offset

    def next(self) -> Piece | None:
        """Return the next piece; None at the end."""
        if not self._raw.fill():
            return None
        piece = Piece(self._raw.peek(PIECE_BYTES), self._raw.offset)
        self._raw.drop(len(piece.data))
        return piece

    def leave(self) -> None:
        """Do nothing: there is no member to give up."""

    def doubt(self, member: int) -> None:
        """Do nothing, for the same reason."""


class _Gzip:
    """Unpacks one member of gzip."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(wbits=31)

    @property
    def is_whole(self) -> bool:
        """Whether it has ended."""
        return self._engine.eof

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Return some plain bytes and how many of the compressed ones they took. Raises one of _FAULTS."""
        plain = self._engine.decompress(data, PIECE_BYTES)
        rest = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
        return plain, len(data) - len(rest)


class _Zstd:
    """Unpacks one frame of zstd."""

    def __init__(self, dictionary: Any) -> None:
        self._engine = zstandard.ZstdDecompressor(dict_data=dictionary).decompressobj()

    @property
    def is_whole(self) -> bool:
        """Whether it has ended."""
        return bool(self._engine.eof)

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Return some plain bytes and how many of the compressed ones they took. Raises one of _FAULTS."""
        plain = self._engine.decompress(data)
        return plain, len(data) - len(self._engine.unused_data)


_FAULTS = (zlib.error, zstandard.ZstdError)


class MemberSource:
    """An archive of compressed members, one after the other."""

    is_compressed = True

    def __init__(self, stream: Readable, kind: str) -> None:
        self._raw = _Raw(stream, _SEARCHED_AGAIN)
        self._kind = kind
        self._magic = _GZIP_MAGIC if kind == "gzip" else _ZSTD_MAGIC
        self._slice = _SLICES[kind]
        self._dictionary: Any = None
        self._inflater: Any = None
        self._member = -1
        self._is_first = True
        self._is_lost = False
        self._searched = self._furthest = 0

    @property
    def position(self) -> int:
        """Bytes that were used up."""
        return self._raw.offset

    def next(self) -> Piece | None:
        """Return the next piece; None at the end."""
        while True:
            if self._inflater is None:
                fault = self._begin()
                if fault is None:
                    return None
                if fault:
                    return Piece(b"", self._member, True, fault)
            piece = self._inflate()
            if piece is not None:
                return piece

    def leave(self) -> None:
        """Give up the member at hand."""
        self._inflater, self._is_lost = None, True

    def doubt(self, member: int) -> None:
        """Search for the next member in what was taken for the one that begins at an offset, too.

        That has a limit over the whole archive: without one, bytes made for it could cost any time.
        """
        self.leave()
        end = self._raw.offset
        self._furthest = max(self._furthest, end)
        if self._searched <= _SEARCHES * (self._furthest + _SEARCHED_AGAIN):
            self._raw.back(max(member + 1, end - _SEARCHED_AGAIN))
            self._searched += end - self._raw.offset

    def has_record(self) -> bool:
        """Return whether there is a member that begins a record, and go to it."""
        self._is_lost = True
        return self._search()

    def _begin(self) -> str | None:
        """Begin a member; return what is wrong with it, "" where nothing is, None at the end of the archive."""
        raw = self._raw
        if self._is_lost:
            if not self._search():
                return None
        elif self._is_padding():
            return None
        elif self._kind == "zstd" and raw.fill(8) and raw.peek(4) == _DICTIONARY_MAGIC:
            self._take_dictionary()
            return self._begin()
        self._member, self._is_first, self._is_lost = raw.offset, True, False
        raw.fill(len(self._magic))
        if raw.peek(len(self._magic)) != self._magic:
            self.leave()
            return f"no {self._kind} member begins there"
        self._inflater = self._new()
        return ""

    def _is_padding(self) -> bool:
        """Whether nothing but zeros follows, as tapes pad."""
        raw = self._raw
        while raw.fill() and raw.peek(1) == b"\0":
            block = raw.peek(READ_BYTES)
            zeros = len(block) - len(block.lstrip(b"\0"))
            raw.drop(zeros)
        return not len(raw)

    def _new(self) -> _Gzip | _Zstd:
        return _Gzip() if self._kind == "gzip" else _Zstd(self._dictionary)

    def _inflate(self) -> Piece | None:
        """Return some bytes of the member at hand; None where it has ended."""
        raw, inflater, is_first = self._raw, self._inflater, self._is_first
        fault, plain = "", b""
        while not plain and not fault and not inflater.is_whole:
            if not raw.fill():
                fault = "the archive ends inside it"
                break
            try:
                plain, used = inflater.feed(raw.peek(self._slice))
            except _FAULTS as error:
                fault = f"it cannot be unpacked: {error}"
            else:
                raw.drop(used)
        if fault:
            self.doubt(self._member)
            return Piece(b"", self._member, is_first, fault)
        if inflater.is_whole:
            self._inflater = None
        if not plain and not is_first:
            return None
        self._is_first = False
        return Piece(plain, self._member, is_first)

    def _search(self) -> bool:
        """Go to the next member that begins a record; return whether there is one."""
        raw = self._raw
        if raw.offset == self._member:
            raw.drop(min(1, len(raw)))  # or the member that was given up would be found again
        while True:
            place = raw.find(self._magic)
            if place < 0:
                raw.drop(max(0, len(raw) - len(self._magic) + 1))
                if not raw.fill(len(raw) + 1):
                    raw.drop(len(raw))
                    return False
                continue
            raw.drop(place)
            raw.fill(_LOOKED_AT)
            if self._begins_record():
                return True
            raw.drop(1)

    def _begins_record(self) -> bool:
        inflater, plain, data = self._new(), b"", self._raw.peek(_LOOKED_AT)
        try:
            while len(plain) < len(RECORD) and data and not inflater.is_whole:
                more, used = inflater.feed(data[: self._slice])
                plain, data = plain + more, data[used:]
        except _FAULTS:
            return False
        return plain.startswith(RECORD)

    def _take_dictionary(self) -> None:
        """Take the dictionary at the beginning of a .warc.zst, as IIPC's format has it."""
        raw = self._raw
        size = int.from_bytes(raw.peek(8)[4:], "little")
        raw.drop(8)
        if size > _LARGEST_DICTIONARY or not raw.fill(size):
            self.leave()
            return
        words = raw.peek(size)
        raw.drop(size)
        try:
            if words.startswith(_ZSTD_MAGIC):
                words = zstandard.ZstdDecompressor().decompress(words, max_output_size=_LARGEST_DICTIONARY)
            self._dictionary = zstandard.ZstdCompressionDict(words)
        except zstandard.ZstdError:
            self.leave()


def source_of(stream: Readable, head: bytes) -> Source:
    """Return the plain bytes of an archive that begins with `head`; its name may say what it likes.

    One that begins with neither a member nor a record is packed as the first member in `head` that begins a record.
    """
    for kind, magics in _MAGICS.items():
        if head.startswith(magics):
            return MemberSource(stream, kind)
    if not head.lstrip(b"\r\n").startswith(RECORD):
        for kind in _MAGICS:
            if MemberSource(BytesIO(head), kind).has_record():
                return MemberSource(stream, kind)
    return PlainSource(stream)


_MAGICS = {"gzip": (_GZIP_MAGIC,), "zstd": (_ZSTD_MAGIC, _DICTIONARY_MAGIC)}
