"""A result folder that appears as a whole or not at all, and never in place of what must stay; local or on S3."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from sparkprep.commands import command
from sparkprep.console import leave_word, signals_held_back
from sparkprep.errors import Finished, UserError, argument
from sparkprep.io.files import cause, delete_folder, make_folder
from sparkprep.io.local_result import LocalResult
from sparkprep.io.paths import is_local, join_path, lies_in, normalise
from sparkprep.io.resuming import NOTES, Earlier, find_earlier, fingerprint_of
from sparkprep.io.run_folders import NOTHING_IN_PLACE, RunFolder, run_folder
from sparkprep.units import human_bytes

if TYPE_CHECKING:
    from sparkprep.io.s3_result import S3Result

PARQUET_FOLDER = (
    r"(?:part-\d{5,}(?:-[0-9a-f-]{36}[.-]c\d{3})?\.snappy\.parquet|_SUCCESS|\.(?:part-[^/]+|_SUCCESS)\.crc)"
)
"""What Spark and we put into a folder that is one table; a user's own file hardly bears such a name."""

_SHOWN = 5
KEPT_AFTER_S = 60.0
"""Seconds of work from which on a run that fails keeps what it has finished, also where nobody has asked for that."""


class Notes(Protocol):
    """What a run has noted in its folder, by which a later one can go on from it."""

    def finished(self) -> list[str]:
        """Return what has been finished, in words: stages, and parts of them; none where there is nothing to keep."""

    def can_be_resumed(self) -> bool:
        """Return whether the input still is what it was, so that a later run can go on."""


