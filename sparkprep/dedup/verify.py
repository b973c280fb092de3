"""Candidate pairs -> exact Jaccard similarity (Spark stage).

Documents that must be compared are put into groups, the texts of each group are brought together once, and a task
compares the shingle sets of one group at a time. A group's sets fit GROUP_SHINGLES; a larger tangle of pairs is cut
into blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.ipc

from sparkprep.dedup.columns import GROUPS, TEXTS
from sparkprep.dedup.index.indexed import IndexedDocuments
from sparkprep.dedup.kernels.arrays import run_starts
from sparkprep.dedup.kernels.shingles import document_shingles, drop_repeats, jaccard_of_sets
from sparkprep.dedup.kernels.unicode import table
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


def compare_groups(batches: Iterator[pa.RecordBatch], width: int) -> Iterator[pa.RecordBatch]:
    """Turn rows of (group, KEY, text, hashes, partners), sorted by group and key, into pairs with their similarity.

    width: words of a shingle. `partners` are the lesser keys of the same group that a document is to be compared with.
    """
    lookup = table()
    buffer = np.empty(1 << 16, np.uint64)
    group: int | None = None
    sets: dict[int, npt.NDArray[np.uint64]] = {}
    for batch in batches:
        data, offsets, _ = text_buffers(batch["text"])
        hashes, hash_ends = runs_from_binary(batch["hashes"], np.uint64)
        has_hashes = np.asarray(batch["hashes"].is_valid())
        keys, groups = batch[KEY].to_pylist(), batch["group"].to_pylist()
        partners, ends = runs_from_lists(batch["partners"])
        similarity = np.empty(len(partners), np.float64)
        for row, key in enumerate(keys):
            if groups[row] != group:
                group, sets = groups[row], {}
            if has_hashes[row]:
                shingles = sets[key] = hashes[hash_ends[row] : hash_ends[row + 1]].copy()
            else:
                start, end = offsets[row], offsets[row + 1]
                if end - start >= buffer.size:
                    buffer = np.empty(end - start + 1, np.uint64)
                n, _ = document_shingles(data, start, end, lookup, width, buffer)
                buffer[:n].sort()
                shingles = sets[key] = drop_repeats(buffer[:n])
            for place in range(ends[row], ends[row + 1]):
                similarity[place] = jaccard_of_sets(shingles, sets[partners[place]])
        own = np.repeat(np.asarray(batch[KEY]), np.diff(ends))
        yield pa.RecordBatch.from_arrays(
            [pa.array(partners), pa.array(own), pa.array(similarity)], ["a", "b", "jaccard"]
        )


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
        rows = pa.Table.from_batches((pa.ipc.read_record_batch(blob, TEXTS) for blob in blobs), TEXTS)
        rows = rows.sort_by([("group", "ascending"), (KEY, "ascending")])
        batches = _with_long_texts(rows, part) if part.long_texts else iter(rows.to_batches())
        return [write_part(number, compare_groups(batches, width))]

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


def _with_long_texts(rows: pa.Table, part: ComparisonPart) -> Iterator[pa.RecordBatch]:
    """Yield sorted rows one by one, each with its text read from its file."""
    for batch in rows.to_batches():
        for row, key in enumerate(batch[KEY].to_pylist()):
            with open_parquet(part.text_file(key)) as file:
                read = file.read()
            one, text = batch.slice(row, 1), (read[name].combine_chunks() for name in _TEXT.names)
            yield pa.RecordBatch.from_arrays([*(one[name] for name in GROUPS.names), *text], schema=TEXTS)
