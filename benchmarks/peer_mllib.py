"""Near-duplicate removal with Spark's own MLlib: python benchmarks/peer_mllib.py IN OUT

5-word shingles hashed to a binary vector, MinHashLSH, approxSimilarityJoin of the documents with themselves at distance
0.2; of each pair that it yields, the document of the greater id goes. The join computes exact distances, on hashed
shingles.
"""

from __future__ import annotations

import math
import sys

from pyspark.ml.feature import HashingTF, MinHashLSH, NGram, RegexTokenizer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkprep.spark.session import get_session

FEATURES = 1 << 30  # vectors are sparse, so this costs nothing; the default of 2^18 merges shingles of long documents
MISSED = 0.01


def tables(threshold: float, missed: float = MISSED) -> int:
    """The least number of hash tables with which a pair at the threshold is found but for a chance of `missed`.

    A table of MLlib holds one hash value, so a pair of similarity J meets in one of k tables with 1 - (1 - J)^k: three
    tables for 0.8 and 1 %. More cost time and find little.
    """
    return max(1, math.ceil(math.log(missed) / math.log(1 - threshold))) if threshold < 1 else 1


def deduplicate(documents: DataFrame, threshold: float = 0.8, parts: int | None = None) -> DataFrame:
    """The documents that stay, all columns. `id` must be unique. Texts of fewer than five words always stay, since
    MLlib's MinHash takes no empty vector. parts: spread the documents over so many tasks."""
    spread = documents.repartition(parts) if parts else documents
    words = RegexTokenizer(pattern=r"[\p{L}\p{N}]+", gaps=False, inputCol="text", outputCol="words")
    grams = NGram(n=5, inputCol="words", outputCol="shingles")
    hashing = HashingTF(numFeatures=FEATURES, binary=True, inputCol="shingles", outputCol="features")
    tokens = words.transform(spread.select("id", "text").where(F.col("text").isNotNull())).drop("text")
    shingled = grams.transform(tokens).drop("words").where(F.size("shingles") > 0)
    vectors = hashing.transform(shingled).drop("shingles").cache()
    lsh = MinHashLSH(numHashTables=tables(threshold), seed=1, inputCol="features", outputCol="hashes")
    joined = lsh.fit(vectors).approxSimilarityJoin(vectors, vectors, 1 - threshold, "distance")
    later = joined.where("datasetA.id < datasetB.id").select(F.col("datasetB.id").alias("id")).distinct()
    return documents.join(later, "id", "left_anti")


if __name__ == "__main__":
    source, target = sys.argv[1:]
    spark = get_session("mllib")
    kept = deduplicate(spark.read.parquet(source), parts=4 * spark.sparkContext.defaultParallelism)
    kept.write.option("compression", "snappy").parquet(target)
    spark.stop()
