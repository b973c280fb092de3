"""What lies in a result folder of curation."""

from sparkprep.io.output import PARQUET_FOLDER

KEPT, REMOVED, REJECTED = "kept", "removed", "rejected"
METRICS, REPORT = "metrics.json", "report.html"
RULE_COLUMN, VALUE_COLUMN, LIMIT_COLUMN = "filter_rule", "filter_value", "filter_limit"
"""Of removed/, beside the input's columns: which rule decided, what it measured, and its threshold."""

MADE = (r"metrics\.json", r"report\.html", rf"(?:{KEPT}|{REMOVED}|{REJECTED})/{PARQUET_FOLDER}")
"""Patterns of all paths that a run makes; the first is there in every result."""
