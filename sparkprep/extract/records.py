"""The records of a WARC or WET archive, read as a stream: each is yielded, or what is wrong in its place.

Format: ISO 28500 (WARC 1.0 and 1.1). Damage costs the record that it is in: reading goes on with the next record that
can be found, at the beginning of a compressed member or by its first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sparkprep.extract.members import RECORD, Piece, Readable, Source, source_of

_MOST_HEADER = 1 << 16
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NEXT_RECORD = re.compile(rb"WARC/[01]\.\d(?:(?<=\nWARC/\d\.\d)|\r?\nWARC-)")
"""The beginning of a record: at that of a line, or anywhere before its first header, as behind one that was cut."""
_VERSION = re.compile(rb"WARC/[01]\.\d+[ \t]*\r?\n")
_LONGEST_MARK = 16
"""Bytes in which the beginning of a record may lie across two pieces."""
_RATIO = 100
"""Plain bytes for each compressed one that a record too large may inflate to before its member is given up."""
NO_RECORD = "no record begins there"
"""What is wrong with bytes that are anything else."""
_NEWLINES = b"\r\n"
_RECORD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Record:
    """One record. offset: in the archive, of the member it lies in, or of its own bytes where nothing is compressed.

    headers: of WARC, names in lower case. block: the bytes behind them, at most as many as were asked for; length: how
    many there are to be. fault: why it is not whole, empty where it is; lost: bytes of the archive from `offset` on to
    the next record, where it is not.
    """

    offset: int
    headers: dict[str, str]
    block: bytes
    length: int
    fault: str = ""
    lost: int = 0

    @property
    def type(self) -> str:
        """WARC-Type in lower case: response, conversion, request, warcinfo, metadata, revisit."""
        return self.headers.get("warc-type", "").lower()


@dataclass(frozen=True)
class Damage:
    """A place at which no record could be read. lost: bytes of the archive to the next record; 0 inside a member."""

    offset: int
    lost: int
    fault: str


def read_records(stream: Readable, limit: int) -> Iterator[Record | Damage]:
    """Yield the records of an archive in its order, and what is damaged between them.

    stream: read from its beginning to its end, a little at a time; gzip, zstd and plain archives are told apart by
    their first bytes. limit: bytes of a block that are kept; what is beyond is passed over.
    """
    head = stream.read(_MOST_HEADER)
    yield from _Reader(source_of(_Chained(head, stream), head), limit).records()


class _Chained:
    """A stream whose first bytes have been looked at."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int) -> bytes:
        if not self._head:
            return self._rest.read(size)
        part, self._head = self._head[:size], self._head[size:]
        return part


class _Fault(Exception):
    """The member at hand gives nothing more; its words say why."""


