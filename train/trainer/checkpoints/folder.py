"""The output folder of a run: held by one process at a time, and never holding the checkpoints of two runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sparkprep.io import locks
from sparkprep.io.files import delete_partials, make_folder
from sparkprep.io.paths import normalise
from trainer import run_files
from trainer.checkpoints import checkpoint

LOCK_NAME = ".lock"
_EARLIER = "earlier-{}"


@contextmanager
def held(folder: str) -> Iterator[str]:
    """Make a folder, hold it for this process and clear away what a killed run left half-written; gives its path.

    The hold ends with the process, however that ends. Raises UserError where another run holds it.
    """
    folder = normalise(folder)
    make_folder(folder)
    with locks.held(folder, os.path.join(folder, LOCK_NAME), "choose another folder with -o") as is_held:
        if is_held:
            delete_partials(folder)
        yield folder


def set_aside(folder: str) -> str | None:
    """Move an earlier run's checkpoints and logs into a folder `earlier-N` in it, and name that; None without any.

    Or the checkpoints of two runs would lie side by side, and a later resume take one of the wrong run.
    """
    checkpoints = checkpoint.find(folder)
    if not checkpoints:
        return None
    numbers = (n for n in range(1, 1_000_000) if not os.path.exists(os.path.join(folder, _EARLIER.format(n))))
    target = os.path.join(folder, _EARLIER.format(next(numbers)))
    make_folder(target)
    paths = [path for files in checkpoints for path in (files.done, files.manifest, files.state, files.model)]
    for path in (*paths, os.path.join(folder, run_files.LOG), os.path.join(folder, run_files.PARAMETERS)):
        if os.path.exists(path):
            os.replace(path, os.path.join(target, os.path.basename(path)))
    return target
