"""What a task does with its documents: which stay, which go by which rule, and what is told of them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.signatures import source_of
from sparkprep.documents.keys import text_digests
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.filter.contents import LIMIT_COLUMN, RULE_COLUMN, VALUE_COLUMN
from sparkprep.filter.kernels.judge import BOUNDS, F64, Judgement, Questions, judge
from sparkprep.filter.personal import personal_data
from sparkprep.filter.rules import RULES
from sparkprep.filter.settings import FilterSettings
from sparkprep.io.arrow import filtered, from_bytes, plain, python_values, to_bytes

SHOWN = 3
"""Documents on either side of each rule's threshold that are shown: those nearest to it."""
EXCERPT = 600
MOST_SOURCES = 100_000
"""Sources that are counted one by one at the same time: by a task, and by all tasks together on the driver."""
LEAST_SOURCES = 60
"""That a task tells of, however many tasks there are: twice as many as the report shows."""
OTHERS = "(further sources)"
"""Among which the documents of the others are counted."""
STAYS = ""
"""In place of a rule, of documents that none removes."""

_NAMES = pa.array([rule.name for rule in RULES])
_BY = (STAYS, *(rule.name for rule in RULES))
_ADDED = pa.schema([(RULE_COLUMN, pa.string()), (VALUE_COLUMN, pa.float64()), (LIMIT_COLUMN, pa.float64())])


@dataclass(frozen=True)
class Columns:
    """Which columns of the input are looked at. id, source: None where there is none."""

    text: str
    id: str | None
    source: str | None


