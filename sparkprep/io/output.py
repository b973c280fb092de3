"""A result folder that appears as a whole or not at all, and never in place of what must stay."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType

from sparkprep.console import safe_text, say
from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.mounts import mounts_below
from sparkprep.io.paths import is_local, normalise

PARQUET_FOLDER = r"(?:part-\d{5}(?:-[0-9a-f-]{36}[.-]c\d{3})?\.snappy\.parquet|_SUCCESS|\.(?:part-[^/]+|_SUCCESS)\.crc)"
"""What Spark and we put into a folder that is one table; a user's own file hardly bears such a name."""

_SHOWN = 5
_LOCK = ".lock"


class OutputFolder:
    """A result folder that appears as a whole or not at all.

    Everything is built in `.work`, a sibling named `OUT.partial-<run id>` (in it `.scratch`, the folder `_tmp` for what
    is no part of the result); `commit()` renames it into place. Leaving the `with` block without a commit removes all:

        with OutputFolder("out", overwrite=False, inputs=["in"], made=(r"metrics\\.json",)) as output:
            ...write under output.work...
            output.commit()

    With `overwrite`, the old folder is renamed to `OUT.replaced-<run id>`, the new one renamed in, then the old one
    deleted: a crash in between leaves both whole. Only a folder that a run like this one made is replaced: `made` are
    the patterns of all paths in it, the first of them that of a file that is always there. An empty folder is taken as
    it is. Partial folders that killed runs left beside the output are deleted, and told of on stderr.

    The constructor raises UserError if the output exists (without `overwrite`), is a file, a mount point or holds one,
    holds what no run made, lies inside one of `inputs` (paths given by the user, or single files) or has one inside, or
    if its parent cannot be made or written (really tried). A full disk, a quota or a missing permission met inside the
    `with` block comes out as UserError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        overwrite: bool,
        inputs: Sequence[str | os.PathLike[str]] = (),
        made: Sequence[str] = (),
    ) -> None:
        if not is_local(os.fspath(path)):
            raise UserError(f"{path}: writing results to S3 is not available yet; name a local folder with --output")
        self.path = os.path.realpath(normalise(path))
        self.overwrite = overwrite
        self.run_id = uuid.uuid4().hex[:8]
        self.work = f"{self.path}.partial-{self.run_id}"
        self.scratch = os.path.join(self.work, "_tmp")
        self._made = [re.compile(pattern) for pattern in made]
        self._made_parents: list[str] = []
        self._lock = -1
        self._keep_work = False
        self._refuse_overlap(inputs)
        self._refuse_existing()
        self._try_parent()

    def __enter__(self) -> OutputFolder:
        for leftover in self._delete_leftovers():
            say(f"note: deleted {safe_text(leftover)}, which a killed run had left", stream=sys.stderr)
        try:
            os.makedirs(self.scratch)
            self._lock = _locked(os.path.join(self.work, _LOCK))
        except OSError as error:
            raise self._cannot_write(cause(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._keep_work:
            shutil.rmtree(self.work, ignore_errors=True)
            for parent in self._made_parents:
                with contextlib.suppress(OSError):  # somebody else may have put something there meanwhile
                    os.rmdir(parent)
        if self._lock >= 0:
            os.close(self._lock)
        if error is not None and not isinstance(error, UserError):
            if _NO_SPACE.search(str(error)):
                raise UserError(
                    f"the disk is full: the one of {os.path.dirname(self.path)}, or that of Spark's temporary files "
                    "(spark.local.dir); free some space or choose another --output"
                ) from error
            if _NO_PERMISSION.search(str(error)) and self.work in str(error):
                raise self._cannot_write("permission denied or read-only") from error

    def commit(self) -> None:
        """Move what was built into place.

        Raises UserError if an output that must stay has appeared meanwhile, or the move fails; the finished result then
        stays whole in `.work`, and the message says so.
        """
        shutil.rmtree(self.scratch, ignore_errors=True)
        _delete_checksums(self.work)
        with contextlib.suppress(OSError):
            os.remove(os.path.join(self.work, _LOCK))
        self._keep_work = True
        try:
            self._refuse_existing()
            self._move()
        except (OSError, UserError) as error:
            why = cause(error) if isinstance(error, OSError) else str(error)
            raise UserError(
                f"the finished result could not be put in place: {why}. It is whole in {self.work}: move it from there"
            ) from error

    def _move(self) -> None:
        if not os.path.lexists(self.path) or not os.listdir(self.path):
            os.rename(self.work, self.path)  # in the place of an empty folder, too
            return
        replaced = f"{self.path}.replaced-{self.run_id}"
        os.rename(self.path, replaced)
        try:
            os.rename(self.work, self.path)
        except OSError:
            os.rename(replaced, self.path)
            raise
        shutil.rmtree(replaced, ignore_errors=True)

    def _refuse_overlap(self, inputs: Sequence[str | os.PathLike[str]]) -> None:
        for given in inputs:
            if not is_local(os.fspath(given)):
                continue
            source = os.path.realpath(normalise(given))
            if _lies_in(self.path, source) and (os.path.isdir(source) or source == self.path):
                raise UserError(
                    f"--output {self.path} lies inside the input {source}, so that the next run would read it; "
                    "choose another --output"
                )
            if _lies_in(source, self.path):
                raise UserError(
                    f"the input {source} lies inside --output {self.path}, which is replaced; choose another --output"
                )

    def _refuse_existing(self) -> None:
        if not os.path.lexists(self.path):
            return
        if not os.path.isdir(self.path):
            raise UserError(f"--output {self.path} is an existing file; name a folder")
        for mount in mounts_below(self.path):
            what = "is a mount point" if mount == self.path else f"holds the mount point {mount}"
            inside = os.path.join(self.path, "clean")
            raise UserError(f"{self.path} {what}, which cannot be replaced: take a folder in it, --output {inside}")
        try:
            empty = not os.listdir(self.path)
        except OSError as error:
            raise UserError(f"{self.path} cannot be listed: {cause(error)}; choose another --output") from error
        if empty:
            return
        if not self.overwrite:
            raise UserError(f"{self.path} exists; pass --overwrite to replace it or choose another --output")
        for precious in (os.getcwd(), os.path.expanduser("~")):
            if _lies_in(os.path.realpath(precious), self.path):
                raise UserError(
                    f"--output {self.path} holds {precious}, which --overwrite would delete; choose another --output"
                )
        self._refuse_strangers()

    def _refuse_strangers(self) -> None:
        """Take the name of a folder for no consent to delete whatever lies in it."""
        strangers, marked = [], False
        for relative in _files_below(self.path):
            marked = marked or (bool(self._made) and self._made[0].fullmatch(relative) is not None)
            is_link = os.path.islink(os.path.join(self.path, relative))
            if is_link or not any(pattern.fullmatch(relative) for pattern in self._made):
                strangers.append(relative)
                if len(strangers) > _SHOWN:
                    break
        if strangers:
            shown = ", ".join(strangers[:_SHOWN]) + (", ..." if len(strangers) > _SHOWN else "")
            raise UserError(
                f"{self.path} holds files that a run of this kind does not make ({shown}): choose another --output"
            )
        if not marked:
            raise UserError(f"{self.path} is no result of such a run: choose another --output, or delete it yourself")

    def _try_parent(self) -> None:
        parent = os.path.dirname(self.path)
        try:
            step = parent
            while not os.path.lexists(step):
                self._made_parents.append(step)
                step = os.path.dirname(step)
            os.makedirs(parent, exist_ok=True)
            os.mkdir(self.work)  # permission bits do not tell everything (read-only mounts, quotas): so try
            os.rmdir(self.work)
        except OSError as error:
            raise self._cannot_write(cause(error)) from error

    def _delete_leftovers(self) -> list[str]:
        """Delete the partial folders of runs that are no more: nobody holds their lock."""
        deleted = []
        for folder in glob.glob(f"{glob.escape(self.path)}.partial-{'[0-9a-f]' * 8}"):
            try:
                descriptor = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CLOEXEC)
            except OSError:  # none of ours, or just about to be put in place
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                deleted.append(folder)
            except OSError:  # its run lives
                continue
            finally:
                os.close(descriptor)
        return sorted(deleted)

    def _cannot_write(self, why: str) -> UserError:
        return UserError(f"cannot write to {os.path.dirname(self.path)}: {why}; mend that or choose another --output")


# Spark hands such errors on as text only, from the JVM or from a Python worker.
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_NO_PERMISSION = re.compile(r"Permission denied|Operation not permitted|Read-only file system")


def _locked(path: str) -> int:
    """Make a lock file that is held as soon as it bears its name; return the descriptor that holds it."""
    aside = f"{path}.{os.getpid()}"
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with contextlib.suppress(OSError):  # a file system without locks: then nobody will take the folder for a leftover
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(aside, path)
    return descriptor


def _delete_checksums(folder: str) -> None:
    """Delete the hidden sums that Hadoop keeps of each file: a file that is rewritten without them cannot be read."""
    for current, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name.endswith(".crc"):
                os.remove(os.path.join(current, name))


def _files_below(folder: str) -> Iterator[str]:
    """The paths below a folder, from there: all files, and the folders without any."""
    for current, folders, names in os.walk(folder):
        inside = os.path.relpath(current, folder)
        for name in names:
            yield os.path.normpath(os.path.join(inside, name))
        if not folders and not names:
            yield f"{inside}/"
        for name in folders:
            if os.path.islink(os.path.join(current, name)):
                yield os.path.normpath(os.path.join(inside, name))


def _lies_in(path: str, folder: str) -> bool:
    """True if `path` is `folder` or lies below it; both real absolute paths."""
    return os.path.commonpath([path, folder]) == folder
