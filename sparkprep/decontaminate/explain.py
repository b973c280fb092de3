"""Why a document was set apart from a corpus: what of which question it holds, for a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.console import safe_text
from sparkprep.decontaminate.contents import (
    AUDIT,
    BENCHMARK_COLUMN,
    END_COLUMN,
    ID_COLUMN,
    KEPT,
    LINE_COLUMN,
    METRICS,
    NGRAMS_COLUMN,
    QUESTIONS_COLUMN,
    REMOVED,
    START_COLUMN,
    WORDS_COLUMN,
)
from sparkprep.decontaminate.settings import REPORT_ONLY
from sparkprep.documents.finding import Places, find_rows, rows_at
from sparkprep.documents.keys import id_column, shown_as, text_digests
from sparkprep.errors import UserError
from sparkprep.io.json_files import read_json
from sparkprep.io.parquet import open_parquet
from sparkprep.io.paths import join_path, normalise
from sparkprep.summary import document_line, lines_around, text_lines
from sparkprep.units import counted

MOST_SHOWN = 5
"""Documents of one name that are explained."""
_ADVICE = "name the output folder of a finished decontaminate"
_KEYS = {"settings": dict, "benchmarks": list, "parts": dict}
_MATCHED = (
    *(BENCHMARK_COLUMN, LINE_COLUMN, ID_COLUMN, WORDS_COLUMN, START_COLUMN, END_COLUMN),
    *(NGRAMS_COLUMN, QUESTIONS_COLUMN),
)


class DecontaminatedRun:
    """A result folder of `decontaminate`, local or on S3. Raises UserError where it is none that can be asked."""

    def __init__(self, folder: str) -> None:
        self.folder = normalise(folder)
        self.metrics = read_json(join_path(self.folder, METRICS), _ADVICE, _KEYS)
        settings = self.metrics["settings"]
        try:
            self.stays: bool = settings["mode"] == REPORT_ONLY
            self.found = AUDIT if self.stays else REMOVED
            self.text_column: str = settings["text_column"]
            first = self.metrics["parts"][self.found][0]["name"]
            given = settings["id_column"]
        except (KeyError, IndexError) as error:
            raise UserError(
                f"{folder}: made by another version of sparkprep ({error}); run decontaminate again"
            ) from error
        with open_parquet(join_path(self.folder, self.found, first)) as file:
            self.columns = [name for name in file.schema_arrow.names if name not in _MATCHED]
        self.id_column = id_column(given, self.columns)

    def named(self, table: str, name: str, column: str | None) -> Places:
        """Return the rows of a table that bear an identifier, as it is shown, or that value in another column."""
        column = column or self.id_column

        def matches(values: pa.Array) -> npt.NDArray[np.bool_]:
            return shown_as(values if column else text_digests(values), name)

        parts, searched = self.metrics["parts"][table], column or self.text_column
        return find_rows(join_path(self.folder, table), parts, searched, matches, MOST_SHOWN, texts=column is None)


def explain(run: DecontaminatedRun, name: str, column: str | None = None, whole: bool = False) -> str:
    """Return what of which questions the documents of a name hold.

    column: by whose values the documents are named, where it is not by their identifiers. whole: give the whole texts
    too. Raises UserError where no document of the run bears the name.
    """
    if column is not None and column not in run.columns:
        raise UserError(f"{run.folder}: there is no column {column!r}; columns there are: {', '.join(run.columns)}")
    found, kept = (run.named(table, name, column) for table in (run.found, KEPT))
    clean = kept.number - (found.number if run.stays else 0)  # those that only are told of lie in both
    number = found.number + clean
    if not number:
        by = column or run.id_column
        what = f"column {by!r}" if by else "the SHA-256 of their texts, as there is no id column"
        raise UserError(f"{run.folder}: no document there is named {name!r} (documents are named by {what})")
    columns = [run.text_column, *([run.id_column] if run.id_column else []), *_MATCHED]
    told = [_holding(run, row, whole) for row in rows_at(found.first, columns)]
    if clean:
        told += [_clean(run, row, whole) for row in rows_at(kept.first[: max(1, MOST_SHOWN - len(told))], columns)]
    if number > 1:
        first = f"; the first {MOST_SHOWN}:" if number > MOST_SHOWN else ":"
        told.insert(0, f"{number:,} documents are named so{first}")
    return "\n\n".join(told)


def _holding(run: DecontaminatedRun, row: dict[str, Any], whole: bool) -> str:
    question = f"{row[BENCHMARK_COLUMN]} line {row[LINE_COLUMN]:,}"
    if row[ID_COLUMN] is not None:
        question += f" ({row[ID_COLUMN]})"
    held = f"{counted(row[NGRAMS_COLUMN], 'n-gram')} of {counted(row[QUESTIONS_COLUMN], 'question')}"
    return "\n".join(
        [
            _line(run, "told of" if run.stays else "removed", row),
            f"  {'why':<10} it holds {held}, most of {safe_text(question)}",
            f"  {'words':<10} {safe_text(row[WORDS_COLUMN])}",
            f"  {'where':<10} characters {row[START_COLUMN]:,} to {row[END_COLUMN]:,} of its text",
            *lines_around(row[run.text_column], row[START_COLUMN], row[END_COLUMN], whole),
        ]
    )


def _clean(run: DecontaminatedRun, row: dict[str, Any], whole: bool) -> str:
    most = run.metrics["settings"].get("most_documents")
    common = f", or only such as are in more than {most:,} documents" if most is not None else ""
    names = ", ".join(each["name"] for each in run.metrics["benchmarks"])
    why = f"  {'why':<10} it holds no n-gram of {safe_text(names)}{common}"
    return "\n".join([_line(run, "kept", row), why, *text_lines(row[run.text_column], whole)])


def _line(run: DecontaminatedRun, word: str, row: dict[str, Any]) -> str:
    text = row[run.text_column] or ""
    name = row[run.id_column] if run.id_column else text_digests(pa.array([text]))[0]
    return document_line(word, name, None, len(text))
