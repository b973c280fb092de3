"""Sorted token rows -> shard files, inside Spark's tasks: each shard is written by one task, and never held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby, pairwise
from operator import itemgetter
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkprep.errors import UserError
from sparkprep.io.arrow import runs_from_binary, runs_from_lists
from sparkprep.io.files import open_whole
from sparkprep.io.paths import join_path
from sparkprep.llmc.shard import header_bytes
from sparkprep.tokenizer.vocabulary import END_OF_TEXT
from sparkprep.tokens.manifest import Entry, write_note
from sparkprep.tokens.plan import Shard, ShardPlan


def rows_of(column: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the runs (values, offsets) of a batch's token column, as `io.arrow` has them.

    A column of binary holds little-endian uint16, one of lists numbers. A null has no tokens. Raises UserError for what
    is no token of GPT-2.
    """
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        try:
            values, offsets = runs_from_binary(column, "<u2")
        except ValueError as error:
            raise UserError(
                "a row of tokens has an odd number of bytes: binary tokens must be little-endian uint16"
            ) from error
    else:
        if column.flatten().null_count:
            raise UserError("a row of tokens has a null among its numbers: write the rows anew without it")
        values, offsets = runs_from_lists(column)
    if values.size and (int(values.max()) > END_OF_TEXT or int(values.min()) < 0):
        wrong = int(values[(values > END_OF_TEXT) | (values < 0)][0])
        raise UserError(f"token {wrong} is none of GPT-2's, which end at {END_OF_TEXT}: was another tokenizer used?")
    return values, offsets


def stream(
    values: npt.NDArray[np.generic], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Return (tokens, starts): the rows one after another, each with one end-of-text before it, and where each begins.

    An end-of-text that a row already has at either end is not doubled.
    """
    begin, end = offsets[:-1].copy(), offsets[1:].copy()
    is_body = np.ones(len(values), np.bool_)
    rows = np.flatnonzero(end > begin)
    rows = rows[values[begin[rows]] == END_OF_TEXT]
    is_body[begin[rows]] = False
    begin[rows] += 1
    rows = np.flatnonzero(end > begin)
    rows = rows[values[end[rows] - 1] == END_OF_TEXT]
    end[rows] -= 1
    is_body[end[rows]] = False
    starts = np.concatenate([[0], np.cumsum(end - begin + 1)])
    tokens = np.full(starts[-1], END_OF_TEXT, np.uint16)
    body = np.ones(starts[-1], np.bool_)
    body[starts[:-1]] = False
    tokens[body] = values if is_body.all() else values[is_body]
    return tokens, starts[:-1]


class _Writer:
    """One shard while its task writes it."""

    def __init__(self, shard: Shard, position: int, output: BinaryIO) -> None:
        self.shard, self.position = shard, position
        self._output, self._sum = output, hashlib.sha256()
        self.tokens = self.documents = 0
        self._put(header_bytes(shard.tokens))

    def _put(self, data: bytes | memoryview) -> None:
        self._output.write(data)
        self._sum.update(data)

    def add(self, tokens: npt.NDArray[np.uint16], starts: npt.NDArray[np.int64]) -> None:
        """Write of this piece of the stream what belongs to the shard."""
        first, end = self.shard.first - self.position, self.shard.first + self.shard.tokens - self.position
        piece = tokens[max(0, first) : max(0, end)]
        self._put(piece.astype("<u2", copy=False).data.cast("B"))
        self.tokens += len(piece)
        self.documents += int(((starts >= first) & (starts < end)).sum())
        self.position += len(tokens)

    def result(self) -> Entry:
        if self.tokens != self.shard.tokens:
            raise RuntimeError(
                f"{self.shard.file}: {self.tokens:,} tokens came, {self.shard.tokens:,} were counted: did the token "
                "rows change meanwhile?"
            )
        return Entry(self.shard.index, self.shard.file, self.tokens, self.documents, self._sum.hexdigest())


def write_shards(batches: Iterable[pa.RecordBatch], plan: ShardPlan, folder: str) -> Iterator[pa.RecordBatch]:
    """Write the shards of rows (shard, bucket, tokens), sorted by shard and in the stream's order; yield ENTRY rows."""
    for number, runs in groupby(_runs(batches), key=itemgetter(0)):
        shard = plan.shards[number]
        with open_whole(join_path(folder, shard.file)) as output:
            writer: _Writer | None = None
            for _, bucket, column in runs:
                writer = writer or _Writer(shard, int(plan.bucket_starts[bucket]), output)
                writer.add(*stream(*rows_of(column)))
            assert writer is not None  # a group has at least one member
            entry = writer.result()
        write_note(folder, plan, entry)
        yield pa.RecordBatch.from_pylist([asdict(entry)])


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, int, pa.Array]]:
    """Yield (shard, bucket of the first row, token column) of each stretch of one shard in a batch."""
    for batch in batches:
        shards, buckets = np.asarray(batch["shard"]), np.asarray(batch["bucket"])
        cuts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
        for start, end in pairwise(cuts):
            if end > start:
                yield int(shards[start]), int(buckets[start]), batch["tokens"].slice(start, end - start)
