"""What lies in a result folder of decontamination."""

from sparkprep.io.output import PARQUET_FOLDER

KEPT, REMOVED, AUDIT, REJECTED = "kept", "removed", "audit", "rejected"
METRICS, REPORT = "metrics.json", "report.html"
BENCHMARK_COLUMN, LINE_COLUMN, ID_COLUMN = "matched_benchmark", "matched_line", "matched_id"
WORDS_COLUMN, START_COLUMN, END_COLUMN = "matched_words", "matched_start", "matched_end"
NGRAMS_COLUMN, QUESTIONS_COLUMN = "matched_ngrams", "matched_questions"
"""Of removed/ and audit/, beside the input's columns: what of which question the document holds, and where."""

MADE = (r"metrics\.json", r"report\.html", rf"(?:{KEPT}|{REMOVED}|{AUDIT}|{REJECTED})/{PARQUET_FOLDER}")
"""Patterns of all paths that a run makes; the first is there in every result."""
