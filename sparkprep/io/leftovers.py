"""What runs of ours leave or need in a place, and which of it is what a killed one left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

RUN_FOLDER = re.compile(r"(?:[^/]+\.partial|sparkprep)-[0-9a-f]{8}")
"""The name of a run's own folder: one in which a result is made, or one for intermediate tables (--work)."""
MANIFESTS = ("metrics.json", "_metrics.json")
"""What is written last into a result: a run's folder that holds one holds a whole result."""
SCRATCH = "_tmp"
INDEX_KIND = "index of crawls"
"""What the manifest of an index says that it is."""


class State(Enum):
    """What a thing is that a run of ours has left or needs."""

    DEAD = "left by a killed run"
    RUNNING = "in use by a run"
    KEPT = "kept by --keep-work"
    STAYS = "stays"
    """none of what may be removed: `why` tells what it is"""


@dataclass(frozen=True)
class Leftover:
    """A thing that a run of ours has left or needs.

    path: as the user would write it. files, size: how many files or objects, and their bytes. uploads, uploaded: on S3
    the uploads in parts that have not ended, and their bytes. written: when the last of it was written. why: what it
    is, for one that is not removed, and what to do with it.
    """

    path: str
    state: State
    files: int = 0
    size: int = 0
    uploads: int = 0
    uploaded: int = 0
    written: datetime | None = None
    why: str = ""
