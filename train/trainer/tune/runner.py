"""A process that costs money: started, watched, paid while it runs, and stopped before the money is used up.

It ends with us, however we end: a tuner that is killed leaves nothing running that nobody pays for.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparkprep.errors import UserError
from sparkprep.io.files import cause
from trainer.checkpoints.folder import held
from trainer.launch import script_path
from trainer.tune.ledger import Meter

CONSOLE = "console.log"
"""In a trial's folder: what its process has printed."""

_LOOK = 0.2  # seconds between two looks at a process
_KILLING = 1.0  # of its limit, that a process may take to be gone once it is killed
_WATCH = 2.0  # and at its log
_PATIENCE = 10.0  # for a process that was asked to end, beside what it takes to save
_ENDING = 60.0  # that the process of a tuner that was killed gets to write its checkpoint and end
_TAIL = 1 << 14
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ran:
    """How a process ended. stopped: why we have ended it, or "" where it ended by itself."""

    code: int
    stopped: str = ""


BUDGET, WATCHED = "budget", "watched"


def run(words: Sequence[str], folder: str, meter: Meter, saving: float, watch: Callable[[], bool]) -> Ran:
    """Run the trainer with a command line, and pay for it by the meter until it has ended.

    saving: seconds that it takes to write a checkpoint, which a signal has it do; it gets it that long before the
    meter's limit, and is killed at the limit. watch: is called every few seconds; where it says True the process is
    stopped. Raises UserError where it cannot be started or paid; whatever ends this ends the process first.
    """
    try:
        process = _start(words, folder)
        try:
            return _follow(process, meter, saving, watch)
        except BaseException:
            _stop(process, max(0.0, min(_PATIENCE + 2 * saving, meter.limit - meter.seconds)))
            raise
    finally:
        meter.end()


def _start(words: Sequence[str], folder: str) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None)  # loaded here, as nothing may be loaded between fork and exec

    def end_with_us() -> None:
        if sys.platform == "linux":
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    path = os.path.join(folder, CONSOLE)
    try:
        with open(path, "ab") as console:
            return subprocess.Popen(
                [sys.executable, script_path("train_gpt2.py"), *words],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is ours, and we hand it on
                preexec_fn=end_with_us,
            )
    except OSError as error:
        raise UserError(f"{path}: the trial cannot be started: {cause(error)}; free space, then start again") from error


def _follow(process: subprocess.Popen[bytes], meter: Meter, saving: float, watch: Callable[[], bool]) -> Ran:
    stopped, looked = "", time.monotonic()
    while True:
        meter.pay()
        left = meter.limit - meter.seconds
        try:
            code = process.wait(max(0.0, min(_LOOK, left - _KILLING)))
            return Ran(code, stopped)
        except subprocess.TimeoutExpired:
            pass
        if left <= _KILLING:
            process.kill()
            return Ran(process.wait(), BUDGET)
        if stopped:
            continue
        if left <= saving:
            stopped = BUDGET
        elif time.monotonic() - looked >= _WATCH:
            looked = time.monotonic()
            stopped = WATCHED if watch() else ""
        if stopped:
            process.terminate()


def _stop(process: subprocess.Popen[bytes], patience: float) -> None:
    """End a process, which may save what it has for so many seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def last_words(folder: str) -> str:
    """Return the last line that a trial's process has printed, for a message; "" where it has said nothing."""
    path = os.path.join(folder, CONSOLE)
    if not os.path.exists(path):
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _TAIL))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def wait_for(folder: str) -> None:
    """Wait until the process of a tuner that was killed, which saves what it has, has left a trial's folder."""
    if not os.path.isdir(folder):
        return
    until = time.monotonic() + _ENDING
    while True:
        try:
            with held(folder):
                return
        except UserError:
            if time.monotonic() > until:
                raise
        time.sleep(0.2)


def death(name: str, ran: Ran, folder: str) -> UserError:
    """Return the error of a process that ended by itself before its time."""
    if ran.code < 0:
        how = f"was ended by {signal.Signals(-ran.code).name}" + " (lack of memory?)" * (ran.code == -9)
    else:
        how = f"ended with code {ran.code}"
    words = last_words(folder).removeprefix("error: ").rstrip(".")
    return UserError(
        f"{name} {how}{f': {words}' if words else ''}; {os.path.join(folder, CONSOLE)} has all that it "
        "printed, and its cost is in the ledger. Mend that; the same command goes on"
    )
