"""The output folder of a run: held by one process at a time, and never holding the checkpoints of two runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sparkprep.io import locks
from sparkprep.io.files import delete_file, delete_folder, delete_partials, make_folder, write_text
from sparkprep.io.paths import normalise
from trainer import run_files
from trainer.checkpoints import checkpoint

LOCK_NAME = ".lock"
_MARK = ".set-aside"


@contextmanager
def held(folder: str) -> Iterator[str]:
    """Make a folder, hold it for this process and clear away what a killed run left half-written; gives its path.

    The hold ends with the process, however that ends. Raises UserError where another run holds it.
    """
    folder = normalise(folder)
    make_folder(folder)
    with locks.held(folder, os.path.join(folder, LOCK_NAME), "choose another output folder") as is_held:
        if is_held:
            delete_partials(folder)
            delete_folder(os.path.join(folder, run_files.PROBE))
        yield folder


def set_aside(folder: str) -> str | None:
    """Move an earlier run's checkpoints and logs into a folder `earlier-N` in it, and name that; None without any.

    Or the checkpoints of two runs would lie side by side, and a later resume take one of the wrong run; and the log of
    a run that kept none (-n 0) would be written over.
    """
    checkpoints = checkpoint.find(folder)
    log = os.path.join(folder, run_files.LOG)
    if not checkpoints and not (os.path.exists(log) and os.path.getsize(log)):
        return None
    names = os.listdir(folder)
    number = max((int(match[1]) for name in names if (match := run_files.EARLIER.fullmatch(name))), default=0) + 1
    target = os.path.join(folder, f"earlier-{number}")
    make_folder(target)
    write_text(os.path.join(target, _MARK), "moved here by a new run; delete it or take it elsewhere as you like\n")
    for each in checkpoints:
        for path in (each.done, each.manifest, each.state, each.model):
            _move(path, target)
    for name in (run_files.LOG, run_files.PARAMETERS):
        _move(os.path.join(folder, name), target)
    return target


def earlier_runs(folder: str) -> list[str]:
    """Return the folders that `set_aside` has made in a folder and that hold checkpoints, the newest first.

    Others of such names are not ours; a log alone takes no room to speak of, and stays.
    """
    numbers = [int(match[1]) for name in os.listdir(folder) if (match := run_files.EARLIER.fullmatch(name))]
    paths = [os.path.join(folder, f"earlier-{number}") for number in sorted(numbers, reverse=True)]
    return [path for path in paths if os.path.exists(os.path.join(path, _MARK)) and checkpoint.find(path)]


def size_of(path: str) -> int:
    """Return the bytes of the files in a folder."""
    with os.scandir(path) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def forget_earlier(folder: str, keep: int) -> list[str]:
    """Delete all but the newest `keep` of the runs set aside, and return their folders.

    Only what was moved there goes: a file that somebody has put beside it stays, and with it the folder.
    """
    superfluous = earlier_runs(folder)[keep:]
    for path in superfluous:
        for each in checkpoint.find(path):
            checkpoint.delete(each)
        for name in (run_files.LOG, run_files.PARAMETERS, _MARK):
            delete_file(os.path.join(path, name))
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return superfluous


def _move(path: str, target: str) -> None:
    if os.path.exists(path):
        os.replace(path, os.path.join(target, os.path.basename(path)))
