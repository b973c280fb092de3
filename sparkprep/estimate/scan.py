"""How many documents have near-duplicates: a sample of documents, looked for among all of them.

A sample alone cannot tell: of two documents that are alike, one per cent of all documents holds both in one case of ten
thousand. So the signatures of all documents are made once, and thrown away again; what is kept are those of the sample,
and for each of its documents whether any other one lies in one of its buckets, whether one that comes before it in the
keep order has about its signature, and which document comes first of those with its text. A document of the sample is
seen against all others, as the job sees it; so the share of the sample estimates that of all without bias, and its
error is the sample's. Memory is the sample's in each process, whatever the input's size.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkprep.dedup.columns import SIGNATURES
from sparkprep.dedup.kernels.arrays import distinct, run_starts
from sparkprep.dedup.kernels.bands import SLOTS
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import Columns, signature_rows
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.errors import UserError, argument
from sparkprep.estimate.sample import Windowed
from sparkprep.io.arrow import matrix_from_binary

_PAIRS = 1 << 16
"""Compared at once: 8 MB of slots."""
_FOUND = SIGNATURES.append(pa.field("window", pa.int64()))

Bools = npt.NDArray[np.bool_]
Place = tuple[bytes, int]
"""Of a document in the keep order: its rank, then its key."""


@dataclass(frozen=True)
class Sampled:
    """The documents of a sample that have words. Arrays are by document, in the order of their texts' hashes.

    key, text_hash, size (bytes of the text), window (its number): (n,). place: in the keep order. tiny: uint8
    (n, slots). bucket, owner: (n * bands,), sorted by bucket: each document's buckets.
    """

    key: npt.NDArray[np.int64]
    text_hash: npt.NDArray[np.uint64]
    size: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]
    place: tuple[Place, ...]
    tiny: npt.NDArray[np.uint8]
    bucket: npt.NDArray[np.uint64]
    owner: npt.NDArray[np.int64]


@dataclass
class Seen:
    """What was seen of a sample's documents among some others. shared: another text lies in a bucket of the document.

    near: one of those, before it in the keep order, has about its signature. first: the first in the keep order of all
    documents seen with its text. texts: uint8 (n * bands, bits / 8), where a bucket begins in `Sampled.bucket`: of each
    text in it a bit by its hash is set, so that the bits tell about how many different ones it holds. documents,
    text_bytes, words: of the documents that it was looked for among.
    """

    shared: Bools
    near: Bools
    first: list[Place]
    texts: npt.NDArray[np.uint8]
    documents: int = 0
    text_bytes: int = 0
    words: int = 0

    @staticmethod
    def nothing(sampled: Sampled, cap: int) -> Seen:
        """Return what is seen before anything is. cap: the texts of a bucket from which it is oversized."""
        count, size = len(sampled.key), 1 << max(3, math.ceil(math.log2(cap)))
        texts = np.zeros((len(sampled.bucket), size // 8), np.uint8)
        return Seen(np.zeros(count, bool), np.zeros(count, bool), list(sampled.place), texts)

    def add(self, other: Seen) -> None:
        """Add what was seen among other documents."""
        self.shared |= other.shared
        self.near |= other.near
        self.texts |= other.texts
        self.first = [min(pair) for pair in zip(self.first, other.first, strict=True)]
        self.documents += other.documents
        self.text_bytes += other.text_bytes
        self.words += other.words

    def oversized(self, sampled: Sampled, cap: int) -> Bools:
        """Return which documents of the sample lie in a bucket of more texts than the cap, about: bool (n,).

        By linear counting (Whang, Vander-Zanden and Taylor 1990).
        """
        size = 8 * self.texts.shape[1]
        free = size - np.unpackbits(self.texts, axis=1).sum(axis=1, dtype=np.int64)
        texts = size * np.log(size / np.maximum(free, 0.5))
        found = np.zeros(len(sampled.key), bool)
        begins = np.searchsorted(sampled.bucket, sampled.bucket, side="left")
        found[sampled.owner[texts[begins] > cap]] = True
        return found


def sampled_of(windowed: Windowed, columns: Columns, settings: Settings) -> Sampled:
    """Return the documents of a sample, by the signatures that the job makes of them."""
    found = [
        rows.append_column("window", pa.array(np.full(len(rows), window), pa.int64()))
        for window, key, batch in windowed.batches(columns.names)
        for rows in [signature_rows(batch, key, columns, settings)]
    ]
    table = pa.Table.from_batches(found, _FOUND).filter(pc.field("shingles") > 0)
    unsigned = np.asarray(table["text_hash"]).view(np.uint64)  # which Arrow would sort by its sign
    rows = table.take(pa.array(np.argsort(unsigned, kind="stable")))
    bands = matrix_from_binary(_column(rows, "bands"), np.uint64)
    bucket = bands.reshape(-1)
    order = np.argsort(bucket, kind="stable")
    key = np.asarray(_column(rows, KEY))
    return Sampled(
        key=key,
        text_hash=np.asarray(_column(rows, "text_hash")).view(np.uint64),
        size=np.asarray(_column(rows, "bytes")),
        window=np.asarray(_column(rows, "window")),
        place=tuple(zip(_column(rows, "rank").to_pylist(), key.tolist(), strict=True)),
        tiny=np.array(matrix_from_binary(_column(rows, "tiny"), np.uint8)).reshape(len(key), -1),
        bucket=bucket[order],
        owner=np.repeat(np.arange(len(key)), bands.shape[1])[order],
    )


def look_for(sampled: Sampled, rows: pa.RecordBatch, threshold: float, seen: Seen) -> None:
    """Look for a sample's documents among signature rows, and add what is seen."""
    seen.documents += len(rows)
    seen.text_bytes += int(np.asarray(rows["bytes"]).sum())
    rows = rows.filter(pa.array(np.asarray(rows["shingles"]) > 0))
    seen.words += len(rows)
    if not len(rows) or not len(sampled.key):
        return
    rows = _first_of_each_text(rows)
    key, text_hash = np.asarray(rows[KEY]), np.asarray(rows["text_hash"]).view(np.uint64)
    _note_copies(sampled, rows, key, text_hash, seen)
    tiny, bands = matrix_from_binary(rows["tiny"], np.uint8), matrix_from_binary(rows["bands"], np.uint64)
    _note_texts(sampled, bands, text_hash, seen)
    unsettled = ~(seen.shared & seen.near)[sampled.owner]
    for row, owner in _pairs(sampled.bucket[unsettled], sampled.owner[unsettled], bands):
        other = text_hash[row] != sampled.text_hash[owner]
        row, owner = row[other], owner[other]
        seen.shared[owner] = True
        unseen = ~seen.near[owner]
        row, owner = row[unseen], owner[unseen]
        alike = (tiny[row] == sampled.tiny[owner]).sum(axis=1) >= threshold * SLOTS
        for each, of in zip(row[alike].tolist(), owner[alike].tolist(), strict=True):
            if (rows["rank"][each].as_py(), int(key[each])) < sampled.place[of]:
                seen.near[of] = True


