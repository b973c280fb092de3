"""What lies in a result folder of near-duplicate removal."""

from sparkprep.io.output import PARQUET_FOLDER

KEPT, REMOVED, REJECTED = "kept", "removed", "rejected"
METRICS, REPORT = "metrics.json", "report.html"

MADE = (
    r"metrics\.json",
    r"report\.html",
    r"kept-\w+\.snappy\.parquet",
    rf"(?:{KEPT}|{REMOVED}|{REJECTED})/{PARQUET_FOLDER}",
)
"""Patterns of all paths that a run makes; the first is there in every result."""
