"""Where the rows of a task wait on a node's disk: the folders that Spark's shuffles have there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from sparkprep.errors import UserError
from sparkprep.io.files import cause


def spill_folder() -> str:
    """Return one of the folders that Spark's workers write to, each worker another where there are several."""
    folders = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")
    return folders[os.getpid() % len(folders)] or tempfile.gettempdir()


@contextmanager
def room_in(folder: str, what: str) -> Iterator[None]:
    """Tell of what cannot be written to a folder as a UserError with the way out. what: "rows that wait"."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: {what} cannot be written: {cause(error)}; free some space there, or set spark.local.dir to "
            "another folder"
        ) from error
