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
from sparkprep.io.resuming import finished, is_needed

NOTHING_IN_PLACE = "nothing was put in place"
LOCK = ".lock"
TRIAL = "_trial"
_ID = "[0-9a-f]" * 8
_KEPT = '{"whole_in": null, "kept_by": "--keep-work"}\n'


class LocalRunFolder:
    """The folder `<stem><run id>` on a disk.

    While its run lives, a lock is held on a file in it: so the next run with the same stem knows what a killed one has
    left, and deletes that. setting: what is to be named otherwise where it cannot be written. keep: it bears a mark
    that it is to be left alone, by readers and by later runs, until it is stripped. adopt: it is that of an earlier
    run, to be gone on from. Errors are UserError.
    """

    def __init__(self, stem: str, run_id: str, setting: str, keep: bool = False, adopt: bool = False) -> None:
        self.path = stem + run_id
        self._stem, self._setting, self._keep, self._adopt = stem, setting, keep, adopt
        self._made_parents: list[str] = []
        self._lock, self._lock_path = -1, ""

    def attempt(self) -> None:
        """Make the folders above it, and try whether it can be made: permission bits do not tell everything."""
        parent = os.path.dirname(self.path)
        if self._adopt and os.path.isdir(self.path):
            return
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
        """Make it; tell on stderr of the folders of killed runs that this has deleted, and of those that were kept.

        One that is adopted is taken over first. Raises UserError where its run still lives.
        """
        try:
            if self._adopt and os.path.isdir(self.path):
                self._take_over()
            else:
                os.makedirs(self.path)
                self._lock, self._lock_path = _locked(os.path.join(self.path, LOCK))
        except OSError as error:
            raise self.cannot_write(cause(error)) from error
        if self._keep:
            write_text(os.path.join(self.path, UNFINISHED), _KEPT)
        for leftover, said in self._delete_leftovers():
            say(f"note: deleted {safe_text(leftover)}, which a killed run had left{said}", stream=sys.stderr)

    def _take_over(self) -> None:
        """Hold the lock of a run that is no more. Raises UserError where it lives, or has just been deleted."""
        self._lock_path = os.path.join(self.path, LOCK)
        if not os.path.exists(self._lock_path):
            raise UserError(
                f"{self.path}: nothing tells whether the run that made it still lives, since its file system has no "
                f"locks; where you know that it does not, run without {argument('resume', True)} to start anew"
            )
        self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise UserError(
                f"{self.path}: the run that writes there is still at work; wait for its end, or end it, before another "
                f"goes on from it ({argument('resume', True)})"
            ) from error
        if not os.path.exists(self._lock_path):
            self.close()
            raise UserError(f"{self.path}: another run has just deleted it; run again")

    def accept(self) -> None:
        """Take it for one's own, where it was adopted: the mark that it is to be left alone goes."""
        if not self._keep:
            with contextlib.suppress(OSError):
                os.remove(os.path.join(self.path, UNFINISHED))

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

    def leave(self) -> None:
        """Leave it as it lies, as that of a run that is no more."""
        self.close()

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

    def _delete_leftovers(self) -> list[tuple[str, str]]:
        """Delete the folders of runs that are no more: nobody holds their lock. Return each with what was in it."""
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
                if is_needed(folder):
                    continue
                said = _tell_of_stages(folder, "would have gone on from there")
                shutil.rmtree(folder, ignore_errors=True)
                deleted.append((folder, said))
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

    def __init__(self, stem: str, run_id: str, setting: str, keep: bool = False, adopt: bool = False) -> None:
        self.path = stem + run_id
        self._stem, self._run_id, self._setting, self._keep = stem, run_id, setting, keep
        self._is_writable = False
        self._heartbeat = Heartbeat(self.path, alone=adopt)

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
        """Mark it if it is to be kept; tell on stderr of others with the same stem, with the command to delete them.

        Raises UserError where it is adopted and its run still lives.
        """
        from sparkprep.io.aws import bucket_client
        from sparkprep.io.objects import folders  # with boto3, which local work need not wait for

        bucket, prefix = split_s3(self._stem)
        for name in folders(bucket_client(bucket, self._stem), bucket, prefix):
            if re.fullmatch(_ID, name) and name != self._run_id:
                said = _tell_of_stages(self._stem + name, "goes on from there")
                say(
                    f"note: {safe_text(self._stem + name)} was left by a killed run, or is one's that still runs{said}"
                    f"; what is left goes with: {safe_text(_command_to_delete(self._stem + name))}",
                    stream=sys.stderr,
                )
        self._heartbeat.begin()
        if self._keep:
            write_text(join_path(self.path, UNFINISHED), _KEPT)

    def accept(self) -> None:
        """Take it for one's own, where it was adopted: the mark that it is to be left alone goes."""
        self._is_writable = True
        if not self._keep:
            delete_file(join_path(self.path, UNFINISHED))

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

    def leave(self) -> None:
        """Leave it as it lies, as that of a run that is no more."""
        self._heartbeat.leave()

    def close(self) -> None:
        """Let the heartbeat stand still."""
        self._heartbeat.stop()

    def cannot_write(self, why: str) -> UserError:
        """Return the error to raise where it cannot be written."""
        return UserError(f"cannot write to {self.path}: {why}; mend that or choose another {argument(self._setting)}")


RunFolder = LocalRunFolder | S3RunFolder


def run_folder(stem: str, run_id: str, setting: str, keep: bool = False, adopt: bool = False) -> RunFolder:
    """Return the folder `<stem><run id>`, of which nothing is made yet. stem: as `paths.normalise` returns it.

    adopt: an earlier run may have made it, and is gone on from.
    """
    return (LocalRunFolder if is_local(stem) else S3RunFolder)(stem, run_id, setting, keep, adopt)


def _tell_of_stages(folder: str, words: str) -> str:
    """Return for the end of a sentence what in a folder `--resume` can go on from; nothing where there is nothing."""
    done = finished(folder)
    return f" (finished: {', '.join(done)}; {argument('resume', True)} {words})" if done else ""


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
