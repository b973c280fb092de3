"""What lies in a result folder of extraction."""

from sparkprep.io.output import PARQUET_FOLDER

DOCUMENTS, SKIPPED, REJECTED = "documents", "skipped", "rejected"
METRICS = "metrics.json"
MADE = (r"metrics\.json", r"report\.html", rf"(?:{DOCUMENTS}|{SKIPPED}|{REJECTED})/{PARQUET_FOLDER}")
"""Patterns of all paths that a run makes; the first is there in every result."""
