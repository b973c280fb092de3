"""Candidate pairs -> exact Jaccard similarity (Spark stage).

Documents that must be compared are put into groups, the texts of each group are brought together once, and a task
compares the shingle sets of one group at a time. A group's sets fit GROUP_SHINGLES; a larger tangle of pairs is cut
into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from sparkprep.dedup.columns import GROUPS, TEXTS
from sparkprep.dedup.index.indexed import IndexedDocuments
from sparkprep.dedup.kernels.arrays import run_starts
from sparkprep.dedup.kernels.sets import ShingleSets
from sparkprep.dedup.search_tables import ComparisonPart
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.io.arrow import plain, runs_from_binary, runs_from_lists, text_buffers
from sparkprep.io.files import make_folder
from sparkprep.io.parquet import open_parquet, write_parquet
from sparkprep.spark.tables import Table, Written, part_writer
from sparkprep.spark.tasks import shuffle

TASK_BYTES = 64 << 20
"""Text that one task brings together, about."""
SMALL_BYTES = 8 << 20
"""Text that is not worth a task for each core."""
LONG_TEXT = 1 << 20
"""Bytes from which a text goes to its task through a file of its own, so that no task holds many of them."""
GROUP_SHINGLES = 8_000_000
"""Shingles of a group of documents, 8 bytes each; more only where a single document has over half of that."""

_TEXT = pa.schema([TEXTS.field("text"), TEXTS.field("hashes")])


class _Contents:
    """The texts, or instead of them the shingle hashes, of a batch's rows."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._data, self._offsets, _ = text_buffers(batch["text"])
        self._hashes, self._hash_ends = runs_from_binary(batch["hashes"], np.uint64)
        self._has_hashes = np.asarray(batch["hashes"].is_valid())

    def add_to(self, sets: ShingleSets, row: int) -> None:
        """Add the set of a row to others."""
        if self._has_hashes[row]:
            sets.add_set(self._hashes[self._hash_ends[row] : self._hash_ends[row + 1]])
        else:
            sets.add_text(self._data, self._offsets[row], self._offsets[row + 1])


def compare_groups(
    batches: Sequence[pa.RecordBatch], width: int, content_of: Callable[[int], pa.RecordBatch] | None = None
) -> Iterator[pa.RecordBatch]:
    """Turn rows of TEXTS, all of their groups, into pairs with their similarity.

    Texts are not copied: their places are sorted. width: words of a shingle. content_of: returns the text and hashes of
    a key, in a batch of one row; rows then come without them.
    """
    rows = pa.Table.from_batches([batch.select(GROUPS.names) for batch in batches], GROUPS).combine_chunks()
    order = np.lexsort((np.asarray(rows[KEY]), np.asarray(rows["group"])))
    rows = rows.take(pa.array(order)).combine_chunks()
    # A copy, which may be written: so the kernel was compiled beforehand.
    keys, starts = np.asarray(rows[KEY]).copy(), run_starts(np.asarray(rows["group"])).tolist()
    sizes = [len(batch) for batch in batches]
    batch_of = np.repeat(np.arange(len(batches)), sizes)[order].tolist()
    row_of = np.concatenate([np.arange(size) for size in [0, *sizes]])[order].tolist()
    partners, ends = runs_from_lists(rows["partners"].combine_chunks())
    similarity = np.empty(len(partners), np.float64)
    contents, sets = [] if content_of else [_Contents(batch) for batch in batches], ShingleSets(width)
    for start, end in pairwise([*starts, len(keys)]):
        sets.clear()
        for place in range(start, end):
            if content_of:
                _Contents(content_of(int(keys[place]))).add_to(sets, 0)
            else:
                contents[batch_of[place]].add_to(sets, row_of[place])
            own = slice(ends[place], ends[place + 1])
            sets.compare_last(keys[start : place + 1], partners[own], similarity[own])
    later = np.repeat(keys, np.diff(ends))
    yield pa.RecordBatch.from_arrays([pa.array(partners), pa.array(later), pa.array(similarity)], ["a", "b", "jaccard"])


def compare(work: Workspace, part: ComparisonPart) -> None:
    """Write part.pairs, unless an earlier run has: the texts of part.groups are read, and compared."""
    name = part.folder.removeprefix(work.output.scratch).strip("/").replace("/", "-")
    work.note_scan("verify", part.groups.parts or {}, [work.settings.text_column])
    work.stages.once(name, lambda: _compare(work, part), tables=[part.pairs], told=False)


