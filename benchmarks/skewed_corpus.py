"""Documents whose similarities are known and whose shape is bad for a search by buckets: texts of 86 to 100 words.

A shape is made of texts, numbered, and of the pairs of texts that reach 0.8, with their Jaccard similarity: no others
do. Documents bear a text each; their identifiers sort as their keep ranks do (`--keep first`), and their rows lie in
another order. All of it follows from the shape's name, the number of documents and a seed.

boilerplate  100 words of which the first 88 are everyone's: two unrelated documents have 84 / 108. One in twenty is its
             neighbour with another last word. 45 % of all share a bucket in each band of 6 rows.
identical    one text, for 100 documents in 103; of the others, one differs in one word and two are unrelated to all.
chain        a window of 86 words moves over a stream by 5: 77 / 87 with the next one, 72 / 92 with the one after.
giant        a text is an earlier one with one of 16 words replaced, no two of which share a shingle: texts that differ
             in one place have 77 / 87, in two places 72 / 92. All are connected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

I64 = npt.NDArray[np.int64]

THRESHOLD = 0.8
ROWS_PER_FILE = 20_000
BODY, TAIL = 88, 12
WINDOW, STEP = 86, 5
PLACES = np.arange(4, WINDOW - 5, 5)
"""Words whose shingles are five each, and no other's: 16 of 86."""


@dataclass(frozen=True)
class Shape:
    """Documents by keep rank, and which of their texts are similar."""

    name: str
    text_of: I64
    """(documents,) the number of each document's text, by keep rank"""
    pairs: I64
    """(m, 2) numbers of texts that reach THRESHOLD, the lesser first"""
    jaccard: npt.NDArray[np.float64]
    """of each pair"""
    words: Callable[[int], list[str]]
    """a text's words"""

    @property
    def documents(self) -> int:
        return len(self.text_of)

    def text(self, rank: int) -> str:
        """The text of a document."""
        return " ".join(self.words(int(self.text_of[rank])))


def name_of(rank: int) -> str:
    """The identifier of the document of a keep rank."""
    return f"d{rank:08}"


def word(number: int) -> str:
    """A word for each number, the same for no two: syllables of a consonant and a vowel."""
    made = ""
    while True:
        number, digit = divmod(number, 85)
        made += "bcdfghjklmnpqrstv"[digit // 5] + "aeiou"[digit % 5]
        if not number:
            return made


def boilerplate(documents: int, seed: int) -> Shape:
    """Unlike documents that share seven words in eight."""
    body = [word(number) for number in range(BODY)]
    twins = np.arange(19, documents, 20)

    def words(text: int) -> list[str]:
        own = text - 1 if text % 20 == 19 else text
        tail = [word(BODY + TAIL * own + place) for place in range(TAIL)]
        if own != text:
            tail[-1] = word(BODY + TAIL * text)
        return body + tail

    text_of = np.random.default_rng(seed).permutation(documents)
    return Shape("boilerplate", text_of, np.stack([twins - 1, twins], axis=1), np.full(len(twins), 95 / 97), words)


def identical(documents: int, seed: int) -> Shape:
    """Nearly all documents bear text 0."""
    others = max(1, documents // 103)
    near, apart = np.arange(1, others + 1), np.arange(others + 1, 3 * others + 1)
    places = PLACES[near % len(PLACES)]

    def words(text: int) -> list[str]:
        if text > others:
            return [word(WINDOW * text + place) for place in range(WINDOW)]
        made = [word(place) for place in range(WINDOW)]
        if text:
            made[places[text - 1]] = word(WINDOW * text)
        return made

    texts = np.concatenate([np.zeros(documents - 3 * others, np.int64), near, apart])
    first, second = np.triu_indices(others, 1)  # two that differ from text 0 in the same place differ in one place
    alike = places[first] == places[second]
    between = np.stack([near[first[alike]], near[second[alike]]], axis=1)
    pairs = np.concatenate([np.stack([np.zeros_like(near), near], axis=1), between])
    order = np.random.default_rng(seed).permutation(documents)
    return Shape("identical", texts[order], pairs, np.full(len(pairs), 77 / 87), words)


def chain(documents: int, seed: int) -> Shape:
    """Each document is similar to the one before it in keep order and the one behind it, and to no other."""
    start = seed * 1_000_003

    def words(text: int) -> list[str]:
        return [word(start + STEP * text + place) for place in range(WINDOW)]

    numbers = np.arange(documents)
    pairs = np.stack([numbers[:-1], numbers[1:]], axis=1)
    return Shape("chain", numbers, pairs, np.full(len(pairs), 77 / 87), words)


def giant(documents: int, seed: int) -> Shape:
    """A random recursive tree of edits, in a keep order that has nothing to do with it."""
    rng = np.random.default_rng(seed)
    values = np.zeros((documents, len(PLACES)), np.int64)  # of each text the replaced words, by the text they came with
    parent = (rng.random(documents) * np.arange(documents)).astype(np.int64)
    changed = rng.integers(0, len(PLACES), documents)
    for text in range(1, documents):
        values[text] = values[parent[text]]
        values[text, changed[text]] = text
    base = [word(place) for place in range(WINDOW)]

    def words(text: int) -> list[str]:
        made = base.copy()
        for place, value in zip(PLACES.tolist(), values[text].tolist(), strict=True):
            if value:
                made[place] = word(WINDOW + value)
        return made

    pairs = differing_in_one(values)
    return Shape("giant", rng.permutation(documents), pairs, np.full(len(pairs), 77 / 87), words)


def differing_in_one(values: I64) -> I64:
    """All pairs of distinct rows (n, places) that differ in one place, (m, 2), the lesser first."""
    found = []
    random = np.random.default_rng(0).integers(1, 2**63, values.shape[1])
    products = values * random  # modulo 2**64: equal sums are taken for equal rows
    whole = products.sum(axis=1)
    for place in range(values.shape[1]):
        rest = whole - products[:, place]
        order = np.argsort(rest, kind="stable")
        starts = np.flatnonzero(np.append(True, rest[order][1:] != rest[order][:-1]))
        sizes = np.diff(starts, append=len(order))
        for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            first, second = np.triu_indices(size, 1)
            members = order[start : start + size]
            found.append(np.stack([members[first], members[second]], axis=1))
    return np.sort(np.concatenate(found), axis=1) if found else np.empty((0, 2), np.int64)


SHAPES: dict[str, tuple[Callable[[int, int], Shape], int]] = {
    "boilerplate": (boilerplate, 225_000),
    "identical": (identical, 206_000),
    "chain": (chain, 100_000),
    "giant": (giant, 500_000),
}
"""Each with the number of documents at full size: buckets of 100,000, 200,000 copies."""


def write(shape: Shape, folder: Path, seed: int) -> int:
    """Write the documents as Parquet files of ROWS_PER_FILE rows, id and text, in random order; bytes of text."""
    folder.mkdir(parents=True)
    size = 0
    order = np.random.default_rng([seed, 1]).permutation(shape.documents)
    for number, rows in enumerate(_cut(order)):
        ids, texts = [name_of(rank) for rank in rows], [shape.text(rank) for rank in rows]
        size += sum(map(len, texts))
        pq.write_table(pa.table({"id": ids, "text": texts}), folder / f"part-{number:05}.parquet", compression="snappy")
    return size


def _cut(order: I64) -> Iterator[list[int]]:
    for start in range(0, len(order), ROWS_PER_FILE):
        yield order[start : start + ROWS_PER_FILE].tolist()
