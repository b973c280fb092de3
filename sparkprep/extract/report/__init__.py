"""report.html of extraction: what was lost and why, and whether the text is clean."""
