"""Token rows on their way to the shards: few and large records for the shuffle, whatever the number of shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

from sparkprep.io.arrow import concatenated
from sparkprep.spark.external_sort import steps
from sparkprep.tokens.plan import Targets, buckets_at
from sparkprep.tokens.reading import PlacedRows

GATHERED_BYTES = 16 << 20
"""Of rows that are told apart by shard at once: of 1,000 shards, each still gets some rows in a record."""
RECORD_BYTES = 256 << 10
"""Of a record, or one longer row: PySpark holds ten for each shard, up to 1,000, before it hands them on."""


def packed(batches: Iterable[PlacedRows], targets: Targets, bucket_bits: int) -> Iterator[tuple[int, bytes]]:
    """Yield (place of a shard among the targets, rows of it (PLACED) as Arrow's IPC has them)."""
    for rows in _gathered(batches):
        for taken, places in targets.of_rows(buckets_at(np.asarray(rows["place"]), bucket_bits)):
            order = np.argsort(places, kind="stable")
            places, by_shard = places[order], rows.take(pa.array(taken[order]))
            cuts = np.flatnonzero(np.diff(places, prepend=-1, append=-1)).tolist()
            for start, end in pairwise(cuts):
                for record in steps(by_shard.slice(start, end - start), RECORD_BYTES):
                    yield int(places[start]), record.serialize().to_pybytes()


def _gathered(batches: Iterable[PlacedRows]) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if held and size + batch.rows.nbytes > GATHERED_BYTES:
            yield concatenated(held)
            held, size = [], 0
        held.append(batch.rows)
        size += batch.rows.nbytes
    if held:
        yield concatenated(held)
