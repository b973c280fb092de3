"""JSON Lines without Spark: cutting files into splits, reading their lines in bounded memory, judging a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from sparkprep.documents.partitions import PartitionValue, partition_values
from sparkprep.io.files import cause, open_input
from sparkprep.io.formats import CODECS
from sparkprep.io.listing import DataFile

_BLOCK = 1 << 20
_COMPRESSED_BLOCK = 1 << 18
_KEPT_OF_LONG_LINE = 1 << 20
_MAX_DEPTH = 100
_BOM = b"\xef\xbb\xbf"
_KEY_LIKE = re.compile(rb'"[ \t\r]*:')


@dataclass(frozen=True)
class Split:
    """A part of a file: the lines that start at bytes `start` <= b < `end`. A compressed file is one split."""

    path: str
    format: str
    start: int
    end: int
    folder_values: dict[str, PartitionValue]


class DamagedFile(Exception):
    """A compressed file is cut short or broken; the message says after how many lines."""


def plan_splits(files: Sequence[DataFile], split_bytes: int) -> list[list[Split]]:
    """Return the splits of all files in order, in groups of about `split_bytes`, one group for each task."""
    groups: list[list[Split]] = []
    filled = 0
    for file, values in zip(files, partition_values(files), strict=True):
        step = split_bytes if file.format == "jsonl" else max(file.size, 1)
        for start in range(0, max(file.size, 1), step):
            end = min(start + step, file.size)
            if not groups or filled + (end - start) > split_bytes:
                groups.append([])
                filled = 0
            groups[-1].append(Split(file.path, file.format, start, end, values))
            filled += end - start
    return groups


def read_lines(split: Split, line_limit: int) -> Iterator[tuple[bytes, int]]:
    """Yield (line, its length in bytes) for each line of a split, without the line feed; only b"\\n" ends a line.

    Of a line longer than `line_limit` only the beginning is given. Raises DamagedFile for a broken compressed file.
    """
    with open_input(split.path) as stream:
        if split.format == "jsonl":
            yield from _range_lines(stream, split.start, split.end, line_limit)
        else:
            yield from compressed_lines(stream, CODECS[split.format], line_limit)


def _range_lines(stream: BinaryIO, start: int, end: int, line_limit: int) -> Iterator[tuple[bytes, int]]:
    offset = _first_line_start(stream, start, end)
    if offset >= end:
        return
    stream.seek(offset)
    for line, length in _cut(_blocks(stream, _BLOCK), line_limit):
        yield _without_bom(line) if offset == 0 else line, length
        offset += length + 1
        if offset >= end:
            return


def _first_line_start(stream: BinaryIO, start: int, end: int) -> int:
    """Return where the first line begins that starts in [start, end); `end` if none does."""
    if start == 0:
        return 0
    stream.seek(start - 1)
    position = start - 1
    for block in _blocks(stream, _BLOCK):
        cut = block.find(b"\n")
        if cut >= 0:
            return position + cut + 1
        position += len(block)
        if position >= end:
            break
    return end


def compressed_lines(stream: BinaryIO, codec: str, line_limit: int) -> Iterator[tuple[bytes, int]]:
    """Yield (line, its length in bytes) of what a stream holds packed, as `read_lines` does."""
    count = 0
    try:
        with pa.CompressedInputStream(stream, codec) as plain:  # several members or frames are read as one
            for line, length in _cut(_blocks(plain, _COMPRESSED_BLOCK), line_limit):
                yield _without_bom(line) if count == 0 else line, length
                count += 1
    except OSError as error:
        raise DamagedFile(f"compressed file cut short or damaged after line {count:,} ({cause(error)})") from error


def _blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while block := stream.read(size):
        yield block


def _cut(blocks: Iterator[bytes], line_limit: int) -> Iterator[tuple[bytes, int]]:
    """Cut a stream of blocks at line feeds, holding at most one block and one line of up to `line_limit` bytes."""
    parts: list[bytes] = []
    length = 0
    for block in blocks:
        pieces = block.split(b"\n")
        last = pieces.pop()
        for piece in pieces:
            length += len(piece)
            if parts:
                if length <= line_limit:
                    parts.append(piece)
                piece = b"".join(parts)
                parts = []
            yield (piece if length <= line_limit else piece[:_KEPT_OF_LONG_LINE]), length
            length = 0
        if last:
            length += len(last)
            if length <= line_limit or not parts:
                parts.append(last)
            else:
                del parts[2:]  # blocks of a line that is too long are let go, but for its beginning
    if parts:
        line = b"".join(parts)
        yield (line if length <= line_limit else line[:_KEPT_OF_LONG_LINE]), length


def _without_bom(line: bytes) -> bytes:
    return line[len(_BOM) :] if line.startswith(_BOM) else line


def parse(line: bytes, length: int, text_column: str, line_limit: int) -> tuple[dict[str, Any] | None, str]:
    """Return one line as (record, ""), or (None, what is wrong with it). Integers are exact whatever their size."""
    if length > line_limit:
        return None, f"line of {length:,} bytes is longer than the limit of {line_limit:,}; only its beginning is kept"
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return None, _why_not_json(line, error)
    if not isinstance(record, dict):
        return None, f"not a JSON object but {_name(record)}"
    keys, deep, inexact = _shape_of(record)
    if deep:
        return None, f"nested more than {_MAX_DEPTH} levels deep"
    if (
        inexact or len(_KEY_LIKE.findall(line)) > keys
    ):  # more colons than keys: inside a text, or after a key given twice
        try:
            record = json.loads(line.decode(), object_pairs_hook=_unique_keys)
        except ValueError as error:
            return None, str(error)
    if "" in record:
        return None, "an empty key"
    text = record.get(text_column)
    if text is not None and not isinstance(text, str):
        return None, f"'{text_column}' is {_name(text)}, not a string"
    return record, ""


def _shape_of(record: dict[str, Any]) -> tuple[int, bool, bool]:
    """Return (number of keys at all levels, whether it is nested too deeply, whether a float is inexact) of an object.

    Inexact is a float beyond 64-bit integers, which may be an integer that orjson has rounded.
    """
    keys, inexact = 0, False
    stack: list[tuple[Any, int]] = [(record, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > _MAX_DEPTH:
            return keys, True, inexact
        values = node
        if isinstance(node, dict):
            keys += len(node)
            values = node.values()
        for value in values:
            kind = type(value)
            if kind is dict or kind is list:
                stack.append((value, depth + 1))
            elif kind is float and not -(2.0**63) < value < 2.0**63:
                inexact = True
    return keys, False, inexact


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key '{key[:100]}' is given twice in one object")
            seen.add(key)
    return record


def _why_not_json(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as broken:
        return f"invalid UTF-8 at byte {broken.start + 1:,} of the line"
    if "surrogate" in error.msg:
        return f"lone surrogate in a string ({error.msg} at character {error.pos + 1:,})"
    return f"not valid JSON ({error.msg} at character {error.pos + 1:,})"


def _name(value: Any) -> str:
    names = {str: "a string", bool: "a truth value", type(None): "null", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")
