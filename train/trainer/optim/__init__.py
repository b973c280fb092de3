"""AdamW, learning rates, outliers."""
