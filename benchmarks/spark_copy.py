"""Spark copying Parquet, the floor that the whole job is compared with: python benchmarks/spark_copy.py IN OUT"""

from __future__ import annotations

import sys

from sparkprep.spark.session import get_session

if __name__ == "__main__":
    source, target = sys.argv[1:]
    spark = get_session("copy")
    spark.read.parquet(source).write.option("compression", "snappy").parquet(target)
    spark.stop()
