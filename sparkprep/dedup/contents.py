"""What lies in a result folder of near-duplicate removal."""

from sparkprep.io.output import PARQUET_FOLDER

KEPT, REMOVED, REJECTED = "kept", "removed", "rejected"
AUDIT_ROWS, AUDIT_PAIRS = "audit/rows", "audit/pairs"
"""The removed rows of the input, in its order; and which document stands for which (`columns.pairs_schema`)."""
METRICS = "metrics.json"

SINGLE_FILE = r"kept-\w+\.snappy\.parquet"
"""All kept documents as one file, where that was asked for."""

OF_THRESHOLD = r"threshold-\d[\d.e-]*"
"""The folder of one of several thresholds' results (`thresholds.folder_of`)."""
_OF_ONE = (
    r"metrics\.json",
    r"report\.html",
    SINGLE_FILE,
    rf"(?:{KEPT}|{REMOVED}|{REJECTED}|{AUDIT_ROWS}|{AUDIT_PAIRS})/{PARQUET_FOLDER}",
)
MADE = (*_OF_ONE, *(f"{OF_THRESHOLD}/{pattern}" for pattern in _OF_ONE))
"""Patterns of all paths that a run makes; the first is there in every result. One of several thresholds has a folder
for the result of each."""
