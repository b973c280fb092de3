"""JSON Lines documents: their lines, the kinds of their values, the copy as Parquet."""
