"""Compile the kernels once and leave them in Numba's cache, so that no worker compiles: `make setup` runs it.

What Spark's tasks call is called for two documents, so that what is compiled is what they will ask for. What a job
imports is imported too, so that Python leaves its compiled modules beside the packages.
"""

import importlib
import time

import numpy as np
import pyarrow as pa

from sparkprep.dedup import candidates, signatures, verify
from sparkprep.dedup.kernels import buckets, clusters
from sparkprep.dedup.kernels.bands import choose, in_sequence
from sparkprep.dedup.resolve import grouping
from sparkprep.dedup.settings import Settings
from sparkprep.documents.keys import KEY

TEXTS = ["The quick brown fox jumps over the lazy dog, naïvely.", "The quick brown fox jumps over the lazy dog.", None]
IMPORTED = (
    "pyspark.worker",
    "sparkprep.dedup.cli",
    "sparkprep.dedup.pipeline",
    "sparkprep.dedup.report.plots",
    "sparkprep.grade.cli",
    "sparkprep.tokens.shards",
)


def main() -> None:
    """Run the kernels once and import what jobs import; say how long it took."""
    start = time.monotonic()
    for module in IMPORTED:
        importlib.import_module(module)
    slots = in_sequence(*choose(0.8)).slots
    documents = pa.RecordBatch.from_pydict({"id": pa.array(["a", "b", "c"]), "text": pa.array(TEXTS)})
    columns = signatures.Columns("text", "id", None, None)
    sketched = [signatures.signature_rows(documents, 0, columns, Settings())]
    blobs = list(candidates.first_entries(iter(sketched), partitions=1))
    list(candidates.search_buckets((blob for _, blob in blobs), cap=10))
    list(candidates.further_entries(iter(sketched), partitions=1, slots=slots))
    buckets.Leaders(0, 2).meet(np.arange(2), np.zeros((2, 128), np.uint8), 100.0, 120.0)
    groups = {"group": pa.array([0, 0]), "partners": pa.array([[], [0]], pa.list_(pa.int64()))}
    pairs = pa.RecordBatch.from_pydict({**groups, KEY: pa.array([0, 1]), "text": pa.array(TEXTS[:2])})
    list(verify.compare_groups(iter([pairs]), width=5))
    edge = np.array([[0, 1]])
    clusters.leader(2, edge[:0], edge[:, 0], edge[:, 1], np.array([0.9]))
    grouping.assign(edge, np.arange(2), np.ones(2, np.int64), 100)
    print(f"kernels ready in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
