"""The output folder of a run: held by one process at a time, and never holding the checkpoints of two runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sparkprep.errors import UserError
from sparkprep.io.files import cause, make_folder
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
    path = os.path.join(folder, LOCK_NAME)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {cause(error)}; choose another folder with -o") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise UserError(
                f"{folder}: another run (process {holder}) writes into this folder; wait for it, end it, or choose "
                "another folder with -o"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        checkpoint.delete_unfinished(folder)
        yield folder
    finally:
        os.close(descriptor)


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
