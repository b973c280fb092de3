"""HellaSwag's questions as JSON Lines, and the examples of llm.c's file that they become.

Of each line `ctx`, `endings` (four strings) and `label` (the right one's index); further keys are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from sparkprep.documents.jsonl.lines import DamagedFile, Split, parse, read_lines
from sparkprep.errors import UserError
from sparkprep.io.formats import JSONL_FORMATS, format_of
from sparkprep.llmc import header
from sparkprep.llmc.hellaswag import ENDINGS, Example
from sparkprep.tokenizer.tokenizer import Tokenizer

_LINE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Question:
    """One line of the JSON Lines. label: index of the right ending. endings: four, without the joining blank."""

    context: str
    endings: tuple[str, ...]
    label: int


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
