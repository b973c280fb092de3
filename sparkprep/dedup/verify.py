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

from sparkprep.dedup.columns import GROUPS, SIMILAR_PAIRS, TEXTS
from sparkprep.dedup.kernels.shingles import common, document_shingles, drop_repeats
from sparkprep.dedup.kernels.unicode import table
from sparkprep.dedup.workspace import ComparisonPart, Workspace
from sparkprep.documents.batches import batch_settings, one_by_one
from sparkprep.documents.keys import KEY
from sparkprep.documents.parquet.pieces import Documents
from sparkprep.io.arrow import plain, text_buffers
from sparkprep.spark.session import spark_conf
from sparkprep.spark.tables import Table, spark_schema
from sparkprep.spark.tasks import run_tasks

TASK_BYTES = 64 << 20
"""Text that one task brings together, about."""
GROUP_SHINGLES = 8_000_000
"""Shingles of a group of documents, 8 bytes each; more only where a single document has over half of that."""


def compare_groups(batches: Iterator[pa.RecordBatch], width: int, threshold: float) -> Iterator[pa.RecordBatch]:
    """Turn rows of (group, KEY, text, partners), sorted by group and key, into the pairs at or above the threshold.

    width: words of a shingle. `partners` are the lesser keys of the same group that a document is to be compared with.
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
            shingles = drop_repeats(buffer[:n])
            sets[keys[row]] = shingles
            for partner in partners:
                other = sets[partner]
                # Sets of very different sizes cannot be that similar, whatever they share. A quotient here as there:
                # a product would be rounded otherwise, and pairs at the very threshold be lost.
                if min(shingles.size, other.size) / max(shingles.size, other.size) < threshold:
                    continue
                shared = common(shingles, other)
                jaccard = shared / (shingles.size + other.size - shared)
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


def compare(work: Workspace, part: ComparisonPart, threshold: float) -> None:
    """Bring the texts of part.groups, which are addressed to the pieces, together by group, and write part.pairs."""
    spark, groups, documents = work.spark, part.groups, work.documents
    mean = work.summary.text_bytes / max(1, work.summary.rows)
    tasks = max(work.cores, math.ceil(groups.rows * mean / TASK_BYTES))
    fetch = partial(_with_texts, documents=documents, column=work.settings.text_column, groups=groups)
    texts = run_tasks(spark, list(groups.parts or {}), fetch, spark_schema(TEXTS))
    together = texts.repartition(tasks, "group").sortWithinPartitions("group", KEY)
    task = partial(compare_groups, width=work.settings.shingle_words, threshold=threshold)
    batching = one_by_one() if part.long_texts else batch_settings(work.summary.largest_mean_text_bytes)
    with spark_conf(spark, batching):
        part.pairs.write(together.mapInArrow(task, spark_schema(SIMILAR_PAIRS)))


def _with_texts(piece: int, documents: Documents, column: str, groups: Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a piece's groups with the texts of their documents (TEXTS)."""
    rows = pa.Table.from_batches(groups.part(piece), groups.schema)
    keys = np.asarray(rows[KEY])  # sorted; a document may lie in several groups
    first = documents.pieces[piece].first_key
    for batch in documents.batches(piece, [column]):
        start, end = np.searchsorted(keys, [first, first + batch.num_rows])
        if end > start:
            here = rows.slice(start, end - start).combine_chunks()
            texts = plain(batch[column]).take(pa.array(keys[start:end] - first))
            yield pa.RecordBatch.from_arrays(
                [*(here[name].combine_chunks() for name in GROUPS.names), texts.cast(pa.large_string())], schema=TEXTS
            )
        first += batch.num_rows
