"""Why a document was removed by the rules of curation, or which of their thresholds it came near: for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.console import safe_text
from sparkprep.documents.finding import Place, Places, find_rows, rows_at
from sparkprep.documents.keys import id_column, shown_as, text_digests
from sparkprep.errors import UserError
from sparkprep.filter.contents import KEPT, LIMIT_COLUMN, METRICS, REMOVED, RULE_COLUMN, VALUE_COLUMN
from sparkprep.filter.kernels.judge import Questions, judge
from sparkprep.filter.questions import questions_of
from sparkprep.filter.report import measure
from sparkprep.filter.rules import C4, NUMBERS, RULES, Bound
from sparkprep.filter.settings import FilterSettings
from sparkprep.io.json_files import read_json
from sparkprep.io.parquet import open_parquet
from sparkprep.io.paths import join_path, normalise
from sparkprep.summary import document_line, text_lines

MOST_SHOWN = 5
"""Documents of one name that are explained, and thresholds that a kept one is nearest to."""
_ADVICE = "name the output folder of a finished filter"
_KEYS = {"settings": dict, "rules": list, "parts": dict}
_SIDE = {Bound.BELOW: "below", Bound.ABOVE: "above"}


class FilteredRun:
    """A result folder of `filter`, local or on S3. Raises UserError where it is none that this version can ask."""

    def __init__(self, folder: str) -> None:
        self.folder = normalise(folder)
        self.metrics = read_json(join_path(self.folder, METRICS), _ADVICE, _KEYS)
        try:
            names = {each.name for each in fields(FilterSettings)}
            given: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in self.metrics["settings"].items()
                if name in names
            }
            self.settings = FilterSettings(**given)
            first = self.metrics["parts"][REMOVED][0]["name"]
        except (UserError, TypeError, KeyError, IndexError) as error:
            raise UserError(f"{folder}: made by another version of sparkprep ({error}); run filter again") from error
        with open_parquet(join_path(self.folder, REMOVED, first)) as file:
            self.columns: list[str] = file.schema_arrow.names
        self.id_column = id_column(self.settings.id_column, self.columns)

    @property
    def source_column(self) -> str | None:
        """The column of the documents' sources, where there is one."""
        sources = self.metrics.get("sources")
        return str(sources["column"]) if sources else None

    def named(self, table: str, name: str, column: str | None) -> Places:
        """Return the rows of a table that bear an identifier, as it is shown, or that value in another column."""
        column = column or self.id_column
        by_text = column is None

        def matches(values: pa.Array) -> npt.NDArray[np.bool_]:
            return shown_as(text_digests(values) if by_text else values, name)

        parts = self.metrics["parts"][table]
        searched = column or self.settings.text_column
        return find_rows(join_path(self.folder, table), parts, searched, matches, MOST_SHOWN, texts=by_text)

    def rows(self, places: Sequence[Place]) -> list[dict[str, Any]]:
        """Return these rows, with what is shown of them."""
        names = [self.settings.text_column, self.id_column, self.source_column]
        return list(rows_at(places, [*filter(None, names), RULE_COLUMN, VALUE_COLUMN, LIMIT_COLUMN]))


def explain(run: FilteredRun, name: str, column: str | None = None, whole: bool = False) -> str:
    """Return by which rule the documents of a name went, and what it measured, or which thresholds they came near.

    column: by whose values the documents are named, where it is not by their identifiers. whole: give the whole texts
    too. Raises UserError where no document of the run bears the name.
    """
    if column is not None and column not in run.columns:
        raise UserError(f"{run.folder}: there is no column {column!r}; columns there are: {', '.join(run.columns)}")
    removed, kept = (run.named(table, name, column) for table in (REMOVED, KEPT))
    number = removed.number + kept.number
    if not number:
        by = column or run.id_column
        what = f"column {by!r}" if by else "the SHA-256 of their texts, as there is no id column"
        raise UserError(f"{run.folder}: no document there is named {name!r} (documents are named by {what})")
    told = [_removed(run, row, whole) for row in run.rows(removed.first)]
    told += [_kept(run, row, whole) for row in run.rows(kept.first[: MOST_SHOWN - len(told)])]
    if number > 1:
        first = f"; the first {MOST_SHOWN}:" if number > MOST_SHOWN else ":"
        told.insert(0, f"{number:,} documents are named so{first}")
    return "\n\n".join(told)


