"""What a run of decontamination can be told: which evaluation sets, how long a run of words, what becomes of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from sparkprep.documents.jsonl.max_bad import max_bad_option
from sparkprep.errors import UserError, argument
from sparkprep.kinds import Integer, OneOf, Text, Texts
from sparkprep.options import Keywords, check_options, option

DROP, REPORT_ONLY = "drop", "report"


@dataclass(frozen=True)
class DecontaminateSettings(Keywords):
    """Settings of one run. Raises UserError on a value that cannot work."""

    benchmark: Sequence[str] = option(
        (),
        "evaluation sets, JSON Lines (.jsonl, also .gz or .zst); FILE:COLUMN,COLUMN names the columns of a file",
        Texts(),
        "FILE",
    )
    benchmark_columns: Sequence[str] = option(
        (),
        "columns that are the text of a question, in the order in which a model sees them; a list, as of endings, is "
        "joined item by item, and a.b is b in a (default: known ones, such as ctx and endings)",
        Texts(","),
        "NAME",
    )
    benchmark_id_column: str | None = option(
        None,
        "column that names a question in the audit (default: `id`, `ind`, `question_id` or `row` where there is one)",
        Text(),
        "NAME",
    )
    ngram_words: int = option(13, "words in a row that a document must share with a question to go", Integer(1, 100))
    min_question_words: int = option(
        8,
        "a question of fewer words than an n-gram is found as a whole, if it has as many as these: with an ending, and "
        "its first column alone",
        Integer(1),
    )
    most_documents: int | None = option(
        None,
        "an n-gram in more documents than these is a common phrase and removes none; the texts are then read twice "
        "(default: every n-gram counts)",
        Integer(1),
    )
    mode: str = option(
        DROP,
        "'drop': documents that hold n-grams go to removed/; 'report': all stay, and audit/ tells of these",
        OneOf((DROP, REPORT_ONLY)),
    )
    ngram_budget: int = option(
        5_000_000,
        "most n-grams of all benchmarks, about 80 bytes each in the driver and in every Python worker",
        Integer(1, 200_000_000),
    )
    text_column: str = option("text", "column that holds the text", Text(), "NAME")
    id_column: str | None = option(
        None,
        "column that names a document in the report (default: `id` where there is one, else the SHA-256 of the text)",
        Text(),
        "NAME",
    )
    max_bad: str = max_bad_option()

    def __post_init__(self) -> None:
        check_options(self)
        if not self.benchmark:
            raise UserError(f"{argument('benchmark')}: name at least one evaluation set, a file of JSON Lines")


class DecontaminateKeywords(TypedDict, total=False):
    """The fields of `DecontaminateSettings`, as a function takes them by keyword: for editors, which show them."""

    benchmark: Sequence[str]
    benchmark_columns: Sequence[str]
    benchmark_id_column: str | None
    ngram_words: int
    min_question_words: int
    most_documents: int | None
    mode: str
    ngram_budget: int
    text_column: str
    id_column: str | None
    max_bad: str
