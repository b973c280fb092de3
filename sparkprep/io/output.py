"""A result folder that appears as a whole or not at all, and never in place of what must stay."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Sequence
from types import TracebackType

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from sparkprep.io.paths import is_local, normalise


class OutputFolder:
    """A result folder that appears as a whole or not at all.

    Everything is built in `.work`, a sibling named `OUT.partial-<run id>` (in it `.scratch`, the folder `_tmp` for what
    is no part of the result); `commit()` renames it into place. Leaving the `with` block without a commit removes all:

        with OutputFolder("out", overwrite=False, inputs=["in"]) as output:
            ...write under output.work...
            output.commit()

    With `overwrite`, the old folder is renamed to `OUT.replaced-<run id>`, the new one renamed in, then the old one
    deleted: a crash in between leaves both whole.

    The constructor raises UserError if the output exists (without `overwrite`), is a file, lies inside one of `inputs`
    (paths given by the user, or single files) or has one inside, or if its parent cannot be made or written (really
    tried). A full disk, a quota or a missing permission met inside the `with` block comes out as UserError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        overwrite: bool,
        inputs: Sequence[str | os.PathLike[str]] = (),
        keep_partial: bool = False,
    ) -> None:
        if not is_local(os.fspath(path)):
            raise UserError(f"{path}: writing results to S3 is not available yet; name a local folder with --output")
        self.path = os.path.realpath(normalise(path))
        self.overwrite = overwrite
        self.keep_partial = keep_partial
        self.run_id = uuid.uuid4().hex[:8]
        self.work = f"{self.path}.partial-{self.run_id}"
        self.scratch = os.path.join(self.work, "_tmp")
        self._made_parents: list[str] = []
        self._committed = False
        self._refuse_overlap(inputs)
        self._refuse_existing()
        self._try_parent()

    def __enter__(self) -> OutputFolder:
        try:
            os.makedirs(self.scratch)
        except OSError as error:
            raise self._cannot_write(cause(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed and not self.keep_partial:
            shutil.rmtree(self.work, ignore_errors=True)
            for parent in self._made_parents:
                with contextlib.suppress(OSError):  # somebody else may have put something there meanwhile
                    os.rmdir(parent)
        if error is not None and not isinstance(error, UserError):
            if _NO_SPACE.search(str(error)):
                raise UserError(
                    f"the disk is full: the one of {os.path.dirname(self.path)}, or that of Spark's temporary files "
                    "(spark.local.dir); free some space or choose another --output"
                ) from error
            if _NO_PERMISSION.search(str(error)) and self.work in str(error):
                raise self._cannot_write("permission denied or read-only") from error

    def commit(self) -> None:
        """Move what was built into place. Raises UserError if an output that must stay has appeared meanwhile."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        replaced = f"{self.path}.replaced-{self.run_id}"
        try:
            if not os.path.lexists(self.path):
                os.rename(self.work, self.path)
            else:
                self._refuse_existing()
                os.rename(self.path, replaced)
                try:
                    os.rename(self.work, self.path)
                except OSError:
                    os.rename(replaced, self.path)
                    raise
        except OSError as error:
            raise self._cannot_write(cause(error)) from error
        self._committed = True
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
        if not self.overwrite:
            raise UserError(f"{self.path} exists; pass --overwrite to replace it or choose another --output")
        for precious in (os.getcwd(), os.path.expanduser("~")):
            if _lies_in(os.path.realpath(precious), self.path):
                raise UserError(
                    f"--output {self.path} holds {precious}, which --overwrite would delete; choose another --output"
                )

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

    def _cannot_write(self, cause: str) -> UserError:
        return UserError(f"cannot write to {os.path.dirname(self.path)}: {cause}; mend that or choose another --output")


# Spark hands such errors on as text only, from the JVM or from a Python worker.
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_NO_PERMISSION = re.compile(r"Permission denied|Operation not permitted|Read-only file system")


def _lies_in(path: str, folder: str) -> bool:
    """True if `path` is `folder` or lies below it; both real absolute paths."""
    return os.path.commonpath([path, folder]) == folder
