"""Which files of a run go into a bucket, and under which keys: those that the course's notebook looks for.

A file of EXP becomes `experiments/CLUSTER/<name of EXP>/<its path inside EXP>`.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from sparkprep.errors import UserError
from sparkprep.io import s3
from sparkprep.io.files import cause
from sparkprep.io.paths import is_local, normalise
from trainer import run_files
from trainer.runs.bucket import LOG_SUFFIXES, ROOT


@dataclass(frozen=True)
class Item:
    """One file to upload. size: bytes when it was listed."""

    path: str
    key: str
    size: int


@dataclass(frozen=True)
class UploadPlan:
    """What to upload, sorted by key, and sentences about what is left out or cannot be read."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(item.size for item in self.items)


def plan_upload(folder: str, cluster: str, *, everything: bool = False) -> UploadPlan:
    """Return the files of a run's folder, those ending in .txt and .log or all that are not hidden, and their keys.

    Links to folders, links to files outside the folder, and runs that a new one has set aside are left out. Raises
    UserError for a missing folder, a cluster that can be no part of a key, and where nothing is left to upload.
    """
    s3.check_name(cluster, "a cluster's name")
    prefix = f"{ROOT}/{cluster}/{s3.check_name(experiment_name(folder), 'the name of a run')}"
    return plan_files(folder, prefix, everything=everything)


def plan_files(folder: str, prefix: str, *, everything: bool) -> UploadPlan:
    """Return what `plan_upload` does, under keys that begin with a prefix and a slash. Raises UserError as it does."""
    if not is_local(folder):
        raise UserError(f"{folder}: only a local folder can be uploaded")
    top = normalise(folder)
    if not os.path.isdir(top):
        what = "is a file" if os.path.exists(top) else "no such folder"
        raise UserError(f"{folder}: {what}; give the folder that the trainer wrote to (its -o)")
    items: list[Item] = []
    left_out: list[str] = []
    unreadable: list[str] = []
    inside = os.path.realpath(top) + os.sep
    passed_over = 0

    def cannot_list(error: OSError) -> None:
        unreadable.append(f"{error.filename}: cannot be listed: {cause(error)}")

    for current, folders, names in os.walk(top, onerror=cannot_list):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if current == top:
            earlier = [name for name in folders if run_files.EARLIER.fullmatch(name)]
            left_out += [
                f"{os.path.join(top, name)} (an earlier run; give this folder to upload it)" for name in earlier
            ]
            folders[:] = [name for name in folders if name not in earlier]
        left_out += [
            f"{path} (a link to a folder)" for name in folders if os.path.islink(path := os.path.join(current, name))
        ]
        for name in sorted(names):
            path = os.path.join(current, name)
            if name.startswith(".") or not (everything or name.endswith(LOG_SUFFIXES)):
                passed_over += 1
            elif os.path.islink(path) and not os.path.realpath(path).startswith(inside):
                left_out.append(f"{path} (a link out of the folder)")
            else:
                _add(items, left_out, unreadable, path, prefix, os.path.relpath(path, top))
    if not (items or unreadable):
        others = "" if not passed_over else f" ({count_files(passed_over)} of other kinds or hidden)"
        hint = "run the trainer first" if everything else "give the trainer's -o, or add --all for all kinds of files"
        raise UserError(f"{folder}: nothing to upload{others}; {hint}")
    return UploadPlan(tuple(sorted(items, key=lambda item: item.key)), tuple(left_out), tuple(unreadable))


def experiment_name(folder: str) -> str:
    """Return the name of a folder as it was given without its last slash; its real one for `.` and `..`."""
    name = os.path.basename(folder.rstrip("/"))
    return os.path.basename(os.path.realpath(folder)) if name in ("", ".", "..", "~") else name


def _add(items: list[Item], left_out: list[str], unreadable: list[str], path: str, prefix: str, relative: str) -> None:
    key = f"{prefix}/{relative.replace(os.sep, '/')}"
    try:
        key.encode("utf-8")
        status = os.stat(path)
    except UnicodeEncodeError:
        unreadable.append(f"{os.fsencode(path)!r}: its name is not UTF-8, as a key must be; rename it")
    except OSError as error:
        unreadable.append(f"{path}: cannot be read: {cause(error)}")
    else:
        if stat.S_ISREG(status.st_mode):
            items.append(Item(path, key, status.st_size))
        else:
            left_out.append(f"{path} (no ordinary file)")  # a pipe would be waited for without end


def count_files(count: int) -> str:
    """Return a number of files in words."""
    return "1 file" if count == 1 else f"{count} files"