def _first_of_each_text(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return of the rows of one text the first in the keep order: what it tells of others, they all tell.

    Without this, copies of one text would be looked at as often as there are pairs of them.
    """
    if len(distinct(np.asarray(rows["text_hash"]))) == len(rows):
        return rows
    by_text = [("text_hash", "ascending"), ("rank", "ascending"), (KEY, "ascending")]
    ordered = rows.take(pc.sort_indices(rows, sort_keys=by_text))
    return ordered.take(pa.array(run_starts(np.asarray(ordered["text_hash"]))))


def scan(
    documents: Documents,
    sampled: Sampled,
    columns: Columns,
    settings: Settings,
    processes: int | None,
    look: Callable[[int], object],
) -> Seen:
    """Look for a sample's documents among all, in processes of their own where there are several pieces.

    look: called with the number of pieces that are done. Raises UserError where a piece cannot be read, or a process
    is ended.
    """
    seen, task = Seen.nothing(sampled, settings.bucket_cap), _Task(documents, sampled, columns, settings)
    count = min(processes or os.cpu_count() or 1, len(documents.pieces))
    if count <= 1:
        for number in range(len(documents.pieces)):
            seen.add(task(number))
            look(number + 1)
        return seen
    context = multiprocessing.get_context("spawn")  # PyArrow's threads do not outlive a fork
    # By a file: what is handed over at a process' start goes through a pipe, which blocks for ever where it has died.
    with (
        tempfile.NamedTemporaryFile(prefix="sparkprep-scan-") as held,
        ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(held.name,)) as pool,
    ):
        pickle.dump(task, held)
        held.flush()
        try:
            for done, each in enumerate(as_completed([pool.submit(_work, n) for n in range(len(documents.pieces))]), 1):
                seen.add(each.result())
                look(done)
        except BrokenProcessPool:
            for other in multiprocessing.active_children():
                other.kill()  # the pool only asks them to end, which one that has just been started may not hear
            fewer = f"; give fewer {argument('processes')} than {count}"
            raise UserError(f"a process of the scan was ended, as where memory is short{fewer}") from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return seen


@dataclass(frozen=True)
class _Task:
    documents: Documents
    sampled: Sampled
    columns: Columns
    settings: Settings

    def __call__(self, number: int) -> Seen:
        seen = Seen.nothing(self.sampled, self.settings.bucket_cap)
        for rows in _signatures(self.documents, number, self.columns, self.settings):
            look_for(self.sampled, rows, self.settings.threshold, seen)
        return seen


_task: _Task | None = None
"""Of a process of the pool."""


def _begin(held: str) -> None:
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the first process ends the others
    _task = pickle.loads(Path(held).read_bytes())


def _work(number: int) -> Seen:
    assert _task is not None
    return _task(number)


def _signatures(documents: Documents, number: int, columns: Columns, settings: Settings) -> Iterator[pa.RecordBatch]:
    key = documents.pieces[number].first_key
    for batch in documents.batches(number, columns.names):
        yield signature_rows(batch, key, columns, settings)
        key += batch.num_rows


def _note_copies(
    sampled: Sampled, rows: pa.RecordBatch, key: npt.NDArray[np.int64], text_hash: npt.NDArray[np.uint64], seen: Seen
) -> None:
    """Note of each document of the sample the first in the keep order of those with its text."""
    starts = np.searchsorted(sampled.text_hash, text_hash, side="left")
    ends = np.searchsorted(sampled.text_hash, text_hash, side="right")
    for row in np.flatnonzero(ends > starts).tolist():
        place = (rows["rank"][row].as_py(), int(key[row]))
        for of in range(starts[row], ends[row]):
            seen.first[of] = min(seen.first[of], place)


def _note_texts(sampled: Sampled, bands: npt.NDArray[np.uint64], text_hash: npt.NDArray[np.uint64], seen: Seen) -> None:
    """Set the bits of these rows' texts in the sample's buckets that they lie in."""
    flat = bands.reshape(-1)
    place = np.minimum(np.searchsorted(sampled.bucket, flat, side="left"), len(sampled.bucket) - 1)
    hit = np.flatnonzero(sampled.bucket[place] == flat)
    bit = text_hash[hit // bands.shape[1]] % np.uint64(8 * seen.texts.shape[1])
    mask = np.left_shift(np.uint8(1), (bit & np.uint64(7)).astype(np.uint8))
    np.bitwise_or.at(seen.texts, (place[hit], (bit >> np.uint64(3)).astype(np.int64)), mask)


def _pairs(
    bucket: npt.NDArray[np.uint64], owner: npt.NDArray[np.int64], bands: npt.NDArray[np.uint64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield (rows, documents of the sample) that share a bucket, some at a time; a pair may come more than once.

    bucket, owner: as those of `Sampled`. bands: (rows, bands).
    """
    flat = bands.reshape(-1)
    starts = np.searchsorted(bucket, flat, side="left")
    counts = np.searchsorted(bucket, flat, side="right") - starts
    hit = np.flatnonzero(counts)
    ends = np.cumsum(counts[hit])
    cuts = [0, *np.flatnonzero(np.diff(ends // _PAIRS)).tolist(), len(hit)]
    for low, high in pairwise(dict.fromkeys(cuts)):
        here = hit[low:high]
        many = counts[here]
        within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        yield np.repeat(here // bands.shape[1], many), owner[np.repeat(starts[here], many) + within]


def _column(table: pa.Table, name: str) -> pa.Array:
    chunks = table[name].combine_chunks()
    return chunks.chunk(0) if isinstance(chunks, pa.ChunkedArray) else chunks
