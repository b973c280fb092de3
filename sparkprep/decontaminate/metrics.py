"""The figures of a run: metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkprep.decontaminate.benchmarks import without_text
from sparkprep.decontaminate.index import Index, Searched
from sparkprep.decontaminate.kernels.grams import I64
from sparkprep.decontaminate.settings import REPORT_ONLY, DecontaminateSettings
from sparkprep.decontaminate.tally import Tally
from sparkprep.documents.surroundings import Surroundings
from sparkprep.errors import argument
from sparkprep.io.left_out import name_left_out

FORMAT = 1
TOP = 20
COMMON = 10
"""An n-gram in more documents is one to be looked at. GPT-3 took no notice of such (Brown et al. 2020, appendix C)."""


def build(
    run: Surroundings[DecontaminateSettings], tally: Tally, index: Index, searched: Sequence[Searched], held: I64
) -> dict[str, Any]:
    """Return everything that metrics.json holds, but for the stages.

    held: int64 (n-grams,), how many documents hold each, those that are common among them.
    """
    settings, opened = run.settings, run.opened
    removed = 0 if settings.mode == REPORT_ONLY else tally.contaminated
    counts = held > 0
    if settings.most_documents is not None:
        counts &= held <= settings.most_documents
    benchmarks = _benchmarks(index, searched, tally, counts)
    return {
        **run.head(FORMAT, tally.documents, text_bytes=tally.text_bytes, clean_text_bytes=tally.clean_bytes),
        "counts": {
            "input": tally.documents + opened.rejected,
            "kept": tally.documents - removed,
            "removed": removed,
            "contaminated": tally.contaminated,
            "rejected": opened.rejected,
            "null_text": tally.null_text,
        },
        "benchmarks": benchmarks,
        "ngrams": {
            "distinct": index.size,
            "found": int((held > 0).sum()),
            "common": int((held > 0).sum() - counts.sum()),
            "frequent": _frequent(index, held, counts),
        },
        "parts": run.parts,
        "warnings": [*opened.warnings, *_warnings(settings, benchmarks, held)],
        "left_out": name_left_out(opened.listing.left_out),
    }


def _benchmarks(index: Index, searched: Sequence[Searched], tally: Tally, counts: Any) -> list[dict[str, Any]]:
    """Return what is told of each benchmark. counts: bool (n-grams,), those that were found and are not common."""
    gram = np.repeat(np.arange(index.size), np.diff(index.offsets))  # of each pair with a question
    of = index.benchmark[index.questions]
    told = []
    for number, each in enumerate(searched):
        own, found = of == number, (of == number) & counts[gram]
        told.append(
            {
                **asdict(each),
                "columns": list(each.columns),
                "lines_without_text": list(each.lines_without_text),
                "ngrams": _distinct(gram[own], index.size),
                "documents": tally.by_benchmark[number],
                "questions_found": _distinct(index.questions[found], len(index.line)),
                "ngrams_found": _distinct(gram[found], index.size),
            }
        )
    return told


def _distinct(numbers: npt.NDArray[Any], size: int) -> int:
    """Return how many different ones there are among numbers below `size`."""
    is_there = np.zeros(size, np.bool_)
    is_there[numbers] = True
    return int(is_there.sum())


def _frequent(index: Index, held: I64, counts: Any) -> list[dict[str, Any]]:
    """Return the n-grams that stand in most documents, two or more; of equally frequent ones, the first."""
    several = np.flatnonzero(held > 1)
    rows = []
    for number in several[np.argsort(-held[several], kind="stable")[:TOP]].tolist():
        question = index.questions[index.offsets[number]]
        rows.append(
            {
                "words": index.words_of(number),
                "documents": int(held[number]),
                "benchmark": index.names[index.benchmark[question]],
                "line": int(index.line[question]),
                "questions": int(index.offsets[number + 1] - index.offsets[number]),
                "is_common": not counts[number],
            }
        )
    return rows


def _warnings(settings: DecontaminateSettings, benchmarks: Sequence[dict[str, Any]], held: I64) -> list[str]:
    least = min(settings.min_question_words, settings.ngram_words)
    warnings = [
        f"{each['name']}: {each['too_short']:,} of {each['questions']:,} questions have fewer than {least} words and "
        "cannot be found"
        for each in benchmarks
        if each["too_short"]
    ]
    warnings += [
        f"{each['name']}: {told}; look whether the file is whole, or name other columns"
        for each in benchmarks
        if each["without_text"]
        for told in [without_text(each["without_text"], each["questions"], each["columns"], each["lines_without_text"])]
    ]
    many = int((held > COMMON).sum())
    if many and settings.most_documents is None:
        warnings.append(
            f"{many:,} n-gram{' stands' if many == 1 else 's stand'} in more than {COMMON} documents: common phrases, "
            f"or copies of a question; {argument('most_documents', COMMON)} would let such documents stay"
        )
    return warnings
