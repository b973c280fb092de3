"""What lies in a folder of token rows, and whether it is there already: no Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sparkprep.errors import argument
from sparkprep.io.files import exists
from sparkprep.io.json_files import read_json
from sparkprep.io.listing import DataFile, list_written, stamps
from sparkprep.io.output import PARQUET_FOLDER
from sparkprep.io.paths import join_path
from sparkprep.tokens.settings import TokenizeSettings

METRICS = "_metrics.json"
"""Beside the rows: a name that readers pass over when they read the folder, as they do that of REJECTED."""
REJECTED = "_rejected"
MADE = (r"_metrics\.json", PARQUET_FOLDER, rf"_?rejected/{PARQUET_FOLDER}")
"""Patterns of all paths that a run makes, or made in earlier versions; the first is there in every result."""


def asked_of(files: Sequence[DataFile], settings: TokenizeSettings) -> dict[str, Any]:
    """Return what a run is asked for, as JSON holds it: the stamps of its input's files, and the settings."""
    return {"input": stamps(files), "settings": asdict(settings)}


def finished(output: str, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the metrics of an output that was made as is asked for now; None for any other, or none.

    Its files must be there in their sizes: rows would be lost otherwise without a word.
    """
    path = join_path(output, METRICS)
    if not exists(path):
        return None
    metrics = read_json(
        path, f"take another {argument('output')}, or {argument('overwrite', True)}", {"asked": dict, "parts": list}
    )
    made = {(part["name"], part["bytes"]) for part in metrics["parts"]}
    there = {(file.path.rpartition("/")[2], file.size) for file in list_written(output)}
    return dict(metrics) if metrics["asked"] == asked and made == there else None
