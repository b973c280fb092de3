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
from pyspark.sql import functions as F

from sparkprep.dedup.kernels.shingles import common, document_shingles, drop_repeats
from sparkprep.dedup.kernels.sketch import text_buffers
from sparkprep.dedup.kernels.unicode import table
from sparkprep.dedup.workspace import Run
from sparkprep.documents.batches import batch_settings, one_by_one
from sparkprep.documents.keys import KEY, quoted
from sparkprep.io.paths import spark_target
from sparkprep.spark import tables
from sparkprep.spark.session import spark_conf

ASSIGNMENT = f"{KEY} long, group long, partners array<long>"
VERIFIED = "a long, b long, jaccard double"
TASK_BYTES = 64 << 20
"""Text that one task brings together, about."""
BROADCAST_ROWS = 2_000_000
"""Rows of an assignment that every node can hold, about 100 bytes each."""
GROUP_SHINGLES = 8_000_000
"""Shingles of a group of documents, 8 bytes each; more only where a single document has over half of that."""


def compare_groups(batches: Iterator[pa.RecordBatch], width: int, threshold: float) -> Iterator[pa.RecordBatch]:
    """Rows (group, key, text, partners) sorted by group and key -> pairs at or above the threshold.

    `partners` are the lesser keys of the same group that a document is to be compared with.
    """
    lookup = table()
    buffer = np.empty(1 << 16, np.uint64)
    group: int | None = None
    sets: dict[int, npt.NDArray[np.uint64]] = {}
    for batch in batches:
        left: list[int] = []
        right: list[int] = []
        similarity: list[float] = []
        data, offsets, _ = text_buffers(batch["text"])
        keys, groups = batch[KEY].to_pylist(), batch["group"].to_pylist()
        for row, partners in enumerate(batch["partners"].to_pylist()):
            if groups[row] != group:
                group, sets = groups[row], {}
            start, end = offsets[row], offsets[row + 1]
            if end - start >= buffer.size:
                buffer = np.empty(end - start + 1, np.uint64)
            n, _ = document_shingles(data, start, end, lookup, width, buffer)
            buffer[:n].sort()
            mine = drop_repeats(buffer[:n])
            sets[keys[row]] = mine
            for partner in partners:
                other = sets[partner]
                # Sets of very different sizes cannot be that similar, whatever they share.
                if min(mine.size, other.size) < threshold * max(mine.size, other.size):
                    continue
                shared = common(mine, other)
                jaccard = shared / (mine.size + other.size - shared)
                if jaccard >= threshold:
                    left.append(partner)
                    right.append(keys[row])
                    similarity.append(jaccard)
        yield pa.RecordBatch.from_pydict(
            {
                "a": pa.array(left, pa.int64()),
                "b": pa.array(right, pa.int64()),
                "jaccard": pa.array(similarity, pa.float64()),
            }
        )


def compare(run: Run, name: str, documents: int, threshold: float, *, alone: bool) -> None:
    """Compare the texts as the assignment table at name.groups says; write (a, b, jaccard), a < b, to `name`.

    documents: rows of the assignment. alone: it holds texts of LONG_TEXT and more, which go to Python one by one.
    """
    text = F.col(quoted(run.settings.text_column)).alias("text")
    assignment = tables.read(run.spark, ASSIGNMENT, f"{name}.groups")
    if documents <= BROADCAST_ROWS:
        assignment = F.broadcast(assignment)
    mean = run.summary.text_bytes / max(1, run.summary.rows)
    tasks = max(run.cores, math.ceil(documents * mean / TASK_BYTES))
    grouped = run.documents.select(KEY, text).join(assignment, KEY)
    together = grouped.repartition(tasks, "group").sortWithinPartitions("group", KEY)
    work = partial(compare_groups, width=run.settings.shingle_words, threshold=threshold)
    with spark_conf(run.spark, one_by_one() if alone else batch_settings(run.summary.largest_mean_text_bytes)):
        together.select("group", KEY, "text", "partners").mapInArrow(work, VERIFIED).write.parquet(spark_target(name))
