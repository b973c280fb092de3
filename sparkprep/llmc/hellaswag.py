"""HellaSwag as llm.c evaluates it: the questions as JSON Lines, and hellaswag_val.bin with their tokens.

JSON Lines: `ctx`, `endings` (four strings) and `label` (the right one's index) of each line; further keys are passed
over. Zellers et al., "HellaSwag: Can a Machine Really Finish Your Sentence?" (2019).

The binary file has a header of int32: magic 20240522, version 1, number of examples, bytes of the longest example. Then
uint16 for each example: 65535, its bytes (these two included), index, label, number of endings (4), the context's
length and tokens, and each ending's length and tokens. The context is encoded as it stands, an ending after a blank.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.documents.jsonl.lines import DamagedFile, Split, parse, read_lines
from sparkprep.errors import UserError
from sparkprep.io.files import open_input
from sparkprep.io.listing import JSONL_FORMATS, format_of
from sparkprep.llmc import header
from sparkprep.tokenizer.tokenizer import Tokenizer
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE

MAGIC = header.HELLASWAG_MAGIC
VERSION = 1
ENDINGS = 4
START_OF_EXAMPLE = 0xFFFF
KIND = "a HellaSwag file"

_FIXED_FIELDS = 5  # start, bytes, index, label, number of endings
_UINT16_MAX = 0xFFFF
_LINE_LIMIT = 1 << 20
_AGAIN = "make or copy it anew"

Tokens = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Question:
    """One line of the JSON Lines. label: index of the right ending. endings: four, without the joining blank."""

    context: str
    endings: tuple[str, ...]
    label: int


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


def read_questions(path: str) -> Iterator[Question]:
    """Yield the questions of a JSON Lines file (.jsonl, also .gz or .zst; local or on S3), one after another.

    Blank lines are passed over. Raises UserError naming the file and the line for the first that is not a question.
    """
    kind = format_of(path)
    if kind not in JSONL_FORMATS:
        raise UserError(f"{path}: HellaSwag is read as JSON Lines; name it .jsonl, .jsonl.gz or .jsonl.zst")
    first, size = header.read_first(path)
    if kind == "jsonl" and header.is_binary(first):
        raise header.wrong_kind(path, first, "JSON Lines")
    number = 0
    try:
        for line, length in read_lines(Split(path, kind, 0, size, {}), _LINE_LIMIT):
            number += 1
            if line.strip():
                record, why = parse(line, length, "ctx", _LINE_LIMIT)
                question = _question(record) if record is not None else why
                if isinstance(question, str):
                    raise UserError(f"{path}: line {number:,}: {question}; mend the line or get the file anew")
                yield question
    except DamagedFile as error:
        raise UserError(f"{path}: {error}; get the file anew") from error


def tokenise(questions: Iterable[Question]) -> list[Example]:
    """Return the examples of the questions, numbered from 0 in their order."""
    questions = list(questions)
    texts = [text for each in questions for text in (each.context, *(" " + ending for ending in each.endings))]
    ids, offsets = Tokenizer().encode(pa.array(texts, pa.string()))
    pieces = [ids[start:end] for start, end in pairwise(offsets.tolist())]
    step = 1 + ENDINGS
    return [
        Example(index, question.label, pieces[step * index], tuple(pieces[step * index + 1 : step * (index + 1)]))
        for index, question in enumerate(questions)
    ]


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


def _question(record: dict[str, Any]) -> Question | str:
    """Return the question in a parsed line, or what is wrong with it."""
    missing = [f"'{key}'" for key in ("ctx", "endings", "label") if record.get(key) in (None, "")]
    if missing:
        hint = " (the test split has none)" if missing == ["'label'"] else ""
        return f"no {' and no '.join(missing)}{hint}"
    context, endings, label = record["ctx"], record["endings"], record["label"]
    if not isinstance(context, str):
        return "'ctx' is not a string"
    if not isinstance(endings, list) or not all(isinstance(ending, str) for ending in endings):
        return "'endings' is not a list of strings"
    if len(endings) != ENDINGS:
        return f"'endings' has {len(endings)} entries, not {ENDINGS}"
    if isinstance(label, str) and label.isdecimal():  # as the Hugging Face hub writes it
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < ENDINGS:
        return f"'label' is {label!r:.50}, not 0 to {ENDINGS - 1}"
    return Question(context, tuple(endings), label)


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
