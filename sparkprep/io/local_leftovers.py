"""What killed runs left on a disk, where a lock tells whether a run lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from sparkprep.errors import UserError
from sparkprep.io.files import PARTIAL, UNFINISHED, cause
from sparkprep.io.index_leftovers import INDEX, named_folders, table_folders
from sparkprep.io.index_leftovers import LOCK as INDEX_LOCK
from sparkprep.io.leftovers import MANIFESTS, RUN_FOLDER, Leftover, State
from sparkprep.io.liveness import IDLE_SECONDS
from sparkprep.io.resuming import of_resuming
from sparkprep.io.run_folders import LOCK

_REPLACED = re.compile(r"[^/]+\.replaced-[0-9a-f]{8}")


def find_local(path: str, now: datetime) -> list[Leftover]:
    """Return the leftovers below a local folder, and those beside it under its name. Raises UserError."""
    found = [_folder(each) if os.path.isdir(each) else _file(each, now) for each in _ours(path)]
    indexes = (above for above, _, names in os.walk(path) if INDEX in names)
    return found + [each for index in indexes for each in _of_index(index)]


def _of_index(index: str) -> Iterator[Leftover]:
    """Yield the tables of an index that its manifest does not name."""
    named = named_folders(index)
    if named is None:
        return
    lock = os.path.join(index, INDEX_LOCK)
    state = State.RUNNING if os.path.exists(lock) and _is_held(lock) else State.DEAD
    for folder in table_folders(index):
        if folder not in named:
            path = os.path.join(index, *folder.split("/"))
            files, size, written = _measured(path)
            yield Leftover(path, state, files, size, written=written)


def remove_local(path: str) -> None:
    """Delete a file, or a folder and all in it. Raises UserError."""
    try:
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be deleted: {cause(error)}") from error


def _ours(path: str) -> Iterator[str]:
    """Yield what bears one of our names, and nothing inside of it."""
    above, name = os.path.split(path)
    if _is_named(name):
        yield path
        return
    if os.path.isdir(above) and name:
        beside = (f"{name}.partial-", f"{name}.replaced-")
        yield from (os.path.join(above, each) for each in _names(above) if each.startswith(beside) and _is_named(each))
    pending = [path]
    while pending:
        folder = pending.pop()
        for each in _names(folder):
            inside = os.path.join(folder, each)
            if os.path.islink(inside):
                continue
            if (_is_named(each) and os.path.isdir(inside)) or PARTIAL.fullmatch(each):
                yield inside
            elif os.path.isdir(inside):
                pending.append(inside)


def _is_named(name: str) -> bool:
    return RUN_FOLDER.fullmatch(name) is not None or _REPLACED.fullmatch(name) is not None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder) if os.path.isdir(folder) else []
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {cause(error)}") from error


def _folder(path: str) -> Leftover:
    files, size, written = _measured(path)
    state, why = _state_of(path)
    return Leftover(path, state, files, size, written=written, why=why)


def _state_of(path: str) -> tuple[State, str]:
    names = _names(path)
    delete = f"when it is of no more use: rm -r {shlex.quote(path)}"
    if _REPLACED.fullmatch(os.path.basename(path)):
        return State.STAYS, f"an old result that a run was replacing when it was killed; {delete}"
    if LOCK not in names:
        whole = any(name in names for name in MANIFESTS)
        what = "a finished result that was not put in place" if whole else "it bears a run's name and no lock of one"
        return State.STAYS, f"{what}; {delete}"
    if _is_held(os.path.join(path, LOCK)):
        return State.RUNNING, ""
    return State.KEPT if UNFINISHED in names else State.DEAD, of_resuming(path)


def _is_held(lock: str) -> bool:
    """Return whether a process holds a lock; so where that cannot be known."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _file(path: str, now: datetime) -> Leftover:
    """Return a file that was being written: nothing but its age tells whether it still is."""
    files, size, written = _measured(path)
    is_old = written is None or (now - written).total_seconds() > IDLE_SECONDS
    return Leftover(path, State.DEAD if is_old else State.RUNNING, files, size, written=written)


def _measured(path: str) -> tuple[int, int, datetime | None]:
    """Return how many files lie there, their bytes, and when the last was written."""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names] or [path]
    count, size, last = 0, 0, 0.0
    for file in files:
        with contextlib.suppress(OSError):  # it may go meanwhile
            status = os.lstat(file)
            if not os.path.isdir(file):
                count, size = count + 1, size + status.st_size
            last = max(last, status.st_mtime)
    return count, size, datetime.fromtimestamp(last, UTC) if last else None
