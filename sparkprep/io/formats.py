"""The formats of data files, as their names' extensions tell them."""

from __future__ import annotations

PARQUET = "parquet"
JSONL_FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst")
CODECS = {"jsonl.gz": "gzip", "jsonl.zst": "zstd"}
"""Format -> Arrow's name of what unpacks it."""
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
KNOWN_EXTENSIONS = ".parquet, .jsonl, .ndjson, .json (the last three also with .gz or .zst)"


def format_of(name: str) -> str | None:
    """Return the format that a file name's extension tells, or None if it is not one of KNOWN_EXTENSIONS."""
    name = name.lower()
    if name.endswith(".parquet"):
        return PARQUET
    for compression in ("", ".gz", ".zst"):
        if name.endswith(tuple(suffix + compression for suffix in _JSON_SUFFIXES)):
            return "jsonl" + compression
    return None
