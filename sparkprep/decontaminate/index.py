"""Evaluation sets -> one table of their n-grams, which tasks search texts for, and what is known of each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.decontaminate.benchmarks import Reading, benchmark_of
from sparkprep.decontaminate.kernels.grams import ANCHOR, BITS, I32, I64, NONE, Grams, fill
from sparkprep.decontaminate.kernels.words import lowered_words, word_hashes
from sparkprep.decontaminate.settings import DecontaminateSettings
from sparkprep.dedup.kernels.unicode import table
from sparkprep.errors import UserError, argument

_MOST_BYTES = (1 << 31) - 1
"""Of the words' text: what 32-bit places reach."""
BYTES_PER_NGRAM = 80
"""About what an n-gram takes in the driver and in each Python worker, its words and its questions included."""


@dataclass(frozen=True)
class Index:
    """What tasks are handed. Questions are numbered from 0, over all benchmarks, in their order."""

    grams: Grams
    offsets: I32
    """(n-grams + 1,) where the questions of each begin in `questions`"""
    questions: I32
    benchmark: I32
    """(questions,) which of `names` each is of"""
    line: I32
    """(questions,)"""
    ids: pa.Array
    """(questions,) strings; null where a question has no name"""
    names: tuple[str, ...]
    shown: I32
    """(questions, 2) the words where the first text of each begins and ends; twice 0 where it is not searched for"""

    @property
    def size(self) -> int:
        """The number of distinct n-grams."""
        return len(self.grams.first)

    def words_of(self, number: int) -> str:
        """Return the words of an n-gram, lower-cased, with a blank between them."""
        first = int(self.grams.first[number])
        return self._words(first, first + int(self.grams.sizes[number]))

    def text_of(self, question: int, most: int) -> str:
        """Return the first words of a question, lower-cased, with an ellipsis where there are more than `most`."""
        first, last = self.shown[question].tolist()
        more = " …" if last - first > most else ""
        return self._words(first, min(last, first + most)) + more

    def _words(self, first: int, last: int) -> str:
        start, end = self.grams.starts[first], self.grams.starts[last] - 1
        return self.grams.text[start:end].tobytes().decode() if last > first else ""


@dataclass(frozen=True)
class Searched:
    """What is told of a benchmark. whole: questions searched for as a whole only; too_short: those that cannot be.

    without_text: lines that have no text in the columns, and are none of the former; lines_without_text: the first.
    """

    path: str
    name: str
    columns: tuple[str, ...]
    bytes: int
    sha256: str
    questions: int
    whole: int
    too_short: int
    without_text: int = 0
    lines_without_text: tuple[int, ...] = ()


