"""Parquet documents: their footers, their schemas, their rows."""
