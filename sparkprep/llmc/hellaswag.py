"""hellaswag_val.bin, as llm.c evaluates it: the tokens of HellaSwag's questions.

Zellers et al., "HellaSwag: Can a Machine Really Finish Your Sentence?" (2019). The file has a header of int32: magic
20240522, version 1, number of examples, bytes of the longest example. Then uint16 for each example: 65535, its bytes
(these two included), index, label, number of endings (4), the context's length and tokens, and each ending's length and
tokens. The context is encoded as it stands, an ending after a blank.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from sparkprep.errors import UserError
from sparkprep.io.files import open_input
from sparkprep.llmc import header
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE

MAGIC = header.HELLASWAG_MAGIC
VERSION = 1
ENDINGS = 4
START_OF_EXAMPLE = 0xFFFF
KIND = "a HellaSwag file"

_FIXED_FIELDS = 5  # start, bytes, index, label, number of endings
_UINT16_MAX = 0xFFFF
_AGAIN = "make or copy it anew"

Tokens = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Example:
    """One example of the binary file. index: its number from 0; label: index of the right ending.

    context and each of the four endings: uint16 of shape (length,).
    """

    index: int
    label: int
    context: Tokens
    endings: tuple[Tokens, ...]

    @property
    def longest_row(self) -> int:
        """Tokens of the context with its longest ending: what a model must be able to take in."""
        return len(self.context) + max(len(ending) for ending in self.endings)


@dataclass(frozen=True)
class HellaSwagHeader:
    """The binary file's header. longest_bytes: of the longest example."""

    version: int
    examples: int
    longest_bytes: int


def write(path: str, examples: Sequence[Example]) -> HellaSwagHeader:
    """Write examples to a binary file, local or on S3, which appears whole or not at all, and return its header.

    Raises UserError for no example, more than 65,535 of them, an example of more than 65,535 bytes (each a limit of the
    format), and a file that cannot be written.
    """
    if not 0 < len(examples) <= _UINT16_MAX:
        raise UserError(f"{path}: the format holds 1 to {_UINT16_MAX:,} examples, not {len(examples):,}")
    streams = [_stream(path, example) for example in examples]
    fields = HellaSwagHeader(VERSION, len(examples), max(stream.nbytes for stream in streams))
    header.write(path, [header.pack(MAGIC, VERSION, fields.examples, fields.longest_bytes), *streams])
    return fields


def read_header(path: str) -> HellaSwagHeader:
    """Return the header of a binary file, local or on S3. Raises UserError for another kind of file or version."""
    first, _ = header.read_first(path)
    fields = header.unpack(path, first, MAGIC, (VERSION,), KIND)
    return HellaSwagHeader(int(fields[1]), int(fields[2]), int(fields[3]))


def read(path: str) -> Iterator[Example]:
    """Yield the examples of a binary file, local or on S3, one after another; memory for one of them.

    Raises UserError naming the file, and the example where one is broken: another number than its place, a label that
    is none of its endings, lengths that do not add up, a token beyond the vocabulary, a file cut short or too long.
    """
    fields = read_header(path)
    with open_input(path) as plain, io.BufferedReader(cast(Any, plain), 1 << 20) as stream:
        stream.seek(header.HEADER_BYTES)
        for index in range(fields.examples):
            yield _read_example(path, cast(BinaryIO, stream), index, fields)
        if stream.read(1):
            raise UserError(f"{path}: too long: bytes follow the last of {fields.examples:,} examples; {_AGAIN}")


def _stream(path: str, example: Example) -> npt.NDArray[np.uint16]:
    """Return an example as the file holds it."""
    parts = (example.context, *example.endings)
    size = 2 * (_FIXED_FIELDS + sum(1 + len(part) for part in parts))
    if size > _UINT16_MAX:
        raise UserError(
            f"{path}: example {example.index:,} takes {size:,} bytes, more than the {_UINT16_MAX:,} that the format "
            "holds; shorten its texts"
        )
    stream = [np.array([START_OF_EXAMPLE, size, example.index, example.label, len(example.endings)], "<u2")]
    for part in parts:
        stream += [np.array([len(part)], "<u2"), part.astype("<u2", copy=False)]
    return np.concatenate(stream)


def _read_example(path: str, stream: BinaryIO, index: int, fields: HellaSwagHeader) -> Example:
    place = f"{path}: example {index:,}"
    start = header.read_exactly(stream, 4)
    if start is None:
        raise UserError(f"{path}: cut short at example {index:,} of {fields.examples:,}; {_AGAIN}")
    mark, size = (int(value) for value in np.frombuffer(start, "<u2"))
    if mark != START_OF_EXAMPLE:
        raise UserError(f"{place} begins with {mark:,}, not {START_OF_EXAMPLE:,}; {_AGAIN}")
    if size % 2 or not 2 * _FIXED_FIELDS <= size <= fields.longest_bytes:
        raise UserError(
            f"{place} tells {size:,} bytes, and the longest has {fields.longest_bytes:,} by the header; {_AGAIN}"
        )
    rest = header.read_exactly(stream, size - len(start))
    if rest is None:
        raise UserError(f"{path}: cut short at example {index:,} of {fields.examples:,}; {_AGAIN}")
    values = np.frombuffer(rest, "<u2")
    number, label, endings = (int(value) for value in values[:3])
    if number != index:
        raise UserError(f"{place} has the number {number:,}; {_AGAIN}")
    if endings != ENDINGS or label >= ENDINGS:
        raise UserError(f"{place} has {endings} endings and the label {label}, not {ENDINGS} and 0 to 3; {_AGAIN}")
    parts: list[Tokens] = []
    position = 3
    for _ in range(1 + ENDINGS):
        end = position + 1 + int(values[position]) if position < len(values) else len(values) + 1
        parts.append(values[position + 1 : end])
        position = end
    if position != len(values):
        raise UserError(f"{place}: the lengths of its parts do not add up to its {size:,} bytes; {_AGAIN}")
    worst = max((int(part.max()) for part in parts if len(part)), default=0)
    if worst >= VOCABULARY_SIZE:
        raise UserError(f"{place} has the token {worst:,}, and GPT-2's are 0 to {VOCABULARY_SIZE - 1:,}; {_AGAIN}")
    return Example(index, label, parts[0], tuple(parts[1:]))