class OutputFolder:
    """A result folder that appears as a whole or not at all, local or on S3.

    Everything is built in `.work`, a sibling named `OUT.partial-<run id>`; `.scratch` is the folder for what is no part
    of the result: `_tmp` in it, or with `scratch_place` the folder `sparkprep-<run id>` there, which may lie on another
    file system and goes in the end either way. `commit()` puts what was built into place. Leaving the `with` block
    without a commit removes all:

        with OutputFolder("out", overwrite=False, inputs=["in"], made=(r"metrics\\.json",)) as output:
            ...write under output.work...
            output.commit()

    Locally `commit()` is a rename. With `overwrite`, the old folder is renamed to `OUT.replaced-<run id>`, the new one
    renamed in, then the old one deleted: a crash in between leaves both whole. On S3 it copies within the bucket while
    an object `_unfinished.json` in OUT keeps readers off, and then deletes what the new result lacks: after a
    crash the new result is whole in `.work`.

    Only a folder that a run like this one made is replaced: `made` are the patterns of all paths in it, the first of
    them that of a file that is always there. An empty folder is taken as it is. Partial folders that killed runs left
    beside the output are deleted, and told of on stderr; on S3, where nothing tells whether a run lives, only told of.

    keep_work: where the block fails, what it has written stays, marked as no input, and later runs only tell of it; the
    error says where (`console.leave_word`).

    resume: where an earlier run of the same output did not come to its end, work in its folders (`earlier`) and, when
    `accept` was called, as its heir; else they stay as they are. What a block that fails has finished, by its `notes`,
    is kept for the next run with `resume`; without `resume` only after KEPT_AFTER_S, and not after Ctrl-C. A result
    that is there already is refused by `check_finished`, when it is known what the run is asked for.

    The constructor raises UserError if the output exists (without `overwrite`), is a file, a mount point or holds one,
    is a whole bucket, holds what no run made, lies inside one of `inputs` (paths given by the user, or single files) or
    has one inside, if `scratch_place` lies inside an input or the output, or if either place cannot be made or written
    (really tried). A full disk, a quota or a missing permission met inside the `with` block comes out as UserError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        overwrite: bool,
        inputs: Sequence[str | os.PathLike[str]] = (),
        made: Sequence[str] = (),
        scratch_place: str | os.PathLike[str] | None = None,
        keep_work: bool = False,
        resume: bool = False,
        is_trial_of_resume: bool = False,
    ) -> None:
        self.overwrite = overwrite
        self.run_id = uuid.uuid4().hex[:8]
        self._target = _target(path, self.run_id)
        self.path = self._target.path
        stem = f"{self.path}.partial-"
        self.earlier: Earlier | None = find_earlier(stem) if resume else None
        self.resume = resume
        self._may_be_finished = (resume or is_trial_of_resume) and not overwrite
        self._existing: UserError | None = None
        self.notes: Notes | None = None
        self._is_heir, self._begun = False, time.monotonic()
        if self.earlier is not None:
            self.run_id = self.earlier.run_id
            self._target = _target(path, self.run_id)
        self._work = run_folder(stem, self.run_id, "output", keep_work, adopt=self.earlier is not None)
        self.work = self._work.path
        self._scratch = _scratch(scratch_place, self.run_id, keep_work, adopt=self.earlier is not None)
        self.scratch = self._scratch.path if self._scratch else join_path(self.work, "_tmp")
        self._made = [re.compile(pattern) for pattern in made]
        self._keep_work = keep_work
        self._is_whole = self._is_in_place = False
        sources = [_real(given) for given in inputs]
        self._refuse_overlap(sources)
        if self._scratch:
            _refuse_scratch(os.path.dirname(self.scratch), sources, self.path)
        self._refuse_existing()
        try:
            for folder in self._folders():
                folder.attempt()
        except UserError:
            self._delete()
            raise

    def __enter__(self) -> OutputFolder:
        try:
            for folder in self._folders():
                folder.begin()
            make_folder(self.scratch)
            self._target.tell_of_leftovers()
        except UserError:
            self._delete()
            raise
        return self

    def check_finished(self, fingerprint: str) -> None:
        """Raise Finished where the output holds the result of a run that was asked for the same, and UserError where it
        holds another; with `resume`, where that has not been refused yet.

        fingerprint: of what this run is asked for.
        """
        if self._existing is None:
            return
        name = next((name for name, _ in self._target.names() if self._made and self._made[0].fullmatch(name)), None)
        if name is None or fingerprint_of(join_path(self.path, name)) != fingerprint:
            raise self._existing
        raise Finished(f"{self.path} is finished already, by a run of the same input and settings: nothing was written")

    def accept(self) -> None:
        """Take the earlier run's work for one's own: from here on it goes, or stays, as one's own does."""
        self._is_heir = True
        for folder in self._folders():
            folder.accept()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told = self._explained(error)
        self._leave(told or error)
        if told is not None:
            raise told from error

    def _explained(self, error: BaseException | None) -> UserError | None:
        """Return what the user can do about a full disk or a missing permission; None for other errors."""
        if error is None or isinstance(error, UserError):
            return None
        if _NO_SPACE.search(str(error)):
            places = [os.path.dirname(folder.path) for folder in self._folders() if is_local(folder.path)]
            return UserError(
                f"the disk is full: the one of {' or '.join(places)}, or that of Spark's temporary files "
                "(spark.local.dir); free some space or choose another output"
                if places
                else "the disk of Spark's temporary files (spark.local.dir) is full; free some space or name another"
            )
        if _NO_PERMISSION.search(str(error)):
            for folder in self._folders():
                if folder.path in str(error):
                    return folder.cannot_write("permission denied or read-only")
        return None

    def _leave(self, error: BaseException | None) -> None:
        """Delete what the block leaves, or keep it, and note on its error what is where."""
        nothing = f"{NOTHING_IN_PLACE}; " if isinstance(error, KeyboardInterrupt) else ""
        if error is not None and not self._is_whole and not self._is_in_place:
            if self._keep_work and not self._is_of_another():
                kept = " and ".join(folder.path for folder in self._folders())
                self._let_stay()
                leave_word(error, f"{nothing}the work is kept in {kept}{self._of_resuming()}")
                return
            if self._is_worth_keeping(error):
                self._let_stay()
                leave_word(error, f"{nothing}what is finished is kept{self._size()}{self._of_resuming()}")
                return
        if isinstance(error, KeyboardInterrupt):
            leave_word(error, f"the result is whole in {self.path}" if self._is_in_place else NOTHING_IN_PLACE)
        self._delete()

    def _is_of_another(self) -> bool:
        """Return whether the folders are those of an earlier run, whose heir this has not become."""
        return self.earlier is not None and not self._is_heir

    def _is_worth_keeping(self, error: BaseException) -> bool:
        """Return whether a later run could go on from here, and whoever has started this one would want that."""
        wanted = self.resume or (isinstance(error, Exception) and time.monotonic() - self._begun > KEPT_AFTER_S)
        if not wanted or self.notes is None or not self.notes.finished():
            return False
        return self.notes.can_be_resumed()

    def _let_stay(self) -> None:
        for folder in self._folders():
            folder.leave()

    def _of_resuming(self) -> str:
        """Return what of the work is finished, and how to go on from it, for the end of a sentence."""
        stages = self.notes.finished() if self.notes is not None else []
        if not stages:
            return ""
        return (
            f" ({', '.join(stages)}): the same command with {argument('resume', True)} goes on from there; to remove "
            f"it: {command('clean', self.path, *(['--kept-work'] if self._keep_work else []))}"
        )

    def _size(self) -> str:
        """Return how much lies in the folders, and where."""
        from sparkprep.io.cleaning import sizes  # which finds what lies on S3 with boto3

        places = [folder.path for folder in self._folders()]
        with contextlib.suppress(UserError):
            return f", {human_bytes(sizes(places))} in {' and '.join(places)}"
        return f" in {' and '.join(places)}"

    def commit(self) -> None:
        """Put what was built into place. On a disk, where that is a rename, a signal is answered only afterwards.

        Raises UserError if an output that must stay has appeared meanwhile, or the move fails; the finished result then
        stays whole in `.work`, and the message says so.
        """
        with signals_held_back() if is_local(self.path) else nullcontext():
            self._commit()

    def _commit(self) -> None:
        self._is_whole = True
        self._may_be_finished = False
        try:
            self._strip()
            self._target.claim()
            try:
                self._refuse_existing()
            except UserError:
                self._target.unclaim()
                raise
            self._target.put(self.work, self._made)
        except (OSError, UserError) as error:
            why = cause(error) if isinstance(error, OSError) else str(error)
            self._work.strip()
            raise UserError(
                f"the finished result could not be put in place: {why}. It is whole in {self.work}: "
                f"{self._target.way_out(self.work)}"
            ) from error
        except KeyboardInterrupt as error:
            if self._target.has_taken(self.work):
                self._is_whole, self._is_in_place = False, True
                leave_word(error, f"the result is whole in {self.path}{self._target.rest()}")
            else:
                self._strip()  # or the next run would take it for what a killed one has left
                leave_word(error, f"the finished result is whole in {self.work}: {self._target.way_out(self.work)}")
            raise
        self._is_whole, self._is_in_place = False, True

    def _strip(self) -> None:
        """Leave nothing but the result in the work folder."""
        delete_folder(join_path(self.work, NOTES))
        if self._scratch is None:
            delete_folder(self.scratch)
        self._work.strip()

    def _folders(self) -> list[RunFolder]:
        return [self._work, *([self._scratch] if self._scratch else [])]

    def _delete(self) -> None:
        """Delete what is left of this run, but for a finished result that is not in place, and what is another's."""
        if self._is_of_another():
            self._let_stay()
            return
        for folder in self._folders():
            if folder is not self._work or not self._is_whole:
                folder.delete()
            folder.close()

    def _refuse_overlap(self, sources: Sequence[str]) -> None:
        for source in sources:
            is_folder = not is_local(source) or os.path.isdir(source)
            if source == self.path:
                raise UserError(
                    f"{argument('output', self.path)} is the input itself, which it would replace; choose another one"
                )
            if lies_in(self.path, source) and is_folder:
                raise UserError(
                    f"{argument('output', self.path)} lies inside the input {source}, so that the next run would read "
                    "it; choose another one"
                )
            if lies_in(source, self.path):
                raise UserError(
                    f"the input {source} lies inside {argument('output', self.path)}, which is replaced; choose "
                    "another output"
                )

    def _refuse_existing(self) -> None:
        self._target.check_kind()
        if next(self._target.names(), None) is None:
            return
        if not self.overwrite:
            is_half = any(name == self._target.marker for name, _ in self._target.names())
            what = "holds the result of a run that has not finished" if is_half else "exists"
            self._existing = UserError(
                f"{self.path} {what}; pass {argument('overwrite', True)} to replace it or choose another "
                f"{argument('output')}"
            )
            if self._may_be_finished and not is_half:
                return
            raise self._existing
        self._target.check_precious()
        self._refuse_strangers()

    def _refuse_strangers(self) -> None:
        """Take the name of a folder for no consent to delete whatever lies in it."""
        strangers, marked = [], False
        for name, is_link in self._target.names():
            marked = marked or (bool(self._made) and self._made[0].fullmatch(name) is not None)
            if name == self._target.marker:
                marked = True
            elif is_link or not any(pattern.fullmatch(name) for pattern in self._made):
                strangers.append(name)
                if len(strangers) > _SHOWN:
                    break
        if strangers:
            shown = ", ".join(strangers[:_SHOWN]) + (", ..." if len(strangers) > _SHOWN else "")
            raise UserError(
                f"{self.path} holds files that a run of this kind does not make ({shown}): choose another "
                f"{argument('output')}"
            )
        if not marked:
            another = argument("output")
            raise UserError(f"{self.path} is no result of such a run: choose another {another}, or delete it yourself")