def _removed(run: FilteredRun, row: dict[str, Any], whole: bool) -> str:
    rule, text = row[RULE_COLUMN], row[run.settings.text_column]
    others = [each for each in _fails(text, questions_of(run.settings)) if RULES[each[0]].name != rule]
    lines = [_line(run, "removed", row), f"  why        {_failed(rule, row[VALUE_COLUMN], row[LIMIT_COLUMN])}"]
    for number, (place, value) in enumerate(others[:MOST_SHOWN]):
        setting = RULES[place].setting
        limit = getattr(run.settings, setting) if setting else None
        lines.append(f"  {'fails too' if number == 0 else '':<10} {_failed(RULES[place].name, value, limit)}")
    if len(others) > MOST_SHOWN:
        lines.append(f"  {'':<10} and {len(others) - MOST_SHOWN:,} more")
    return "\n".join([*lines, *text_lines(text, whole)])


def _kept(run: FilteredRun, row: dict[str, Any], whole: bool) -> str:
    settings, text = run.settings, row[run.settings.text_column]
    found = judge(pa.array([text], pa.string()), questions_of(settings))
    lines = [_line(run, "kept", row)]
    if found.rule[0] >= 0:
        rule = RULES[found.rule[0]]
        limit = getattr(settings, rule.setting) if rule.setting else None
        lines.append(f"  now fails  {_failed(rule.name, float(found.value[0]), limit)}")
    far = found.distances(questions_of(settings))[0]
    near = [place for place in np.argsort(far, kind="stable").tolist() if not np.isnan(far[place])]
    for number, place in enumerate(near[:MOST_SHOWN]):
        rule, value = RULES[place], float(found.measured[0, place])
        limit = getattr(settings, rule.setting or "")
        goes = f"it would go {_SIDE[rule.bound]} {measure(limit)}"
        word = "nearest" if number == 0 else ""
        lines.append(f"  {word:<10} {rule.name}: {rule.about}: {_exact(value, limit)}; {goes}")
    if settings.personal == "replace" or (C4 in settings.rules and settings.c4_lines == "remove"):
        lines.append("  note       measured of the text as it was kept, which the run may have changed")
    return "\n".join([*lines, *text_lines(text, whole)])


def _fails(text: str | None, questions: Questions) -> list[tuple[int, float]]:
    """Return (rule, what it measured) of every rule by which a text would go, each asked as if those before let it."""
    active = questions.active.copy()
    found: list[tuple[int, float]] = []
    while True:
        judgement = judge(pa.array([text], pa.string()), questions._replace(active=active))
        rule = int(judgement.rule[0])
        if rule < 0 or not active[rule]:
            return found
        found.append((rule, float(judgement.value[0])))
        active[rule] = 0


def _failed(name: str, value: float | None, limit: float | None) -> str:
    """Tell of a rule by which a document goes. It may be one of another version."""
    if name not in NUMBERS:
        return safe_text(name)
    rule = RULES[NUMBERS[name]]
    if rule.bound not in _SIDE or limit is None or value is None:
        return f"{rule.name}: {rule.about}"
    return f"{rule.name}: {rule.about}: {_exact(value, limit)}, {_SIDE[rule.bound]} the threshold {measure(limit)}"


def _exact(value: float, limit: float) -> str:
    """Show what was measured, in as many places as tell it from the threshold."""
    return measure(value) if value == limit or measure(value) != measure(limit) else repr(value)


def _line(run: FilteredRun, word: str, row: dict[str, Any]) -> str:
    text = row[run.settings.text_column] or ""
    name = row[run.id_column] if run.id_column else text_digests(pa.array([text]))[0]
    return document_line(word, name, row.get(run.source_column) if run.source_column else None, len(text))
