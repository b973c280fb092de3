"""Evaluation sets as JSON Lines: which files and columns, and of each question the texts that a model would see."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparkprep.documents.jsonl.lines import DamagedFile, Split, parse, read_lines
from sparkprep.errors import UserError, argument
from sparkprep.io.files import sha256_of
from sparkprep.io.formats import JSONL_FORMATS, format_of
from sparkprep.io.paths import normalise

USUAL = (
    ("ctx", "endings"),  # HellaSwag
    ("question", "choices"),  # MMLU
    ("question", "choices.text"),  # ARC, CommonsenseQA
    ("passage", "question"),  # BoolQ
    ("question", "answer"),  # GSM8K
    ("goal", "sol1", "sol2"),  # PIQA
    ("question",),
    ("sentence",),  # WinoGrande
    ("text",),  # LAMBADA
)
"""The columns that are taken where none are named: the first of these that a file's first question has."""
USUAL_IDS = ("id", "ind", "question_id", "row")
"""The columns that name a question where none is named: the first that is there."""
_MARKS = re.compile(r"\[(?:header|title|step|substeps)\]")
"""What HellaSwag has put into pages of WikiHow: the pages themselves have none, and some harnesses take them out."""
_LINE_LIMIT = 1 << 24
_SHOWN = 20
_LONGEST_ID, _LONGEST_NAME = 200, 60
_LINES = 5
"""Lines without text that are named."""


@dataclass(frozen=True)
class Benchmark:
    """A file of questions, and the columns that are their text; none: the first of USUAL that fits."""

    path: str
    columns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, by which results call it."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Question:
    """One line of a file. id: None where no column names questions. texts: one, or one with each of its endings.

    own: its first column alone, where others follow and it is no list: what a short question is without its answer.
    has_text: whether there is any in its columns, beside numbers.
    """

    line: int
    id: str | None
    texts: tuple[str, ...]
    own: tuple[str, ...] = ()
    has_text: bool = True


@dataclass
class Reading:
    """A file of questions, read once from its beginning; what is known of it afterwards.

    without_text: lines that have no text in any of the columns, at most numbers; and which the first of them are.
    """

    benchmark: Benchmark
    id_column: str | None
    columns: tuple[str, ...] = ()
    bytes: int = 0
    sha256: str = ""
    questions: int = 0
    without_text: int = 0
    lines_without_text: tuple[int, ...] = ()
    _there: dict[str, None] = field(default_factory=dict)
    _met: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Question]:
        """Yield its questions. Raises UserError that names the file, and the line or the columns there are."""
        path = self.benchmark.path
        kind = format_of(path)
        if kind not in JSONL_FORMATS:
            raise UserError(f"{path}: benchmarks are read as JSON Lines; name it .jsonl, .jsonl.gz or .jsonl.zst")
        self.bytes, self.sha256 = sha256_of(path)
        number = 0
        try:
            for line, length in read_lines(Split(path, kind, 0, self.bytes, {}), _LINE_LIMIT):
                number += 1
                if line.strip():
                    record, why = parse(line, length, "", _LINE_LIMIT)
                    if record is None:
                        raise _wrong(path, number, why)
                    yield self._question(record, number)
        except DamagedFile as error:
            raise UserError(f"{path}: {error}; get the file anew") from error
        if not self.questions:
            why = f"all of its {number:,} lines are blank" if number else "the file is empty"
            raise UserError(f"{path}: holds no question: {why}; get it anew, or leave it out")
        for column in self.columns:
            if column not in self._met:
                raise self._missing(column)
        if self.without_text == self.questions:
            raise UserError(f"{path}: {self.told_without_text}; name other columns, or get the file anew")
        if self.id_column is not None and self.id_column not in self._met:
            raise UserError(
                f"{argument('benchmark_id_column', self.id_column)}: {path}: no such column; there are {self._known()}"
            )

    @property
    def told_without_text(self) -> str:
        """How many lines have no text, and which."""
        return without_text(self.without_text, self.questions, self.columns, self.lines_without_text)

    def _question(self, record: dict[str, Any], number: int) -> Question:
        self.questions += 1
        self._there.update(dict.fromkeys(list(record)[:_SHOWN]) if len(self._there) < _SHOWN else {})
        if not self.columns:
            self.columns = self.benchmark.columns or self._usual(record)
        values, has_text = [], False
        for column in self.columns:
            value = value_of(record, column)
            has_text = has_text or _has_text(value)
            if value is not None:
                self._met.add(column)
            text = _text(value)
            if text is None:
                raise _wrong(self.benchmark.path, number, f"'{column}' is no text, nor a list of texts")
            values.append(text)
        if not has_text:
            self.without_text += 1
            self.lines_without_text = (*self.lines_without_text, number)[:_LINES]
        name = self.id_column or next((each for each in USUAL_IDS if each in record), None)
        label = None if name is None else value_of(record, name)
        if label is not None:
            self._met.add(str(name))
        key = None if label is None else str(label)[:_LONGEST_ID]
        return Question(number, key, texts_of(values), _own(values), has_text)

    def _usual(self, record: dict[str, Any]) -> tuple[str, ...]:
        for columns in USUAL:
            if all(_text(value_of(record, column)) for column in columns):
                return columns
        raise UserError(
            f"{self.benchmark.path}: which columns are the questions? Name them, as in {argument('benchmark')} "
            f"{self.benchmark.name}:COLUMN,COLUMN; there are {self._known()}"
        )

    def _missing(self, column: str) -> UserError:
        return UserError(f"{self.benchmark.path}: no question has a column {column!r}; there are {self._known()}")

    def _known(self) -> str:
        return ", ".join(name[:_LONGEST_NAME] for name in self._there) or "none"