def try_output(
    path: str | os.PathLike[str],
    overwrite: bool,
    inputs: Sequence[str | os.PathLike[str]] = (),
    made: Sequence[str] = (),
    scratch_place: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> None:
    """Raise UserError where an `OutputFolder` of these arguments cannot be; leave nothing behind.

    resume: whether the run is to, which may find its result finished.
    """
    OutputFolder(path, overwrite, inputs, made, scratch_place, is_trial_of_resume=resume)._delete()


# Spark hands such errors on as text only, from the JVM or from a Python worker.
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_NO_PERMISSION = re.compile(r"Permission denied|Operation not permitted|Read-only file system")


def _target(path: str | os.PathLike[str], run_id: str) -> LocalResult | S3Result:
    if is_local(os.fspath(path)):
        return LocalResult(path, run_id)
    from sparkprep.io.s3_result import S3Result  # with boto3, which local work need not wait for

    return S3Result(path, run_id)


def _real(path: str | os.PathLike[str]) -> str:
    path = normalise(path)
    return os.path.realpath(path) if is_local(path) else path


def _scratch(place: str | os.PathLike[str] | None, run_id: str, keep: bool, adopt: bool) -> RunFolder | None:
    if place is None:
        return None
    return run_folder(join_path(_real(place), "sparkprep-"), run_id, "work", keep, adopt)


def _refuse_scratch(place: str, sources: Sequence[str], output: str) -> None:
    for source in sources:
        if lies_in(place, source):
            raise UserError(
                f"{argument('work', place)} lies inside the input {source}, so that the next run would read what is "
                "left there; choose another one"
            )
    if lies_in(place, output):
        raise UserError(
            f"{argument('work', place)} lies inside {argument('output', output)}, which is replaced; choose another one"
        )
