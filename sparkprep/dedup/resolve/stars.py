"""Connected components in DataFrames: alternating large-star and small-star (Kiveris et al., SoCC 2014).

For graphs that do not fit one machine. Every round is written to disk and read back, so that neither the plan nor the
lineage grows with the rounds, of which there are about log2 of the longest path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from sparkprep.spark.tables import Table


class Components(NamedTuple):
    """The connected components of a graph."""

    roots: DataFrame
    """(node, root) for each node, root being the least node of its component"""
    rounds: int
    """of large-star and small-star that were made, the last of which changed nothing"""


def components(edges: DataFrame, table_of_round: Callable[[int], Table]) -> Components:
    """Return the components of the graph of edges (u, v), u != v.

    table_of_round: where the links (u, v) after so many rounds are written. A round reads nothing but the files of the
    one before, which all nodes see: so a worker that is lost takes no round with it. Raises RuntimeError after 100
    rounds.
    """
    spark = edges.sparkSession
    current = materialise(
        edges.select(F.greatest("u", "v").alias("u"), F.least("u", "v").alias("v")).distinct(), table_of_round(0)
    )
    before = None
    for number in range(1, 100):
        now = _fingerprint(current)
        if now == before:
            roots = current.select(F.col("v").alias("node"), F.col("v").alias("root")).distinct()
            return Components(
                current.select(F.col("u").alias("node"), F.col("v").alias("root")).union(roots), number - 1
            )
        before = now
        current = materialise(_small_star(_large_star(current)), table_of_round(number))
    raise RuntimeError(f"connected components of {spark.sparkContext.appName} did not settle in 100 rounds")


def materialise(rows: DataFrame, table: Table) -> DataFrame:
    """Write rows once and read them back, so that nothing later computes them again."""
    table.write(rows)
    return table.read(rows.sparkSession)


def _fingerprint(edges: DataFrame) -> tuple[int, int]:
    row = edges.agg(F.count(F.lit(1)), F.coalesce(F.sum(F.xxhash64("u", "v").cast("decimal(38,0)")), F.lit(0))).first()
    assert row is not None  # an aggregate without groups has one row
    return int(row[0]), int(row[1])


def _large_star(edges: DataFrame) -> DataFrame:
    """Hang every larger neighbour of a node on the node's least neighbour (or on the node itself)."""
    both = edges.union(edges.select(F.col("v").alias("u"), F.col("u").alias("v")))
    least = F.least("u", F.min("v").over(Window.partitionBy("u")))
    return both.withColumn("m", least).where("v > u").select(F.col("v").alias("u"), F.col("m").alias("v")).distinct()


def _small_star(edges: DataFrame) -> DataFrame:
    """Hang a node and its smaller neighbours on the least of them. Edges run from the larger to the smaller node."""
    least = F.min("v").over(Window.partitionBy("u"))
    with_least = edges.withColumn("m", least)
    others = with_least.where("v > m").select(F.col("v").alias("u"), F.col("m").alias("v"))
    return others.union(with_least.select("u", F.col("m").alias("v"))).distinct()
