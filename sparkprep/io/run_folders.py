"""A folder of one run's own, local or on S3: tried before the work, deleted after it; and what killed runs left."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import shlex
import shutil
import sys

from sparkprep.commands import command
from sparkprep.console import safe_text, say
from sparkprep.errors import UserError, argument
from sparkprep.io.files import UNFINISHED, cause, delete_file, delete_folder, write_text
from sparkprep.io.heartbeat import HEARTBEAT, Heartbeat
from sparkprep.io.paths import is_local, join_path, split_s3

NOTHING_IN_PLACE = "nothing was put in place"
LOCK = ".lock"
TRIAL = "_trial"
_ID = "[0-9a-f]" * 8
_KEPT = '{"whole_in": null, "kept_by": "--keep-work"}\n'


class LocalRunFolder:
    """The folder `<stem><run id>` on a disk.

    While its run lives, a lock is held on a file in it: so the next run with the same stem knows what a killed one has
    left, and deletes that. setting: what is to be named otherwise where it cannot be written. keep: it bears a mark
    that it is to be left alone, by readers and by later runs, until it is stripped. Errors are UserError.
    """

    def __init__(self, stem: str, run_id: str, setting: str, keep: bool = False) -> None:
        self.path = stem + run_id
        self._stem, self._setting, self._keep = stem, setting, keep
        self._made_parents: list[str] = []
        self._lock, self._lock_path = -1, ""

    def attempt(self) -> None:
        """Make the folders above it, and try whether it can be made: permission bits do not tell everything."""
        parent = os.path.dirname(self.path)
        try:
            step = parent
            while not os.path.lexists(step):
                self._made_parents.append(step)
                step = os.path.dirname(step)
            os.makedirs(parent, exist_ok=True)
            os.mkdir(self.path)
            os.rmdir(self.path)
        except OSError as error:
            raise self.cannot_write(cause(error)) from error

    def begin(self) -> None:
        """Make it; tell on stderr of the folders of killed runs that this has deleted, and of those that were kept."""
        for leftover in self._delete_leftovers():
            say(f"note: deleted {safe_text(leftover)}, which a killed run had left", stream=sys.stderr)
        try:
            os.makedirs(self.path)
            self._lock, self._lock_path = _locked(os.path.join(self.path, LOCK))
        except OSError as error:
            raise self.cannot_write(cause(error)) from error
        if self._keep:
            write_text(os.path.join(self.path, UNFINISHED), _KEPT)

    def strip(self) -> None:
        """Take out what is no content, before it becomes a result; the lock is held on."""
        for path in (self._lock_path, os.path.join(self.path, UNFINISHED)):
            with contextlib.suppress(OSError):
                os.remove(path)

    def delete(self) -> None:
        """Delete it, and the folders above it that `attempt` made and nobody else has used."""
        shutil.rmtree(self.path, ignore_errors=True)
        for parent in self._made_parents:
            with contextlib.suppress(OSError):
                os.rmdir(parent)

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def cannot_write(self, why: str) -> UserError:
        """Return the error to raise where it cannot be written."""
        return UserError(
            f"cannot write to {os.path.dirname(self.path)}: {why}; mend that or choose another "
            f"{argument(self._setting)}"
        )

    def _delete_leftovers(self) -> list[str]:
        """Delete the folders of runs that are no more: nobody holds their lock."""
        deleted = []
        for folder in glob.glob(glob.escape(self._stem) + _ID):
            try:
                descriptor = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_CLOEXEC)
            except OSError:  # none of ours, or finished
                _tell_of_finished(folder)
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.exists(os.path.join(folder, UNFINISHED)):
                    _tell_of_kept(folder, f"rm -r {shlex.quote(folder)}")
                    continue
                shutil.rmtree(folder, ignore_errors=True)
                deleted.append(folder)
            except OSError:  # its run lives
                continue
            finally:
                os.close(descriptor)
        return sorted(deleted)


class S3RunFolder:
    """The keys that begin with `<stem><run id>/`, with the methods of `LocalRunFolder`.

    S3 has no locks: while its run lives, it writes a heartbeat there. A note names what other runs have left, or need
    still; `sparkprep clean` knows which by its age.
    """

    def __init__(self, stem: str, run_id: str, setting: str, keep: bool = False) -> None:
        self.path = stem + run_id
        self._stem, self._setting, self._keep = stem, setting, keep
        self._is_writable = False
        self._heartbeat = Heartbeat(self.path)

    def attempt(self) -> None:
        """Try whether a small object can be written there and deleted."""
        trial = join_path(self.path, TRIAL)
        try:
            write_text(trial, "")
            self._is_writable = True
            delete_file(trial)
        except UserError as error:
            raise UserError(f"{error}; or choose another {argument(self._setting)}") from error

    def begin(self) -> None:
        """Mark it if it is to be kept; tell on stderr of others with the same stem, with the command to delete them."""
        from sparkprep.io.aws import bucket_client
        from sparkprep.io.objects import folders  # with boto3, which local work need not wait for

        bucket, prefix = split_s3(self._stem)
        for name in folders(bucket_client(bucket, self._stem), bucket, prefix):
            if re.fullmatch(_ID, name):
                say(
                    f"note: {safe_text(self._stem + name)} was left by a killed run, or is one's that still runs; what "
                    f"is left goes with: {safe_text(_command_to_delete(self._stem + name))}",
                    stream=sys.stderr,
                )
        self._heartbeat.begin()
        if self._keep:
            write_text(join_path(self.path, UNFINISHED), _KEPT)

    def strip(self) -> None:
        """Take out what is no content, before it becomes a result."""
        if self._keep:
            delete_file(join_path(self.path, UNFINISHED))
        self._heartbeat.remove()

    def delete(self) -> None:
        """Delete it; where that fails, tell on stderr what stays."""
        try:
            if self._is_writable:
                self._heartbeat.tell_deletion()
                delete_folder(self.path, last=HEARTBEAT)
        except UserError as error:
            say(
                f"note: {safe_text(str(error))}; to be deleted later: {safe_text(_command_to_delete(self.path))}",
                stream=sys.stderr,
            )

    def close(self) -> None:
        """Let the heartbeat stand still."""
        self._heartbeat.stop()

    def cannot_write(self, why: str) -> UserError:
        """Return the error to raise where it cannot be written."""
        return UserError(f"cannot write to {self.path}: {why}; mend that or choose another {argument(self._setting)}")


RunFolder = LocalRunFolder | S3RunFolder


def run_folder(stem: str, run_id: str, setting: str, keep: bool = False) -> RunFolder:
    """Return the folder `<stem><run id>`, of which nothing is made yet. stem: as `paths.normalise` returns it."""
    return (LocalRunFolder if is_local(stem) else S3RunFolder)(stem, run_id, setting, keep)


def _tell_of_kept(folder: str, command: str) -> None:
    say(
        f"note: {safe_text(folder)} holds the work of a run that did not finish, which {argument('keep_work')} kept; "
        f"when it is of no more use: {safe_text(command)}",
        stream=sys.stderr,
    )


def _tell_of_finished(folder: str) -> None:
    """Tell of what bears no lock any more: what a run has made to the end, unless it is just put in place."""
    replaced = folder.replace(".partial-", ".replaced-")  # where there is one, it is told of with its old result
    if os.path.isdir(folder) and not os.path.lexists(os.path.join(folder, LOCK)) and not os.path.lexists(replaced):
        say(
            f"note: {safe_text(folder)} holds the finished result of an earlier run that was not put in place; when it "
            f"is of no more use: rm -r {safe_text(shlex.quote(folder))}",
            stream=sys.stderr,
        )


def _command_to_delete(folder: str) -> str:
    return command("clean", folder)


def _locked(path: str) -> tuple[int, str]:
    """Make a lock file that is held as soon as it bears its name; return the descriptor that holds it, and its path.

    On a file system without locks it bears another name, so that nobody will take the folder for a leftover.
    """
    aside = f"{path}.{os.getpid()}"
    descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(aside, path)
    except OSError:
        return descriptor, aside
    return descriptor, path
