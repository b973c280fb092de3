"""main.log: one line for each measurement of a run, in llm.c's form.

A line is one of these, with the step counted from 0:

    s:250 tel:6.1710                                              validation loss
    s:250 eval:0.2500                                             HellaSwag, the part answered rightly
    s:250 trl:5.9012 lr:0.000321 norm:1.23 time (ms):512.34       training loss, learning rate, gradient norm, time
    s:250 hup:1                                                   the terminal was closed (SIGHUP), and the run went on

The last line is ours, in the form that llm.c's readers take for one more stream. llm.c itself writes no time (that
field is of its course's version), its Python reference neither learning rate nor norm; both are read. A resumed run
appends, so a step may stand in the file twice: its last line counts.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from sparkprep.console import say_line
from sparkprep.errors import UserError
from sparkprep.io.files import cause, exists, make_folder, open_input
from sparkprep.io.paths import is_local, normalise
from trainer import run_files

Steps = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

VALIDATION, HELLASWAG = "tel", "eval"
_TRAIN, _HUNG_UP = "trl", "hup"
_NUMBER = r"(-?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|nan|inf))"
_LINE = re.compile(
    rf"s:(\d{{1,18}}) (?:(tel|eval|hup):{_NUMBER}|"
    rf"trl:{_NUMBER}(?: lr:{_NUMBER} norm:{_NUMBER}(?: time \(ms\):{_NUMBER})?)?)",
    re.ASCII,
)
_MS_PER_HOUR = 3.6e6
_NAMED = 5  # lines that a warning names; a file of another kind has thousands
_TAIL = 1 << 12  # bytes looked at from the end for a line break; a line has about 70


class RunLog:
    """The log that a run writes, as a context manager.

    folder: local, made if it is not there. resume: append to the log in it; else that log is emptied.

    A line is one unbuffered write to the end of the file, so a process killed at any moment leaves whole lines and at
    most one part of a line; a resumed run cuts that part off before it writes. Raises UserError naming the file where
    it cannot be opened or written.
    """

    def __init__(self, folder: str, *, resume: bool) -> None:
        if not is_local(folder):
            raise UserError(f"{folder}: a log is written line by line, which S3 cannot; give a local folder")
        make_folder(folder)
        self.path = os.path.join(normalise(folder), run_files.LOG)
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | (0 if resume else os.O_TRUNC)
            self._file = os.open(self.path, flags, 0o666)
            if resume:
                cut_unfinished(self.path)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def validation(self, step: int, loss: float) -> None:
        """Write the mean validation loss in nats before the update of `step`."""
        self._write(f"s:{step} {VALIDATION}:{loss:.4f}\n")

    def hellaswag(self, step: int, accuracy: float) -> None:
        """Write the part of HellaSwag's questions answered rightly, 0 to 1, before the update of `step`."""
        self._write(f"s:{step} {HELLASWAG}:{accuracy:.4f}\n")

    def train(self, step: int, loss: float, lr: float, norm: float, ms: float) -> None:
        """Write the update of `step`: mean loss in nats, learning rate, gradient norm before clipping, milliseconds."""
        self._write(f"s:{step} {_TRAIN}:{loss:.4f} lr:{lr:.6f} norm:{norm:.2f} time (ms):{ms:.2f}\n")

    def hung_up(self, step: int) -> None:
        """Write that from the update of `step` on nothing was shown, since the terminal was closed."""
        self._write(f"s:{step} {_HUNG_UP}:1\n")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, line: str) -> None:
        if self._file < 0:
            raise ValueError(f"{self.path} has been closed")
        data = line.encode("ascii")
        try:
            if os.write(self._file, data) < len(data):  # how a disk that gets full takes the last line it has room for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise _cannot_write(self.path, error) from error


