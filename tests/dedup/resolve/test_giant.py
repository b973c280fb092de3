"""A component of half a million documents, decided on the cluster: the driver's answer, in a small worker."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from parquet_files import documents_at, save
from pyspark.sql import SparkSession

from sparkprep.dedup.columns import COPIES, SIGNATURES, SIMILAR_PAIRS
from sparkprep.dedup.contents import MADE
from sparkprep.dedup.inputs import choose_columns
from sparkprep.dedup.kernels import clusters
from sparkprep.dedup.resolve import cluster
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents.keys import KEY
from sparkprep.io.listing import list_files
from sparkprep.io.output import OutputFolder
from sparkprep.spark.progress import Progress
from sparkprep.spark.tables import Table

DOCUMENTS, EDGES = 500_000, 2_000_000
MOST_MEMORY = 600 << 20
"""Of the Python worker that streams the component; 100 MB are the interpreter and its libraries."""


def giant(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random tree over all documents and random edges beside it: (n, 2) distinct pairs a < b, their similarities."""
    tree = np.stack(
        [(random.random(DOCUMENTS - 1) * np.arange(1, DOCUMENTS)).astype(np.int64), np.arange(1, DOCUMENTS)]
    )
    more = random.integers(0, DOCUMENTS, (2, EDGES - DOCUMENTS))
    both = np.concatenate([tree, more[:, more[0] != more[1]]], axis=1)
    names = random.permutation(DOCUMENTS)
    pairs = np.sort(names[both].T, axis=1)
    pairs = np.stack(np.divmod(np.unique(pairs[:, 0] * DOCUMENTS + pairs[:, 1]), DOCUMENTS), axis=1)
    return pairs, random.choice([0.8, 0.85, 0.9, 0.95], len(pairs))


def memory(what: str, status: Path = Path("/proc/self/status")) -> int:
    """Bytes of a process, as the kernel tells them."""
    return int(re.search(rf"{what}:\s+(\d+) kB", status.read_text())[1]) << 10


def workspace(spark: SparkSession, folder: OutputFolder, source: Path, rank: np.ndarray) -> Workspace:
    """A run whose sketch is done: document k has the place rank[k] in keep order."""
    settings, documents = Settings(), documents_at(source)
    files, columns = list_files([source]), choose_columns(documents.schema, settings)
    work = Workspace(spark, settings, folder, Progress(spark, None), [str(source)], files, documents, columns)
    number = pa.array(np.zeros(DOCUMENTS, np.int64))
    packed = pa.py_buffer(rank.astype(">i8").tobytes())
    binary = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), DOCUMENTS, [None, packed]).cast(pa.binary())
    values = {KEY: np.arange(DOCUMENTS), "id": binary, "rank": binary}
    rest = {
        f.name: values.get(f.name, number if f.type == pa.int64() else pa.nulls(DOCUMENTS, f.type)) for f in SIGNATURES
    }
    work.signatures.save(pa.table(rest, SIGNATURES))
    return work


@pytest.mark.scale
def test_a_component_of_half_a_million_is_decided_as_on_the_driver_in_bounded_memory(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(17)
    pairs, jaccard = giant(random)
    rank = random.permutation(DOCUMENTS)
    source = save(tmp_path / "in.parquet", {"id": np.arange(DOCUMENTS), "text": pa.nulls(DOCUMENTS, pa.string())})
    peaks, keep_or_remove = tmp_path / "peaks", cluster._keep_or_remove
    peaks.mkdir()

    def watched(batches, rule):
        yield from keep_or_remove(batches, rule)
        import os

        with open("/proc/self/status") as status:
            (peaks / str(os.getpid())).write_text(status.read())

    monkeypatch.setattr(cluster, "_keep_or_remove", watched)
    with OutputFolder(str(tmp_path / "out"), False, [str(source)], MADE) as folder:
        work = workspace(spark, folder, source, rank)
        edges, copies = Table(str(tmp_path / "edges"), SIMILAR_PAIRS), Table(str(tmp_path / "copies"), COPIES)
        halves = np.array_split(np.arange(len(pairs)), 2)
        edges.save_parts(
            {n: pa.table({"a": pairs[h, 0], "b": pairs[h, 1], "jaccard": jaccard[h]}) for n, h in enumerate(halves)}
        )
        copies.save(COPIES.empty_table())
        best = cluster._best_of_copies(work, copies.read(spark))
        steps = cluster._decide(work, edges.read(spark), best, work.search("cluster", 0))
        with pytest.raises(StopIteration) as ended:
            next(steps)
        table = work.search("cluster", 0).removed
        found = np.stack(table.columns([KEY, "kept_key"]), axis=1)
        similarity = table.columns(["jaccard"])[0]
        assert ended.value.value.columns[0] == KEY
        assert 0 < work.search("cluster", 0).graph.rounds < 20
    none = np.empty((0, 2), np.int64)
    expected = clusters.leader(DOCUMENTS, none, rank[pairs[:, 0]], rank[pairs[:, 1]], jaccard)
    order = np.argsort(rank[found[:, 0]])
    assert rank[found[order, 0]].tolist() == expected.removed.tolist()
    assert rank[found[order, 1]].tolist() == expected.kept.tolist()
    assert similarity[order].tolist() == expected.jaccard.tolist()
    peak = max(memory("VmHWM", path) for path in peaks.iterdir())
    print(f"peak of a worker: {peak / 1e6:.0f} MB")
    assert peak < MOST_MEMORY


@pytest.mark.scale
def test_the_stream_of_such_a_component_holds_a_hundred_bytes_for_each_document_that_stays() -> None:
    """The task alone, without Spark before it: its rows by the million, as they come sorted."""
    random = np.random.default_rng(17)
    pairs, jaccard = giant(random)  # a document's key is its place in keep order
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    order = np.argsort(ends[:, 0], kind="stable")
    offsets = np.searchsorted(ends[order, 0], np.arange(DOCUMENTS + 1)).astype(np.int32)
    lists = [pa.ListArray.from_arrays(offsets, column) for column in (ends[order, 1], np.tile(jaccard, 2)[order])]
    columns = [np.zeros(DOCUMENTS, np.int64), np.arange(DOCUMENTS), *lists]
    table = pa.table(dict(zip(("root", KEY, "neighbours", "similarity"), columns, strict=True)))
    removed, kept, similarity = [], [], []
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before = memory("VmRSS")
    for batch in cluster._keep_or_remove(iter(table.to_batches(max_chunksize=10_000)), "leader"):
        removed.append(np.asarray(batch[KEY]))
        kept.append(np.asarray(batch["kept_key"]))
        similarity.append(np.asarray(batch["jaccard"]))
    peak = memory("VmHWM") - before
    expected = clusters.leader(DOCUMENTS, np.empty((0, 2), np.int64), pairs[:, 0], pairs[:, 1], jaccard)
    assert np.concatenate(removed).tolist() == expected.removed.tolist()
    assert np.concatenate(kept).tolist() == expected.kept.tolist()
    assert np.concatenate(similarity).tolist() == expected.jaccard.tolist()
    stay = DOCUMENTS - len(expected.removed)
    print(f"{stay:,} of {DOCUMENTS:,} stay, {peak / stay:.0f} bytes each at the peak")
    assert peak < 120 * stay + (48 << 20), "and the rows that are Python's at a time, and what is decided"
