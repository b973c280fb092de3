"""Near-duplicate removal and token shards on Spark."""
