"""Reading documents: Parquet files as they are, JSON Lines spooled to Parquet once."""
