"""What a task does with its documents: which hold n-grams of an evaluation set, of which question, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.decontaminate import contents
from sparkprep.decontaminate.index import Index
from sparkprep.decontaminate.kernels.grams import I64, hits_of, scan
from sparkprep.decontaminate.tally import Tally
from sparkprep.dedup.kernels.unicode import table
from sparkprep.documents.keys import text_digests
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.io.arrow import filtered, plain, python_values, text_buffers

AROUND = 240
"""Bytes of text that are shown before what matched, and after it; of that, four times as many."""
_ADDED = pa.schema(
    [
        (contents.BENCHMARK_COLUMN, pa.string()),
        (contents.LINE_COLUMN, pa.int64()),
        (contents.ID_COLUMN, pa.string()),
        (contents.WORDS_COLUMN, pa.string()),
        (contents.START_COLUMN, pa.int64()),
        (contents.END_COLUMN, pa.int64()),
        (contents.NGRAMS_COLUMN, pa.int64()),
        (contents.QUESTIONS_COLUMN, pa.int64()),
    ]
)
COUNTS = pa.schema([("gram", pa.int32()), ("documents", pa.int64())])
"""How many of a task's documents hold an n-gram."""


@dataclass(frozen=True)
class Columns:
    """Which columns of the input are looked at. id: None where there is none."""

    text: str
    id: str | None


@dataclass(frozen=True)
class Finding:
    """What a document holds of evaluation sets.

    grams: the different n-grams, ascending. questions: of how many questions they are. question: the one of which most
    are, of several the first. words: its longest run in the text, lower-cased; start, end: where that is, in bytes.
    """

    grams: I64
    benchmarks: frozenset[int]
    questions: int
    question: int
    words: str
    start: int
    end: int


