"""Documents that are equal in the keep order, such as rows of one id: told apart by a hash of the whole row.

Few inputs have any, so that the other columns are read for these documents alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkprep.dedup.search_tables import Ties
from sparkprep.dedup.workspace import Workspace
from sparkprep.documents import addressed
from sparkprep.documents.addressed import is_among, keys_of
from sparkprep.documents.keys import KEY
from sparkprep.io.arrow import filtered, python_values


def with_row_hashes(work: Workspace, ranks: pa.Table, ties: Ties) -> pa.Table:
    """Return rows (KEY, rank, ...) on the driver with the column row_hash: 0 but for those of equal rank."""
    ranks = ranks.sort_by([("rank", "ascending")])
    keys = np.asarray(ranks[KEY])
    hashes = np.zeros(len(keys), np.int64)
    places = np.flatnonzero(_tied(ranks["rank"].combine_chunks()))
    if places.size:
        addressed.save(ties.documents, work.documents, pa.table({KEY: keys[places]}))
        _write_row_hashes(work, ties)
        places = places[np.argsort(keys[places])]
        key, row_hash = ties.row_hashes.columns([KEY, "row_hash"])
        hashes[places[np.searchsorted(keys[places], key)]] = row_hash
    return ranks.append_column("row_hash", pa.array(hashes))


def ranked(work: Workspace, nodes: DataFrame, ties: Ties) -> DataFrame:
    """Return (KEY, rank, row_hash) of distinct documents, rows of KEY, on the cluster."""
    rows = work.signatures.read(work.spark, [KEY, "rank"]).join(nodes, KEY)
    equal = rows.groupBy("rank").agg(F.count(F.lit(1)).alias("n")).where("n > 1").select("rank")
    addressed.write(ties.documents, work.documents, rows.join(equal, "rank").select(KEY))
    if not ties.documents.rows:
        return rows.withColumn("row_hash", F.lit(0).cast("long"))
    _write_row_hashes(work, ties)
    hashes = ties.row_hashes.read(work.spark)
    return rows.join(hashes, KEY, "left").select(KEY, "rank", F.coalesce("row_hash", F.lit(0)).alias("row_hash"))


def _write_row_hashes(work: Workspace, ties: Ties) -> None:
    documents, index, tied = work.documents, work.index, ties.documents
    names = sorted(documents.schema.names)
    work.note_scan("ties", (piece for piece in tied.parts or {} if piece in work.own_pieces), names)

    def task(number: int) -> Iterator[pa.RecordBatch]:
        wanted = keys_of(tied, number)
        if index is not None and index.holds(number):
            hashes = index.row_hashes(number, wanted)
            yield pa.RecordBatch.from_pydict({KEY: wanted, "row_hash": hashes})
            return
        key = documents.pieces[number].first_key
        for batch in documents.batches(number, names):
            keys = np.arange(key, key + batch.num_rows)
            key += batch.num_rows
            hit = is_among(keys, wanted)
            if hit.any():
                rows = filtered(batch, hit)
                yield pa.RecordBatch.from_pydict({KEY: keys[hit], "row_hash": _hash_rows(rows)})

    ties.row_hashes.write_tasks(work.spark, list(tied.parts or {}), task)


def _hash_rows(rows: pa.RecordBatch) -> pa.Array:
    """Return a 64-bit hash of each row's values, int64 (n,), which the values' storage does not change."""
    columns = [python_values(column) for column in rows.columns]
    digests = (
        hashlib.blake2b(repr(row).encode("utf-8", "replace"), digest_size=8).digest()
        for row in zip(*columns, strict=True)
    )
    return pa.array(np.frombuffer(b"".join(digests), "<i8"), pa.int64())


def _tied(ranks: pa.Array) -> npt.NDArray[np.bool_]:
    """Return which of the sorted ranks, binary (n,), equal a neighbour: bool (n,)."""
    if len(ranks) < 2:
        return np.zeros(len(ranks), np.bool_)
    same = np.asarray(pc.equal(ranks[1:], ranks[:-1]))
    either: npt.NDArray[np.bool_] = np.append(same, False) | np.insert(same, 0, False)
    return either
