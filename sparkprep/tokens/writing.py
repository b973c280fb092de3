"""Sorted token rows -> a shard file, inside one of Spark's tasks, which never holds it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
from sparkprep.tokens.plan import Shard, ShardPlan
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


def write_shard(batches: Iterable[pa.RecordBatch], plan: ShardPlan, shard: Shard, folder: str, dtype: str) -> Entry:
    """Write a shard of the rows (PLACED) of all its buckets, in their order, and a note of it; return its entry.

    dtype: of the tokens in their binary column. Raises UserError where they are not the tokens that were counted.
    """
    with open_whole(join_path(folder, shard.file)) as output:
        writer = _Writer(shard, *plan.span_of(shard), output)
        for batch in batches:
            writer.add(*stream(*runs_from_binary(batch["tokens"], dtype)))
        entry = writer.result()
        write_note(folder, plan, entry)  # before the file has its name: what bears a shard's and no note is not ours
    return entry
