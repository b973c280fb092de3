"""The pair stages while the pairs fit the driver's budget: group, rank and decide with NumPy.

`large.py` does the same in DataFrames where there are more pairs; both give the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkprep.dedup import candidates, clusters, grouping, masks, tables
from sparkprep.dedup.masks import KEY
from sparkprep.dedup.settings import Settings
from sparkprep.dedup.signatures import LONG_TEXT, keep_order
from sparkprep.dedup.verify import GROUP_SHINGLES

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


def of_kind(folder: str, kind: int) -> I64:
    """The (a, b) rows of that kind in the candidates tables below `folder`, (n, 2)."""
    parts = [
        np.stack([np.asarray(batch["a"]), np.asarray(batch["b"])], axis=1)
        for path in candidates.tables(folder)
        for batch in tables.batches(path, ["a", "b"], ds.field("kind") == kind)
    ]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty((0, 2), np.int64)


def look_up(path: str, keys: I64, names: Sequence[str]) -> list[I64]:
    """Columns of the signature rows of these sorted keys."""
    found = [np.zeros(len(keys), np.int64) for _ in names]
    for batch in tables.batches(path, [KEY, *names]):
        key = np.asarray(batch[KEY])
        place = np.searchsorted(keys, key)
        place[place == len(keys)] = 0
        hit = np.flatnonzero(keys[place] == key) if len(keys) else np.empty(0, np.int64)
        for column, name in zip(found, names, strict=True):
            column[place[hit]] = np.asarray(batch[name])[hit]
    return found


def assign(pairs: I64, signatures: str) -> tuple[pa.Table, pa.Table]:
    """The groups in which these distinct pairs are compared: (those of ordinary texts, those with a text of LONG_TEXT)."""
    nodes = np.unique(pairs)
    shingles, size = look_up(signatures, nodes, ["shingles", "bytes"])
    table = grouping.assign(pairs, nodes, shingles, GROUP_SHINGLES)
    group = np.asarray(table["group"])
    long_nodes = nodes[size >= LONG_TEXT]
    if not len(long_nodes):
        return table, table.slice(0, 0)
    with_long = np.isin(group, np.unique(group[np.isin(np.asarray(table[KEY]), long_nodes)]))
    return table.filter(pa.array(~with_long)), table.filter(pa.array(with_long))


def write_ranked(signatures: DataFrame, nodes: I64, settings: Settings, folder: str) -> I64:
    """Write (KEY, id) of these documents in keep order to folder/ranked; their keys in that order."""
    masks.write(f"{folder}/nodes.parquet", nodes)
    rank = [c for c in ("id", "keep", "row_hash", "chars") if c in signatures.columns]
    some = masks.inside(signatures.select(KEY, *rank), masks.read(signatures.sparkSession, f"{folder}/nodes.parquet"))
    ordered = some.repartition(1).sortWithinPartitions(*keep_order(settings)).select(KEY, "id")
    ordered.write.parquet(f"{folder}/ranked")
    return tables.columns(f"{folder}/ranked", [KEY])[0].astype(np.int64)


def decide(ranked: I64, copies: I64, edges: I64, jaccard: F64, settings: Settings) -> clusters.Decisions:
    """Apply the rule. ranked: keys in keep order; copies and edges: (n, 2) keys. The result speaks of places in `ranked`."""
    by_key = np.argsort(ranked)
    rank = by_key[np.searchsorted(ranked, np.concatenate([copies, edges]), sorter=by_key)]
    rule = clusters.leader if settings.rule == "leader" else clusters.component
    edge_rank = rank[len(copies) :]
    return rule(len(ranked), rank[: len(copies)], edge_rank[:, 0], edge_rank[:, 1], jaccard)


def decisions_table(decisions: clusters.Decisions, ranked: I64) -> pa.Table:
    """(KEY, kept_key, jaccard, rule) of each removed document."""
    return pa.table(
        {
            KEY: ranked[decisions.removed],
            "kept_key": ranked[decisions.kept],
            "jaccard": decisions.jaccard,
            "rule": pa.DictionaryArray.from_arrays(
                np.where(decisions.exact, 0, 1).astype(np.int8), pa.array(["exact", "near"])
            ).cast(pa.string()),
        }
    )


def removed_rows(decisions: DataFrame, ranked: DataFrame) -> DataFrame:
    """The audit table (id, kept_id, jaccard, rule) from (KEY, kept_key, jaccard, rule) and (KEY, id)."""
    kept = ranked.select(F.col(KEY).alias("kept_key"), F.col("id").alias("kept_id"))
    return decisions.join(ranked, KEY).join(kept, "kept_key").select("id", "kept_id", "jaccard", "rule")