@dataclass(frozen=True, eq=False)
class Stream:
    """One kind of measurement. steps: int64 of shape (n,), ascending, each once; values: float64 of shape (n,)."""

    steps: Steps
    values: Values

    def __len__(self) -> int:
        return len(self.steps)

    def minimum(self) -> tuple[int, float] | None:
        """Return (step, value) of the least value, the first of equals; None where no value is finite."""
        finite = np.flatnonzero(np.isfinite(self.values))
        if not len(finite):
            return None
        at = finite[np.argmin(self.values[finite])]
        return int(self.steps[at]), float(self.values[at])


@dataclass(frozen=True, eq=False)
class History:
    """What a log holds. lr, norm, ms: float64 of shape (len(train),), for the steps of `train`; nan if not logged."""

    train: Stream
    validation: Stream
    hellaswag: Stream
    lr: Values
    norm: Values
    ms: Values

    @property
    def hours(self) -> float | None:
        """The time of all updates, each step counted once; None where the log has no times.

        llm.c's notebook adds up every line, and so counts twice what a resumed run did again.
        """
        finite = self.ms[np.isfinite(self.ms)]
        return float(finite.sum()) / _MS_PER_HOUR if len(finite) else None


def read(path: str) -> History:
    """Read a log, local or on S3.

    A line that is none of llm.c's (glued to another, or zeros, as a machine leaves it that lost its power) is left out
    with a warning on stderr that names it. A last line without a line break is passed over: its writer was killed, or
    is about to finish it. Raises UserError for a missing file, and where no line is one of llm.c's.
    """
    if not exists(path):
        raise UserError(f"{path}: no such file; give the folder that the trainer wrote its log to (its -o)")
    with open_input(path) as file:
        text = file.read().decode("utf-8", "replace")
    validation: dict[int, float] = {}
    hellaswag: dict[int, float] = {}
    train: dict[int, tuple[float, float, float, float]] = {}
    others: list[tuple[int, str]] = []
    nan = float("nan")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        line = line.rstrip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            others.append((number, line))
            continue
        step, other, value, loss, lr, norm, ms = match.groups()
        try:
            if other is None:
                train[int(step)] = (
                    float(loss),
                    nan if lr is None else float(lr),
                    nan if norm is None else float(norm),
                    nan if ms is None else float(ms),
                )
            elif other != _HUNG_UP:
                (validation if other == VALIDATION else hellaswag)[int(step)] = float(value)
        except ValueError:  # two decimal points
            others.append((number, line))
    if others:
        problem = f"{path}: {_none_of_llmcs(others)}"
        if not (train or validation or hellaswag):
            raise UserError(f"{problem}, and no other line is; copy the file anew")
        say_line(f"warning: {problem}; left out", sys.stderr)
    steps = np.array(sorted(train), np.int64)
    columns = np.array([train[step] for step in steps.tolist()], np.float64).reshape(-1, 4).T
    return History(Stream(steps, columns[0]), _stream(validation), _stream(hellaswag), *columns[1:])


def _stream(values: dict[int, float]) -> Stream:
    steps = sorted(values)
    return Stream(np.array(steps, np.int64), np.array([values[step] for step in steps], np.float64))


def _none_of_llmcs(lines: list[tuple[int, str]]) -> str:
    """Say of lines that are none of llm.c's, with their numbers, which they are, and how the first begins."""
    number, first = lines[0]
    if len(lines) == 1:
        return f"line {number} is none of llm.c's: {first[:80]!r}"
    named = ", ".join(str(number) for number, _ in lines[:_NAMED])
    more = ", ..." if len(lines) > _NAMED else ""
    return f"{len(lines):,} lines ({named}{more}) are none of llm.c's, the first: {first[:80]!r}"


def _cannot_write(path: str, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written: {cause(error)}; free space or choose another folder")


def cut_unfinished(path: str) -> None:
    """Cut off what stands behind the last line break of a file."""
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        while start > 0:
            start = max(0, start - _TAIL)
            file.seek(start)
            line_break = file.read(_TAIL).rfind(b"\n")
            if line_break >= 0:
                start += line_break + 1
                break
        if start < end:
            file.truncate(start)
