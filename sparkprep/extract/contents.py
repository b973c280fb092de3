"""What lies in a result folder of extraction."""

from sparkprep.io.output import PARQUET_FOLDER

DOCUMENTS, REJECTED = "documents", "rejected"
METRICS = "metrics.json"
MADE = (r"metrics\.json", r"report\.html", rf"(?:{DOCUMENTS}|{REJECTED})/{PARQUET_FOLDER}")
"""Patterns of all paths that a run makes; the first is there in every result."""