def _compare(work: Workspace, part: ComparisonPart) -> None:
    """Bring the texts of part.groups, which are addressed to the pieces, together by group, and write part.pairs."""
    groups, mean = part.groups, work.text_bytes / max(1, work.summary.rows)
    size = groups.rows * mean
    reducers = max(math.ceil(size / TASK_BYTES), work.cores if size > SMALL_BYTES else 1)
    send = partial(
        _sent,
        documents=work.documents,
        column=work.settings.text_column,
        part=part,
        groups=groups,
        reducers=reducers,
        index=work.index,
    )
    write_part, width = part_writer(part.pairs), work.settings.shingle_words

    def finish(number: int, blobs: Iterator[bytes]) -> list[Written]:
        batches = [pa.ipc.read_record_batch(blob, TEXTS) for blob in blobs]
        content_of = partial(_content_of, part) if part.long_texts else None
        return [write_part(number, compare_groups(batches, width, content_of))]

    part.pairs.note(shuffle(work.spark, list(groups.parts or {}), send, reducers, finish))


def _sent(
    piece: int,
    documents: Documents,
    column: str,
    part: ComparisonPart,
    groups: Table,
    reducers: int,
    index: IndexedDocuments | None,
) -> Iterator[tuple[int, bytes]]:
    """Yield (reducer, rows of TEXTS packed for it) of a piece's groups; long texts go through files of their own."""
    if index is not None and index.holds(piece):
        batches = _with_hashes(piece, index, groups, reducers)
    else:
        batches = _with_texts(piece, documents, column, groups, reducers)
    for batch in batches:
        if part.long_texts:
            batch = _put_aside(batch, part)
        reducer = np.asarray(batch["group"]) % reducers
        starts = run_starts(reducer)
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(reducer)], strict=True):
            yield int(reducer[start]), batch.slice(start, end - start).serialize().to_pybytes()


def _with_texts(
    piece: int, documents: Documents, column: str, groups: Table, reducers: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a piece's groups with the texts of their documents (TEXTS), those of a reducer together."""
    rows = pa.Table.from_batches(groups.part(piece), groups.schema).combine_chunks()
    keys = np.asarray(rows[KEY])  # sorted; a document may lie in several groups
    first = documents.pieces[piece].first_key
    for batch in documents.batches(piece, [column]):
        start, end = np.searchsorted(keys, [first, first + batch.num_rows])
        if end > start:
            here = rows.slice(start, end - start).combine_chunks().to_batches()[0]
            here = here.take(pa.array(np.argsort(np.asarray(here["group"]) % reducers, kind="stable")))
            texts = plain(batch[column]).take(pa.array(np.asarray(here[KEY]) - first)).cast(pa.large_string())
            no_hashes = pa.nulls(len(here), pa.large_binary())
            yield pa.RecordBatch.from_arrays([*here.columns, texts, no_hashes], schema=TEXTS)
        first += batch.num_rows


def _with_hashes(piece: int, index: IndexedDocuments, groups: Table, reducers: int) -> Iterator[pa.RecordBatch]:
    """Yield the same of a piece of the index, with the shingle hashes of its documents."""
    rows = pa.Table.from_batches(groups.part(piece), groups.schema).combine_chunks()
    keys = np.asarray(rows[KEY])
    for some, hashes in index.shingle_sets(piece, np.unique(keys)):
        here = rows.filter(pa.array(np.isin(keys, some))).combine_chunks().to_batches()[0]
        here = here.take(pa.array(np.argsort(np.asarray(here["group"]) % reducers, kind="stable")))
        sets = hashes.take(pa.array(np.searchsorted(some, np.asarray(here[KEY]))))
        no_texts = pa.nulls(len(here), pa.large_string())
        yield pa.RecordBatch.from_arrays([*here.columns, no_texts, sets], schema=TEXTS)


def _put_aside(batch: pa.RecordBatch, part: ComparisonPart) -> pa.RecordBatch:
    """Write each text to a file of its own, named by its key, and return the rows without texts."""
    make_folder(part.texts_folder)
    for key, row in zip(batch[KEY].to_pylist(), range(len(batch)), strict=True):
        write_parquet(part.text_file(key), iter([batch.select(_TEXT.names).slice(row, 1)]), _TEXT, compression="snappy")
    nothing = (pa.nulls(len(batch), kind) for kind in _TEXT.types)
    return pa.RecordBatch.from_arrays([*(batch[name] for name in GROUPS.names), *nothing], schema=TEXTS)


def _content_of(part: ComparisonPart, key: int) -> pa.RecordBatch:
    """Return the text and the hashes of a document that was put aside."""
    with open_parquet(part.text_file(key)) as file:
        return file.read().combine_chunks().to_batches()[0]
