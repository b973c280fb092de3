"""Connected components in DataFrames: alternating large-star and small-star (Kiveris et al., SoCC 2014).

For graphs that do not fit one machine. Every round is written to disk and read back, so that neither the plan nor the
lineage grows with the rounds, of which there are about log2 of the longest path.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from sparkprep.io.paths import spark_target
from sparkprep.spark import tables

EDGES = "u long, v long"


def components(edges: DataFrame, folder: str) -> DataFrame:
    """(node, root) for each node of the graph of edges (u, v), u != v: root is the least node of its component.

    `folder` takes the rounds' tables.
    """
    spark = edges.sparkSession
    current = _saved(edges.select(F.greatest("u", "v").alias("u"), F.least("u", "v").alias("v")).distinct(), folder, 0)
    before = None
    for turn in range(1, 100):
        now = _fingerprint(current)
        if now == before:
            roots = current.select(F.col("v").alias("node"), F.col("v").alias("root")).distinct()
            return current.select(F.col("u").alias("node"), F.col("v").alias("root")).union(roots)
        before = now
        current = _saved(_small_star(_large_star(current)), folder, turn)
    raise RuntimeError(f"connected components of {spark.sparkContext.appName} did not settle in 100 rounds")


def _saved(edges: DataFrame, folder: str, turn: int) -> DataFrame:
    path = f"{folder}/round-{turn:02d}"
    edges.write.parquet(spark_target(path))
    return tables.read(edges.sparkSession, EDGES, path)


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
