"""The whole pipeline, from documents to shards, in one place, local or on S3; and what it ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from remote import table

from sparkprep.tokens.manifest import verify

RESULTS = {"clean", "tokens", "shards"}
"""What a run leaves in its place, and nothing else."""
_SHARDS = ("--name", "t", "--shard-tokens", "500000", "--val-tokens", "100000")

Step = tuple[str, list[str]]
"""A job and its words."""


@dataclass(frozen=True)
class End:
    """What must not depend on where a pipeline runs, nor on what it meets: rows, by id, and each shard's SHA-256."""

    kept: pa.Table
    removed: pa.Table
    shards: list[dict[str, Any]]


def steps(source: str, place: str) -> list[Step]:
    """Return the jobs that make documents into shards, as one would start them again and again."""
    dedup = ["--input", source, "--output", f"{place}/clean", "--overwrite", "--quiet"]
    folders = ["--input", f"{place}/clean", "--output", f"{place}/tokens", "--shards", f"{place}/shards"]
    return [("dedup", dedup), ("tokens", [*folders, *_SHARDS, "--overwrite", "--quiet"])]


def end_of(place: str) -> End:
    """Return what lies there, each shard looked through."""
    return End(table(f"{place}/clean/kept"), table(f"{place}/clean/removed"), verify(f"{place}/shards")["shards"])