@dataclass
class Tally:
    """What is told of documents that were judged; of several tasks, by `add`."""

    documents: int = 0
    text_bytes: int = 0
    kept_bytes: int = 0
    null_text: int = 0
    changed: int = 0
    """kept documents whose text C4's rules have changed"""
    by_rule: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    personal: Counter[str] = field(default_factory=Counter)
    personal_documents: int = 0
    sources: dict[Any, Counter[str]] = field(default_factory=dict)
    """documents of each by the rule that removed them, those that stay by STAYS"""
    has_all_sources: bool = True
    """whether none has become one of OTHERS, of which those that are named may have more documents than are told"""
    nearest: dict[tuple[str, bool], list[dict[str, Any]]] = field(default_factory=dict)
    """by rule and whether they stay, the documents nearest to its threshold, in that order"""

    def add(self, other: Tally) -> None:
        """Add what another task tells."""
        for name in ("documents", "text_bytes", "kept_bytes", "null_text", "changed", "personal_documents"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("by_rule", "lines", "personal"):
            getattr(self, name).update(getattr(other, name))
        self.has_all_sources &= other.has_all_sources
        for source, counts in other.sources.items():
            self.count_source(source, counts)
        for place, rows in other.nearest.items():
            self.note_nearest(place, rows)

    def count_source(self, source: Any, documents: Mapping[str, int]) -> None:
        """Count documents of a source, by rule."""
        if source not in self.sources and len(self.sources) >= MOST_SOURCES:
            self.forget_sources(MOST_SOURCES // 2)
        self.sources.setdefault(source, Counter()).update(documents)

    def forget_sources(self, most: int) -> None:
        """Keep so many sources, half of them those with the most documents, half those that lose most; sum the others
        up as OTHERS."""
        if len(self.sources) <= most:
            return
        others = self.sources.pop(OTHERS, Counter())
        documents = {name: counts.total() for name, counts in self.sources.items()}
        lost = {name: documents[name] - counts[STAYS] for name, counts in self.sources.items()}
        chosen = {
            name
            for number in (documents, lost)
            for name in heapq.nsmallest(most // 2, documents, key=lambda name: (-number[name], str(name)))
        }
        for name, counts in self.sources.items():
            if name not in chosen:
                others.update(counts)
        self.sources = {name: counts for name, counts in self.sources.items() if name in chosen} | {OTHERS: others}
        self.has_all_sources = False

    def note_nearest(self, place: tuple[str, bool], rows: list[dict[str, Any]]) -> None:
        """Keep the nearest of the documents on one side of a rule's threshold: of equally near ones, the first.

        A text is kept once: equal texts are equally near, and three times the same is one example.
        """
        together = [*self.nearest.get(place, []), *rows]
        together.sort(key=lambda row: (row["distance"], row["key"]))
        first = {row["text"]: row for row in reversed(together)}
        self.nearest[place] = [row for row in together if first[row["text"]] is row][:SHOWN]


def removed_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of removed/: the input's columns and what decided, in place of what an earlier run left."""
    own = [each for each in documents if each.name not in _ADDED.names]
    return pa.schema([*own, *_ADDED], documents.metadata)


def judged(
    documents: Documents, number: int, columns: Columns, settings: FilterSettings, questions: Questions, tally: Tally
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield the rows of a piece, some at a time: (those that stay, those that go); `tally` tells of them at the end."""
    key = documents.pieces[number].first_key
    for batch in documents.batches(number):
        texts = plain(batch[columns.text])
        texts = texts.cast(pa.string()) if pa.types.is_null(texts.type) else texts
        found = judge(texts, questions)
        yield _kept(batch, texts, found, columns, settings, tally), _removed(batch, found, questions)
        _count(batch, texts, found, columns, tally)
        note_border(batch, texts, found, columns, questions, key, tally)
        key += batch.num_rows


def _kept(
    batch: pa.RecordBatch,
    texts: pa.Array,
    found: Judgement,
    columns: Columns,
    settings: FilterSettings,
    tally: Tally,
) -> pa.RecordBatch:
    """Return the rows that stay, with what became of their texts."""
    stays = found.rule < 0
    rows = filtered(batch, stays) if not stays.all() else batch
    kept = texts.filter(pa.array(stays))
    before = to_bytes(kept)
    after = before if found.texts is None else found.texts.filter(pa.array(stays))
    if found.texts is not None:
        after = pc.if_else(kept.is_valid(), after, pa.scalar(None, pa.binary()))
        tally.changed += pc.sum(pc.not_equal(before, after)).as_py() or 0
    if settings.personal != "keep":
        strings = from_bytes(after, pa.string())
        replaced, counts, with_any = personal_data(strings, settings.personal == "replace")
        tally.personal.update(counts)
        tally.personal_documents += with_any
        after = to_bytes(replaced)
    tally.kept_bytes += pc.sum(pc.binary_length(after)).as_py() or 0
    if after is before or after.equals(before):
        return rows
    place = rows.schema.get_field_index(columns.text)
    return rows.set_column(place, rows.schema.field(place), from_bytes(after, rows.schema.field(place).type))


def _removed(batch: pa.RecordBatch, found: Judgement, questions: Questions) -> pa.RecordBatch:
    """Return the rows that go, with what decided."""
    gone = found.rule >= 0
    schema = removed_schema(batch.schema)
    rows = filtered(batch, gone) if gone.any() else batch.slice(0, 0)
    rules = found.rule[gone]
    measured = pa.array(found.value[gone], from_pandas=True)
    limits = pa.array(np.where(BOUNDS[rules] == 2, np.nan, questions.limits[rules]), from_pandas=True)
    own = [rows.column(name) for name in schema.names[: -len(_ADDED)]]
    return pa.RecordBatch.from_arrays([*own, _NAMES.take(pa.array(rules)), measured, limits], schema=schema)


def _count(batch: pa.RecordBatch, texts: pa.Array, found: Judgement, columns: Columns, tally: Tally) -> None:
    tally.documents += len(texts)
    tally.text_bytes += pc.sum(pc.binary_length(texts)).as_py() or 0
    tally.null_text += texts.null_count
    counts = np.bincount(found.rule[found.rule >= 0], minlength=len(RULES))
    tally.by_rule.update({RULES[place].name: int(counts[place]) for place in np.flatnonzero(counts)})
    tally.lines.update({RULES[place].name: int(found.counts[place]) for place in np.flatnonzero(found.counts)})
    if columns.source:
        values = plain(batch[columns.source])
        encoded = pc.dictionary_encode(source_of(values.cast(pa.string(), safe=False)))
        codes = np.asarray(encoded.indices.fill_null(len(encoded.dictionary)))
        names = python_values(encoded.dictionary)
        together, counts = np.unique(codes.astype(np.int64) * len(_BY) + found.rule, return_counts=True)
        for place, n in zip(together.tolist(), counts.tolist(), strict=True):
            source, rule = divmod(place + 1, len(_BY))  # a text that stays has the rule -1
            if source < len(names):  # behind them are the nulls
                tally.count_source(names[source], {_BY[rule]: n})


def note_border(
    batch: pa.RecordBatch,
    texts: pa.Array,
    found: Judgement,
    columns: Columns,
    questions: Questions,
    key: int,
    tally: Tally,
) -> None:
    """Note the documents of a batch that lie nearest to each threshold, on either side of it.

    texts: its column of texts; key: the number of its first document; columns: what names the documents.
    """
    far = found.distances(questions)
    for stays in (False, True):
        on_side = (found.rule < 0) == stays
        for rule in np.flatnonzero(~np.isnan(far[on_side]).all(axis=0)).tolist():
            place = (RULES[rule].name, stays)
            distances = np.where(on_side, far[:, rule], np.nan)
            rows = _nearest_rows(distances, texts, tally.nearest.get(place, []))
            told = [
                _told(batch, texts, row, columns, float(found.measured[row, rule]), float(far[row, rule]), key)
                for row in rows
            ]
            tally.note_nearest(place, told)


def _nearest_rows(distances: F64, texts: pa.Array, known: list[dict[str, Any]]) -> list[int]:
    """Return the rows of different texts that are nearer than the known documents: no more than are shown.

    distances: (n,), NaN for a row that is not asked for.
    """
    most = known[-1]["distance"] if len(known) == SHOWN else np.inf
    candidates = np.flatnonzero(distances < most)
    chosen: list[int] = []
    met: set[bytes | None] = set()
    for row in candidates[np.argsort(distances[candidates], kind="stable")].tolist():
        text = to_bytes(texts.slice(row, 1))[0].as_py()
        if text not in met:
            met.add(text)
            chosen.append(row)
            if len(chosen) == SHOWN:
                break
    return chosen


def _told(
    batch: pa.RecordBatch, texts: pa.Array, row: int, columns: Columns, value: float, far: float, key: int
) -> dict[str, Any]:
    """Return what the report shows of a document."""
    one = texts.slice(row, 1)
    digest = python_values(text_digests(one))[0]
    name = python_values(batch[columns.id].slice(row, 1))[0] if columns.id else digest
    source = python_values(plain(batch[columns.source].slice(row, 1)))[0] if columns.source else None
    text = to_bytes(one)[0].as_py() or b""
    return {
        "key": key + row,
        "text": digest,
        "id": str(name),
        "source": None if source is None else str(source),
        "value": value,
        "distance": far,
        "excerpt": text[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT],
    }