class Words:
    """The words of texts, one after another, as they are read; bounded by the budget of n-grams."""

    def __init__(self, settings: DecontaminateSettings) -> None:
        self.width = settings.ngram_words
        self.least = min(settings.min_question_words, settings.ngram_words)
        self.budget = settings.ngram_budget
        self.pieces: list[npt.NDArray[np.uint8]] = []
        self.ends: list[I64] = []
        self.hashes: list[npt.NDArray[np.uint64]] = []
        self.texts: list[tuple[int, int]] = []
        self.questions: list[int] = []
        self.words = self.bytes = self.grams = self.asked = 0

    def add(self, texts: Sequence[str], question: int, where: str, own: Sequence[str] = ()) -> int:
        """Take in the texts of a question; return the words of the longest. Raises UserError beyond the budget.

        A text that begins as the one before it, as with each of four endings, is taken in from where it differs, with
        the words before that which belong to new n-grams. own: the question without what follows it, taken in where
        that has fewer words than an n-gram: otherwise its n-grams are among those of the texts.
        """
        before: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        longest = 0
        self.asked += 1
        self._check(where)
        for place, text in enumerate((*texts, *own)):
            data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
            hashes = np.empty((len(data) + 1) // 2, np.uint64)
            hashes = hashes[: word_hashes(data, 0, len(data), table(), hashes)]
            longest = max(longest, len(hashes))
            size = min(self.width, len(hashes))
            if place >= len(texts) and size == self.width:
                continue
            if size < self.least or np.array_equal(hashes, before):
                continue
            skipped = 0
            if size == self.width and len(before) >= size:
                shorter = min(len(before), len(hashes))
                differs = np.flatnonzero(before[:shorter] != hashes[:shorter])
                skipped = max(0, (int(differs[0]) if len(differs) else shorter) - size + 1)
            before = hashes
            if len(hashes) - skipped >= size:
                self._take(data, hashes, skipped, question)
                self.grams += len(hashes) - skipped - size + 1
                self._check(where)
        return longest

    def _take(self, data: npt.NDArray[np.uint8], hashes: npt.NDArray[np.uint64], skipped: int, question: int) -> None:
        lowered, starts, _ = lowered_words(data, 0, len(data), table())
        self.pieces.append(lowered[starts[skipped] :])
        self.ends.append(starts[skipped + 1 :] - starts[skipped] + self.bytes)
        self.hashes.append(hashes[skipped:].copy())
        count = len(hashes) - skipped
        self.texts.append((self.words, self.words + count))
        self.questions.append(question)
        self.words += count
        self.bytes += len(self.pieces[-1])

    def _check(self, where: str) -> None:
        """Refuse what does not fit into the budget: n-grams, questions, or the text of words."""
        for number, most, what in (
            (self.grams, self.budget, f"{self.budget:,} n-grams"),
            (self.asked, self.budget, f"{self.budget:,} questions"),
            (self.bytes, _MOST_BYTES, "2 GiB of words"),
        ):
            if number > most:
                raise UserError(
                    f"{where}: the benchmarks hold more than {what} up to here; name fewer of them or fewer columns, "
                    f"or raise {argument('ngram_budget')}: an n-gram takes about {BYTES_PER_NGRAM} bytes in the driver "
                    "and in every Python worker"
                )

    def table(self) -> tuple[Grams, I32, I32]:
        """Return the n-grams, and their pairs with questions: (offsets, questions), as `Index` has them."""
        sizes = [min(self.width, end - begin) for begin, end in self.texts]
        lengths = np.unique(np.array(sizes, np.int64))
        anchor = min(ANCHOR, int(lengths[0])) if len(lengths) else 1
        room = max(self.grams, 1)
        slots = 1 << (room + room // 2).bit_length()
        bits = 1 << max(6, (BITS * self.words).bit_length() - 1)
        grams = Grams(
            np.concatenate(self.pieces or [np.empty(0, np.uint8)]),
            np.concatenate([np.zeros(1, np.int64), *self.ends]).astype(np.int32),
            np.empty(room, np.int32),
            np.empty(room, np.uint8),
            lengths,
            np.zeros(slots, np.uint64),
            np.full(slots, NONE, np.int32),
            np.zeros(bits // 64, np.uint64),
            anchor,
        )
        pairs = np.empty(room, np.int32), np.empty(room, np.int32)
        hashes = np.concatenate(self.hashes or [np.empty(0, np.uint64)])
        texts = np.array(self.texts, np.int64).reshape(-1, 2)
        questions = np.array(self.questions, np.int32)
        count, paired = fill(grams, hashes, texts, questions, self.width, self.least, *pairs)
        of_gram, of_question = (each[:paired] for each in pairs)
        order = np.argsort(of_gram, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(of_gram, minlength=count))]).astype(np.int32)
        grams = grams._replace(first=grams.first[:count].copy(), sizes=grams.sizes[:count].copy())
        return grams, offsets, of_question[order]


def read_index(settings: DecontaminateSettings) -> tuple[Index, list[Searched]]:
    """Read the benchmarks and make the table of their n-grams.

    Raises UserError for a file that is not there or no benchmark, for one of whose questions all are too short, and
    where there are more n-grams than the budget allows.
    """
    words = Words(settings)
    benchmark: list[int] = []
    line: list[int] = []
    ids: list[str | None] = []
    told: list[Searched] = []
    for word in settings.benchmark:
        reading = Reading(benchmark_of(word, settings.benchmark_columns), settings.benchmark_id_column)
        path = reading.benchmark.path
        whole = too_short = 0
        for question in reading:
            longest = words.add(question.texts, len(line), f"{path}: line {question.line:,}", question.own)
            whole += words.least <= longest < words.width
            too_short += question.has_text and longest < words.least
            benchmark.append(len(told))
            line.append(question.line)
            ids.append(question.id)
        if too_short + reading.without_text == reading.questions:
            raise _all_too_short(path, words)
        facts = (reading.columns, reading.bytes, reading.sha256, reading.questions, whole, too_short)
        without_text = reading.without_text, reading.lines_without_text
        told.append(Searched(path, reading.benchmark.name, *facts, *without_text))
    grams, offsets, questions = words.table()
    names = _names(told)
    told = [Searched(**{**vars(each), "name": name}) for each, name in zip(told, names, strict=True)]
    numbers = np.array(benchmark, np.int32), np.array(line, np.int32)
    shown = np.zeros((len(line), 2), np.int32)
    first = np.unique(np.array(words.questions, np.int32), return_index=True)
    shown[first[0]] = np.array(words.texts, np.int32).reshape(-1, 2)[first[1]]
    return Index(grams, offsets, questions, *numbers, pa.array(ids, pa.string()), names, shown), told


def _names(told: Sequence[Searched]) -> tuple[str, ...]:
    """Return what each benchmark is called: its file's name, or its path where two files have one name."""
    names = [each.name for each in told]
    paths = [each.path for each in told]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise UserError(f"{argument('benchmark')}: {path} is given twice; name all its columns at once")
    return tuple(each.path if names.count(each.name) > 1 else each.name for each in told)


def _all_too_short(path: str, words: Words) -> UserError:
    return UserError(
        f"{path}: every question has fewer than {words.least} words, so that none can be found; name more columns, or "
        f"lower {argument('min_question_words')} (short questions are found in texts that only use the same words)"
    )