class _Reader:
    """Finds the records in the plain bytes of a source.

    _text: what was unpacked and is not used yet. _member: offset of the member that it lies in. _waiting: the first
    piece of the next one. _is_cut_anywhere: whether members have gone on with the record of another, as where an
    archive was packed in blocks.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source, self._limit = source, limit
        self._text = b""
        self._member = 0
        self._waiting: Piece | None = None
        self._is_cut_anywhere = False
        self._taken = self._from = 0

    def records(self) -> Iterator[Record | Damage]:
        """Yield all records, and all damage."""
        while True:
            self._taken, self._from = 0, self._source.position
            try:
                if not self._to_record():
                    return
            except _Fault as fault:
                yield Damage(self._place(), self._lose(self._place()), str(fault))
                continue
            yield self._item(self._place())

    def _place(self) -> int:
        """Return where in the archive the text begins."""
        return self._member if self._source.is_compressed else self._source.position - len(self._text)

    def _to_record(self) -> bool:
        """Go to the first byte that is no line's end; return whether there is one."""
        while True:
            self._text = self._text.lstrip(_NEWLINES)
            if self._text:
                return True
            if not self._pull(is_new=True):
                return False

    def _pull(self, *, is_new: bool = False, across: bool = False) -> bool:
        """Take the next piece into the text; return whether there was one to take.

        is_new: it may begin a member; across: one that goes on with the record at hand. Raises _Fault.
        """
        piece = self._waiting or self._source.next()
        self._waiting = None
        if piece is None:
            return False
        if piece.begins and not is_new and not (across and not piece.data.startswith(RECORD) and not piece.fault):
            self._waiting = piece
            return False
        self._is_cut_anywhere |= piece.begins and across
        self._member = piece.offset
        if piece.fault:
            raise _Fault(piece.fault)
        self._taken += len(piece.data)
        self._text += piece.data
        if self._source.is_compressed and self._taken > self._most():
            self._source.leave()
            raise _Fault(f"it inflates to more than {self._most():,} bytes")
        return True

    def _most(self) -> int:
        return self._limit + 2 * _MOST_HEADER + _RATIO * (self._source.position - self._from)

    def _lose(self, offset: int) -> int:
        """Go to the next member that can be read, after a fault; return the bytes passed over from `offset` on."""
        self._text = b""
        if self._waiting is None:
            self._waiting = self._source.next()
        return (self._waiting.offset if self._waiting else self._source.position) - offset

    def _item(self, offset: int) -> Record | Damage:
        try:
            headers = self._headers()
        except _Fault as fault:
            return Damage(offset, self._lose(offset), str(fault))
        if headers is None:
            return Damage(offset, self._recover(offset, 1), NO_RECORD)
        length = headers.get("content-length", "")
        if not length.isdecimal() or len(length) > 15:
            return Record(offset, headers, b"", 0, "its length is not told", self._recover(offset))
        parts: list[bytes] = []
        try:
            is_whole = self._take(int(length), parts)
        except _Fault as fault:
            return Record(offset, headers, b"".join(parts), int(length), str(fault), self._lose(offset))
        block = b"".join(parts)
        if is_whole and not (self._follows_badly() and _NEXT_RECORD.search(block)):
            return Record(offset, headers, block, int(length))
        block = self._give_back(block, int(length))
        return Record(offset, headers, block, int(length), "its length is wrong", self._recover(offset))

    def _follows_badly(self) -> bool:
        """Return whether what follows on a block is neither a record nor the end."""
        text = self._text.lstrip(_NEWLINES)[: len(RECORD)]
        return bool(text) and text != RECORD

    def _headers(self) -> dict[str, str] | None:
        """Take the headers of a record; return None where none begins. Raises _Fault."""
        end = None
        while len(self._text) < _LONGEST_MARK and self._pull(across=True):
            pass
        if not _VERSION.match(self._text):
            return None
        while (end := _HEAD_END.search(self._text, 0, _MOST_HEADER)) is None:
            if len(self._text) >= _MOST_HEADER or not self._pull(across=True):
                return None
        if _NEXT_RECORD.search(self._text, 1, end.start()):
            return None  # it was cut short, and what follows is another's
        head, self._text = self._text[: end.start()], self._text[end.end() :]
        return headers_of(head)

    def _take(self, length: int, parts: list[bytes]) -> bool:
        """Take a block, of which as much as is kept goes to `parts`; return whether it ends where it says.

        Raises _Fault.
        """
        left, kept = length, 0
        while left:
            if not self._text and not self._pull(across=True):
                return False
            part, self._text = self._text[:left], self._text[left:]
            left -= len(part)
            if kept < self._limit:
                parts.append(part[: self._limit - kept])
                kept += len(parts[-1])
        while len(self._text.lstrip(_NEWLINES)) < len(RECORD) and self._pull():
            pass  # a member's checksum comes at its end
        return self._text.startswith(_RECORD_END) or not self._follows_badly()

    def _give_back(self, block: bytes, length: int) -> bytes:
        """Put what begins another record inside a block back into the text; return what was before it."""
        whole = block + self._text[:_LONGEST_MARK] if len(block) == length else block
        found = _NEXT_RECORD.search(whole)
        if found is None or found.start() >= len(block):
            return block
        self._text = block[found.start() :] + self._text
        return block[: found.start()]

    def _recover(self, offset: int, start: int = 0) -> int:
        """Go to the next beginning of a record, from byte `start` of the text on; return the bytes passed over."""
        while (found := _NEXT_RECORD.search(self._text, start)) is None:
            self._text, start = self._text[max(start, len(self._text) - _LONGEST_MARK) :], 0
            try:
                is_more = self._pull()
            except _Fault:
                return self._lose(offset)
            if not is_more:
                if not self._is_cut_anywhere:
                    self._source.doubt(self._member)
                    self._waiting = None
                return self._lose(offset)
        self._text = self._text[found.start() :]
        return self._place() - offset


def headers_of(head: bytes) -> dict[str, str]:
    """Return the header lines behind the first line, of WARC or HTTP: name in lower case -> value.

    Of a name that occurs twice the first is taken; a line that begins with a blank goes on with the one before.
    """
    headers: dict[str, str] = {}
    name = ""
    for line in head.decode("utf-8", "replace").split("\n")[1:]:
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name and name not in headers:
            headers[name] = value.strip()
        else:
            name = ""
    return headers
