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
from sparkprep.io.arrow import runs_from_binary
from sparkprep.io.files import open_whole
from sparkprep.io.paths import join_path
from sparkprep.llmc.shard import header_bytes
from sparkprep.tokens.manifest import Entry, write_note
from sparkprep.tokens.plan import Shard, ShardPlan, buckets_at
from sparkprep.tokens.runs import stream


class _Writer:
    """One shard while its task writes it. position: in the stream; end: where it must stand when all rows have come."""

    def __init__(self, shard: Shard, position: int, end: int, output: BinaryIO) -> None:
        self.shard, self.position, self.end = shard, position, end
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
        if self.tokens != self.shard.tokens or self.position != self.end:
            raise UserError(
                f"{self.shard.file}: the token rows end at token {self.position:,} of the stream, and at {self.end:,} "
                "when they were counted: they have changed while the job ran; run again when nothing writes to them"
            )
        return Entry(self.shard.index, self.shard.file, self.tokens, self.documents, self._sum.hexdigest())


def write_shards(
    batches: Iterable[pa.RecordBatch], plan: ShardPlan, folder: str, dtype: str
) -> Iterator[pa.RecordBatch]:
    """Write the shards of rows (shard, place, tokens), sorted by shard and in the stream's order; yield ENTRY rows.

    dtype: of the tokens in their binary column.
    """
    for number, runs in groupby(_runs(batches), key=itemgetter(0)):
        shard = plan.shards[number]
        with open_whole(join_path(folder, shard.file)) as output:
            writer: _Writer | None = None
            for _, places, column in runs:
                if writer is None:
                    position = plan.bucket_starts[buckets_at(places[:1], plan.bucket_bits)[0]]
                    writer = _Writer(shard, int(position), plan.end_of(shard), output)
                writer.add(*stream(*runs_from_binary(column, dtype)))
            assert writer is not None  # a group has at least one member
            entry = writer.result()
        write_note(folder, plan, entry)
        yield pa.RecordBatch.from_pylist([asdict(entry)])


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, npt.NDArray[np.int64], pa.Array]]:
    """Yield (shard, places, token column) of each stretch of one shard in a batch."""
    for batch in batches:
        shards, places = np.asarray(batch["shard"]), np.asarray(batch["place"])
        cuts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
        for start, end in pairwise(cuts):
            if end > start:
                yield int(shards[start]), places[start:end], batch["tokens"].slice(start, end - start)
