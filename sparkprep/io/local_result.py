"""Where a result is put on a disk: what lies there, what may not be replaced, and the move into place."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import count

from sparkprep.console import say_line
from sparkprep.errors import UserError, argument
from sparkprep.io.files import PARTIAL, cause
from sparkprep.io.mounts import mounts_below
from sparkprep.io.paths import lies_in, normalise

_SUM = re.compile(r"\..+\.crc")
"""A hidden sum of Hadoop's, without which a file can be rewritten and read again."""


class LocalResult:
    """A folder of the local file system that a result is to become."""

    marker: str | None = None

    def __init__(self, path: str | os.PathLike[str], run_id: str) -> None:
        self.path = os.path.realpath(normalise(path))
        self._replaced = f"{self.path}.replaced-{run_id}"

    def check_kind(self) -> None:
        """Raise UserError for what no folder can take the place of: a file, a mount point, what holds one."""
        if not os.path.lexists(self.path):
            return
        if not os.path.isdir(self.path):
            raise UserError(f"{argument('output', self.path)} is an existing file; name a folder")
        for mount in mounts_below(self.path):
            what = "is a mount point" if mount == self.path else f"holds the mount point {mount}"
            inside = os.path.join(self.path, "clean")
            raise UserError(
                f"{self.path} {what}, which cannot be replaced: take a folder in it, {argument('output', inside)}"
            )

    def check_precious(self) -> None:
        """Raise UserError where the folder that one works in, or one's home, lies in it."""
        for precious in (os.getcwd(), os.path.expanduser("~")):
            if lies_in(os.path.realpath(precious), self.path):
                raise UserError(
                    f"{argument('output', self.path)} holds {precious}, which {argument('overwrite')} would delete; "
                    "choose another one"
                )

    def names(self) -> Iterator[tuple[str, bool]]:
        """Yield (path from the folder, whether it is a link) of all files, and of folders without any, as `name/`.

        Nothing where there is no folder. Raises UserError where it cannot be listed.
        """

        def fail(error: OSError) -> None:
            raise UserError(
                f"{self.path} cannot be listed: {cause(error)}; choose another {argument('output')}"
            ) from error

        if not os.path.isdir(self.path):
            return
        for current, folders, files in os.walk(self.path, onerror=fail):
            inside = os.path.relpath(current, self.path)
            links = [name for name in folders if os.path.islink(os.path.join(current, name))]
            for name in [*files, *links]:
                yield os.path.normpath(os.path.join(inside, name)), os.path.islink(os.path.join(current, name))
            if not folders and not files and current != self.path:
                yield f"{inside}/", False

    def tell_of_leftovers(self) -> None:
        """Tell on stderr of old results that killed runs were just replacing."""
        for folder in sorted(glob.glob(glob.escape(f"{self.path}.replaced-") + "[0-9a-f]" * 8)):
            new = folder.replace(".replaced-", ".partial-")
            say_line(
                f"note: {folder} is an old result that a run was replacing when it was killed"
                + (f"; the new one is whole in {new}" if os.path.isdir(new) else "")
                + f"; when it is of no more use: rm -r {shlex.quote(folder)}",
                sys.stderr,
            )

    def claim(self) -> None:
        """Do nothing: a rename is one step."""

    def unclaim(self) -> None:
        """Do nothing."""

    def put(self, work: str, made: Sequence[re.Pattern[str]]) -> None:
        """Rename the finished folder into place. An old one is renamed first and deleted last. Raises OSError."""
        _delete_what_writers_left(work)
        if not os.path.lexists(self.path) or not os.listdir(self.path):
            os.rename(work, self.path)  # in the place of an empty folder, too
            return
        try:
            os.rename(self.path, self._replaced)
            os.rename(work, self.path)
        except BaseException:
            if os.path.lexists(self._replaced) and not os.path.lexists(self.path):
                os.rename(self._replaced, self.path)
            raise
        shutil.rmtree(self._replaced, ignore_errors=True)

    def has_taken(self, work: str) -> bool:
        """Return whether `put`, which may have been interrupted, has brought the finished folder into place."""
        return not os.path.lexists(work)

    def rest(self) -> str:
        """Return what an interrupted `put` has left of the old result, with the way out, for the end of a sentence."""
        if not os.path.lexists(self._replaced):
            return ""
        return f", and a rest of the old one in {self._replaced}: rm -r {shlex.quote(self._replaced)}"

    def way_out(self, work: str) -> str:
        """Return what to do with a finished result that could not be put in place."""
        move = f"mv {shlex.quote(work)} {shlex.quote(self.path)}"
        if os.path.lexists(self.path):  # into which it would be moved
            aside = next(name for n in count(1) if not os.path.lexists(name := f"{self.path}.old-{n}"))
            move = f"mv {shlex.quote(self.path)} {shlex.quote(aside)} && {move}"
        return f"move it from there: {move}"


def _delete_what_writers_left(folder: str) -> None:
    for current, _, names in os.walk(folder):
        for name in names:
            if _SUM.fullmatch(name) or PARTIAL.fullmatch(name):
                os.remove(os.path.join(current, name))