def audit_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of removed/ and audit/: the input's columns and what matched, but for an earlier run's."""
    own = [each for each in documents if each.name not in _ADDED.names]
    return pa.schema([*own, *_ADDED], documents.metadata)


class Search:
    """Searches the documents of one task. ignored: bool (n-grams,), those that remove no document; or None."""

    def __init__(self, index: Index, columns: Columns, ignored: npt.NDArray[np.bool_] | None) -> None:
        self._index = index
        self._columns = columns
        self._ignored = ignored
        self._held = np.zeros(index.size, np.int32)
        self.tally = Tally()

    def searched(self, documents: Documents, number: int) -> Iterator[tuple[pa.RecordBatch, dict[int, Finding]]]:
        """Yield the rows of a piece, some at a time, with what was found in each that holds something."""
        key = documents.pieces[number].first_key
        for batch in documents.batches(number):
            texts = _texts(batch, self._columns.text)
            findings = self._findings(texts)
            self._count(batch, texts, findings, key)
            yield batch, findings
            key += batch.num_rows

    def counted(self, documents: Documents, number: int) -> Iterator[pa.RecordBatch]:
        """Yield, of a piece, what `held` is, and read no more than the texts."""
        for batch in documents.batches(number, [self._columns.text]):
            self._findings(_texts(batch, self._columns.text))
        yield self.held()

    def held(self) -> pa.RecordBatch:
        """Return how many documents hold each n-gram, COUNTS, of those that any does."""
        grams = np.flatnonzero(self._held)
        return pa.RecordBatch.from_arrays(
            [pa.array(grams.astype(np.int32)), pa.array(self._held[grams].astype(np.int64))], schema=COUNTS
        )

    def _findings(self, texts: pa.Array) -> dict[int, Finding]:
        data, offsets, _ = text_buffers(texts)
        seems = np.zeros(len(texts), np.uint8)
        scan(data, offsets, table(), self._index.grams, seems)
        findings = {}
        for row in np.flatnonzero(seems).tolist():
            finding = self._look(data, int(offsets[row]), int(offsets[row + 1]))
            if finding is not None:
                findings[row] = finding
        return findings

    def _look(self, data: npt.NDArray[np.uint8], start: int, end: int) -> Finding | None:
        """Return what a text holds, compared word by word; None where the hashes only seemed to be the same."""
        index = self._index
        firsts, numbers, text, starts, places = hits_of(data, start, end, table(), index.grams)
        if self._ignored is not None:
            counts = ~self._ignored[numbers]
            firsts, numbers = firsts[counts], numbers[counts]
        if not len(numbers):
            return None
        grams = np.unique(numbers)
        self._held[grams] += 1
        gram_of, question_of = self._pairs(grams)
        questions, held = np.unique(question_of, return_counts=True)
        question = int(questions[np.argmax(held)])
        of_it = np.isin(numbers, gram_of[question_of == question])
        first, last = _longest_run(firsts[of_it], index.grams.sizes[numbers[of_it]].astype(np.int64))
        words = text[starts[first] : starts[last] - 1].tobytes().decode()
        benchmarks = frozenset(np.unique(index.benchmark[questions]).tolist())
        begin, stop = int(places[first, 0]), int(places[last - 1, 1])
        return Finding(grams, benchmarks, len(questions), question, words, begin, stop)

    def _pairs(self, grams: I64) -> tuple[I64, npt.NDArray[np.int32]]:
        """Return (n-grams, questions): a pair for each question that one of these n-grams is of."""
        begin = self._index.offsets[grams].astype(np.int64)
        many = self._index.offsets[grams + 1] - begin
        places = np.repeat(begin - np.cumsum(many) + many, many) + np.arange(many.sum())
        return np.repeat(grams, many), self._index.questions[places]

    def _count(self, batch: pa.RecordBatch, texts: pa.Array, findings: dict[int, Finding], key: int) -> None:
        tally = self.tally
        sizes = pc.fill_null(pc.binary_length(texts), 0)
        held = pa.array(sorted(findings), pa.int64())
        total, in_them = (int(pc.sum(each).as_py() or 0) for each in (sizes, sizes.take(held)))
        tally.documents += len(texts)
        tally.text_bytes += total
        tally.clean_bytes += total - in_them
        tally.null_text += texts.null_count
        tally.contaminated += len(findings)
        for row, finding in findings.items():
            tally.by_benchmark.update(finding.benchmarks)
            benchmark = int(self._index.benchmark[finding.question])
            for most in (True, False):
                if tally.wants((benchmark, most), len(finding.grams), key + row):
                    shown = _shown(batch, texts, row, self._columns, finding, self._index, key + row)
                    tally.note((benchmark, most), [shown])


def audited(batch: pa.RecordBatch, columns: Columns, findings: dict[int, Finding], index: Index) -> pa.RecordBatch:
    """Return the rows in which something was found, with what."""
    schema = audit_schema(batch.schema)
    chosen = np.zeros(batch.num_rows, np.bool_)
    chosen[list(findings)] = True
    rows = filtered(batch, chosen) if findings else batch.slice(0, 0)
    texts = _texts(batch, columns.text)
    told = [_row(texts, row, findings[row], index) for row in sorted(findings)]
    added = [pa.array([row[name] for row in told], _ADDED.field(name).type) for name in _ADDED.names]
    own = [rows.column(name) for name in schema.names[: -len(_ADDED)]]
    return pa.RecordBatch.from_arrays([*own, *added], schema=schema)


def clean(batch: pa.RecordBatch, findings: dict[int, Finding]) -> pa.RecordBatch:
    """Return the rows in which nothing was found."""
    if not findings:
        return batch
    chosen = np.ones(batch.num_rows, np.bool_)
    chosen[list(findings)] = False
    return filtered(batch, chosen)


def _texts(batch: pa.RecordBatch, column: str) -> pa.Array:
    texts = plain(batch[column])
    return texts.cast(pa.string()) if pa.types.is_null(texts.type) else texts


def _longest_run(firsts: I64, sizes: I64) -> tuple[int, int]:
    """Return (first word, word behind the last) of the longest run that n-grams cover; of several, the first.

    firsts, sizes: int64, where each n-gram begins, ascending, and its words; a run ends where the next one begins
    behind it.
    """
    ends = np.maximum.accumulate(firsts + sizes)
    breaks = np.flatnonzero(firsts[1:] > ends[:-1]) + 1
    begins = firsts[np.concatenate([[0], breaks])]
    stops = ends[np.concatenate([breaks - 1, [len(firsts) - 1]])]
    longest = int(np.argmax(stops - begins))
    return int(begins[longest]), int(stops[longest])


def _row(texts: pa.Array, row: int, finding: Finding, index: Index) -> dict[str, Any]:
    data, offsets, _ = text_buffers(texts)
    start = int(offsets[row])
    return {
        contents.BENCHMARK_COLUMN: index.names[index.benchmark[finding.question]],
        contents.LINE_COLUMN: int(index.line[finding.question]),
        contents.ID_COLUMN: index.ids[finding.question].as_py(),
        contents.WORDS_COLUMN: finding.words,
        contents.START_COLUMN: _characters(data[start : start + finding.start]),
        contents.END_COLUMN: _characters(data[start : start + finding.end]),
        contents.NGRAMS_COLUMN: len(finding.grams),
        contents.QUESTIONS_COLUMN: finding.questions,
    }


def _characters(data: npt.NDArray[np.uint8]) -> int:
    """Return the code points of UTF-8 bytes."""
    return int(np.count_nonzero(data & 0xC0 != 0x80))


def _shown(
    batch: pa.RecordBatch, texts: pa.Array, row: int, columns: Columns, finding: Finding, index: Index, key: int
) -> dict[str, Any]:
    """Return what the report shows of a document."""
    one = texts.slice(row, 1)
    name = python_values(batch[columns.id].slice(row, 1) if columns.id else text_digests(one))[0]
    data, offsets, _ = text_buffers(one)
    text = data[offsets[0] : offsets[1]]
    start, end = finding.start, finding.end

    def part(first: int, last: int) -> str:
        last = min(last, len(text))
        while first < last and text[first] & 0xC0 == 0x80:  # not within a character
            first += 1
        return text[first:last].tobytes().decode("utf-8", "replace")

    most = 4 * AROUND
    matched = part(start, end) if end - start <= most else f"{part(start, start + most).rstrip(chr(0xFFFD))} …"
    return {
        "key": key,
        "id": str(name),
        "benchmark": int(index.benchmark[finding.question]),
        "line": int(index.line[finding.question]),
        "question_id": index.ids[finding.question].as_py(),
        "question": finding.question,
        "ngrams": len(finding.grams),
        "questions": finding.questions,
        "before": f"{'… ' if start > AROUND else ''}{part(max(0, start - AROUND), start)}",
        "matched": matched,
        "after": f"{part(end, end + AROUND).rstrip(chr(0xFFFD))}{' …' if end + AROUND < len(text) else ''}",
    }
