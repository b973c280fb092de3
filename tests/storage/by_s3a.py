"""The pipeline with tables in between that Spark reads and writes by S3A: spark-submit by_s3a.py BUCKET NAME TOKENS VAL

The documents come as Spark's own DataFrame, and are more pairs than the driver may hold; what is kept, and the token
rows, Spark writes and reads again.
"""

import sys

from sparkprep import deduplicate, tokenize, write_shards
from sparkprep.spark.session import get_session

if __name__ == "__main__":
    bucket, name, shard_tokens, val_tokens = sys.argv[1:]
    spark = get_session("by S3A")
    documents = spark.read.parquet(f"s3a://{bucket}/documents")
    clean = deduplicate(documents, output=f"s3://{bucket}/clean", driver_budget=0, spark=spark)
    clean.kept.write.parquet(f"s3a://{bucket}/kept-by-spark")
    kept = spark.read.parquet(f"s3a://{bucket}/kept-by-spark")
    tokens = tokenize(kept, output=f"s3://{bucket}/tokens", spark=spark)
    tokens.rows.write.parquet(f"s3a://{bucket}/rows-by-spark")
    shards = {"name": name, "shard_tokens": int(shard_tokens), "val_tokens": int(val_tokens)}
    write_shards(f"s3a://{bucket}/rows-by-spark", output=f"s3://{bucket}/shards", spark=spark, **shards)
