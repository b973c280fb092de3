"""The first pass over JSON Lines: every line checked, and the kinds of all values seen, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pyspark.sql import SparkSession

from sparkprep.documents.jsonl.kinds import Kind
from sparkprep.documents.jsonl.lines import DamagedFile, Split
from sparkprep.documents.jsonl.tasks import JsonlSettings, records_of
from sparkprep.errors import UserError, argument
from sparkprep.io.formats import CODECS
from sparkprep.io.recognise import CODEC_NAMES, HEAD_BYTES, read_head, what_is
from sparkprep.spark.tasks import run

_MAX_COLUMNS = 5_000
_SHOWN_BAD_LINES = 5


@dataclass(frozen=True)
class SplitSurvey:
    """What the first pass counted in one split.

    lines: all of them, blank ones included. first_bad: (line in the split from 0, reason).
    """

    split: Split
    lines: int
    documents: int
    bad: int
    first_bad: tuple[tuple[int, str], ...]
    kind: Kind


def survey_all(spark: SparkSession, groups: list[list[Split]], settings: JsonlSettings) -> list[SplitSurvey]:
    """Make the first pass; return one survey for each split, in the order of files.

    Raises UserError for a damaged file.
    """
    answers = run(spark, range(len(groups)), _survey_task(groups, settings))
    surveys = []
    for group, answer in zip(groups, answers, strict=True):
        for split, result in zip(group, orjson.loads(answer), strict=True):
            if isinstance(result, str):
                raise UserError(f"{split.path}: {result}; {_way_out(split)}")
            lines, documents, bad, first_bad, form = result
            first = tuple((line, why) for line, why in first_bad)
            surveys.append(SplitSurvey(split, lines, documents, bad, first, Kind.load(form)))
    return surveys


def _way_out(split: Split) -> str:
    """Return what to do about a file that cannot be read to its end: it may be another kind than its name says."""
    codec = CODECS.get(split.format)
    recognised = what_is(read_head(split.path, HEAD_BYTES)) if codec else None
    if codec is None or recognised is None or recognised.kind == CODEC_NAMES[codec]:
        return "restore the file or leave it out"
    return recognised.told(split.path)


def _survey_task(groups: list[list[Split]], settings: JsonlSettings) -> Callable[[int], list[bytes]]:
    def survey(split: Split) -> Any:
        lines = documents = 0
        bad: list[tuple[int, str]] = []
        bad_count = 0
        kind = Kind()
        try:
            for record, why, _ in records_of(split, settings):
                lines += 1
                if record is not None:
                    documents += 1
                    kind.observe_fields(record)
                    record = None  # lest a long record is held while the next one is read
                    if len(kind.fields) > _MAX_COLUMNS:
                        return f"over {_MAX_COLUMNS:,} different columns by line {lines:,} of this part; not a table"
                elif why:
                    bad_count += 1
                    if len(bad) < _SHOWN_BAD_LINES:
                        bad.append((lines - 1, why))
        except (DamagedFile, UserError) as error:
            # Told as a result: of a raised error Spark would make retries and a long trace.
            return str(error).removeprefix(f"{split.path}: ")
        return lines, documents, bad_count, bad, kind.dump()

    def task(number: int) -> list[bytes]:
        return [orjson.dumps([survey(split) for split in groups[number]])]

    return task


def first_line_numbers(surveys: Sequence[SplitSurvey]) -> dict[tuple[str, int], int]:
    """Return the line of its file, from 1, at which each split begins; a split is named by path and first byte."""
    first: dict[tuple[str, int], int] = {}
    following: dict[str, int] = {}
    for survey in surveys:
        line = following.get(survey.split.path, 1)
        first[survey.split.path, survey.split.start] = line
        following[survey.split.path] = line + survey.lines
    return first


def first_rejected_lines(surveys: Sequence[SplitSurvey], first_lines: dict[tuple[str, int], int]) -> list[str]:
    """Return the first few bad lines as "file:line: reason"; first_lines: as `first_line_numbers` gives them."""
    shown = []
    for survey in surveys:
        path = survey.split.path
        shown += [f"{path}:{first_lines[path, survey.split.start] + index}: {why}" for index, why in survey.first_bad]
        if len(shown) >= _SHOWN_BAD_LINES:
            break
    return shown[:_SHOWN_BAD_LINES]


def merge_kinds(surveys: Sequence[SplitSurvey], settings: JsonlSettings) -> Kind:
    """Return the kinds of all columns, in the order of their first appearance."""
    merged = Kind()
    for survey in surveys:
        merged.merge(survey.kind)
    if len(merged.fields) > _MAX_COLUMNS:
        raise UserError(
            f"the input has over {_MAX_COLUMNS:,} different columns, which is no table; rename or drop some"
        )
    if settings.text_column not in merged.fields:
        raise UserError(
            f"{surveys[0].split.path}: no line has a column '{settings.text_column}'; columns there are: "
            f"{', '.join(list(merged.fields)[:50]) or 'none'}; name it by {argument('text_column')}"
        )
    return merged