def benchmark_of(word: str, columns: Sequence[str]) -> Benchmark:
    """Return the benchmark that a word names, `FILE` or `FILE:COLUMN,COLUMN`; columns: of one that names none.

    >>> benchmark_of("s3://bucket/arc.jsonl.gz:question,choices.text", ())
    Benchmark(path='s3://bucket/arc.jsonl.gz', columns=('question', 'choices.text'))
    """
    path, colon, rest = word.rpartition(":")
    if not colon or format_of(word) is not None or format_of(path) is None:
        return Benchmark(normalise(word), tuple(columns))
    named = tuple(rest.split(","))
    if not all(named):
        raise UserError(f"{argument('benchmark')} {word}: a column without a name; write {path}:COLUMN,COLUMN")
    return Benchmark(normalise(path), named)


def value_of(record: Any, column: str) -> Any:
    """Return what a record has under a name such as `choices.text`, of a list what each of its items has; or None.

    >>> value_of({"choices": {"text": ["yes", "no"]}}, "choices.text")
    ['yes', 'no']
    """
    if isinstance(record, Mapping) and column in record:
        return record[column]
    if isinstance(record, list):
        return [value_of(each, column) for each in record]
    first, dot, rest = column.partition(".")
    return value_of(record.get(first), rest) if dot and isinstance(record, Mapping) else None


def texts_of(values: Sequence[str | list[str]]) -> tuple[str, ...]:
    """Return the texts of a question: its columns in their order, with each item of a list column in turn.

    Of several list columns, each is told alone. A model sees them as such: the context, and one of the endings. Behind
    them stand those with HellaSwag's marks of headings and steps once more, without these.

    >>> texts_of(["A man sits on a roof. He", ["gets up.", "sings."]])
    ('A man sits on a roof. He gets up.', 'A man sits on a roof. He sings.')
    """
    lists = [place for place, value in enumerate(values) if isinstance(value, list) and value]
    texts = []
    for chosen in lists or [-1]:
        for item in values[chosen] if lists else ("",):
            parts = [item if place == chosen else "" if isinstance(v, list) else v for place, v in enumerate(values)]
            texts.append(" ".join(filter(None, parts)))
    return (*texts, *(_MARKS.sub(" ", text) for text in texts if _MARKS.search(text)))


def without_text(lines: int, questions: int, columns: Sequence[str], first: Sequence[int]) -> str:
    """Return in words how many lines have no text, and which the first are.

    >>> without_text(2, 9, ["question"], [3, 4])
    '2 of 9 lines have no text in column question (lines 3, 4)'
    """
    of = f"column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"
    more = ", …" if lines > len(first) else ""
    which = f"line{'s' if lines > 1 else ''} {', '.join(f'{line:,}' for line in first)}{more}"
    have = "has" if lines == 1 else "have"
    return f"{lines:,} of {questions:,} lines {have} no text in {of} ({which})"


def _own(values: Sequence[str | list[str]]) -> tuple[str, ...]:
    """Return the texts of the first column alone, where others follow it and it is no list."""
    return texts_of(values[:1]) if len(values) > 1 and isinstance(values[0], str) else ()


def _has_text(value: Any) -> bool:
    """Return whether there is any text in a value, be it in a list; a number is none."""
    if isinstance(value, list):
        return any(map(_has_text, value))
    return isinstance(value, str) and bool(value.strip())


def _text(value: Any) -> str | list[str] | None:
    """Return a value as text, or as a list of texts; None for what is neither, such as an object."""
    if value is None:
        return ""
    if isinstance(value, list):
        items = [_text(each) for each in value]
        flat = [part for each in items for part in (each if isinstance(each, list) else [each])]
        return None if any(part is None for part in flat) else [part for part in flat if part]
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return str(value) if is_number else None


def _wrong(path: str, line: int, why: str) -> UserError:
    return UserError(f"{path}: line {line:,}: {why}; mend the line or get the file anew")
