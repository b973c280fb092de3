"""What every program here shares on the terminal: safe text, one line for an error, exit codes, the end by a signal."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import TextIO

from sparkprep.errors import UserError


class Exit(IntEnum):
    """How a program ended. A signal's code is 128 and its number, as in a shell."""

    DONE = 0
    CHECK_FAILED = 1
    """what was to be checked is not so: a grade below a limit, files that could not be uploaded"""
    USER_ERROR = 2
    """a mistake in the command line, the input or the surroundings, told in one line"""
    SPARK_FAILED = 3
    """Spark failed for a reason that is not known to be the user's"""
    FAULT = 70
    """a fault of ours, told with its traceback"""
    HUNG_UP = 128 + 1
    INTERRUPTED = 128 + 2
    BROKEN_PIPE = 128 + 13
    TERMINATED = 128 + 15


class Ended(KeyboardInterrupt):
    """A signal asked the program to end; it unwinds as Ctrl-C does, so that nothing half-made stays behind."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = Exit(128 + number)


_CONTROL_CHARACTERS = "\x00-\x1f\x7f-\x9f"  # they move the cursor, ring, change colours
_CONTROL = re.compile(f"[{_CONTROL_CHARACTERS}]")
# Beside them what hides or turns round text, and halves of characters.
_UNSAFE = re.compile(f"[{_CONTROL_CHARACTERS}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe_text(text: str, keep: str = "") -> str:
    r"""Return text of unknown origin as a terminal may be given it.

    Control characters and those that turn round the direction of writing become their escapes (\n, \x1b, \u202e), but
    for the characters in `keep`: "\n\t" for texts of several lines, none for what must stay on one.
    """

    def escaped(match: re.Match[str]) -> str:
        character = match.group()
        if character in keep:
            return character
        return character.encode("unicode_escape").decode("ascii")

    return _UNSAFE.sub(escaped, text)


def without_control(text: str, keep: str = "") -> str:
    """Return a text without its control characters but for those in `keep`; the direction of writing is its own."""
    return _CONTROL.sub(lambda match: match.group() if match.group() in keep else "", text)


def say(text: str, end: str = "\n", stream: TextIO | None = None) -> None:
    """Print at once what the stream's encoding can show, the rest as escapes; by default to stdout."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), end=end, file=stream, flush=True)


def say_line(text: str, stream: TextIO | None = None) -> None:
    """Print one line in which there may be names and texts of unknown origin (`safe_text`)."""
    say(safe_text(text), stream=stream)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add --debug, which a face hands to `guarded`."""
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error too")


def guarded(
    work: Callable[[], int],
    *,
    debug: bool,
    interrupted: str = "interrupted",
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGHUP),
    explain: Callable[[Exception], str | None] | None = None,
) -> int:
    """Run a program's work, its parsing of the command line included, and return its exit code.

    Whatever goes wrong is one line on stderr. A UserError is told as `error: ...`, with the traceback under `debug`.
    Ctrl-C, and each of `signals` that is not ignored, unwinds the work and is told as `interrupted`. A reader of our
    output that has gone (as in `| head`) ends it in silence. Of other exceptions `explain` may give the line for
    Spark's failures; else it is a fault of ours, told with its traceback.
    """
    try:
        with _ended_by(signals):
            code = work()
            sys.stdout.flush()  # a reader that has gone is met here rather than at interpreter exit
            return code
    except UserError as error:
        return _tell(str(error), Exit.USER_ERROR, debug)
    except KeyboardInterrupt as error:
        if debug:
            traceback.print_exc()
        say(interrupted, stream=sys.stderr)
        return error.code if isinstance(error, Ended) else Exit.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit: into nothing, or it would print a traceback after all.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except Exception as error:
        message = explain(error) if explain else None
        if message is not None:
            return _tell(f"{message}; --debug shows all of it", Exit.SPARK_FAILED, debug)
        traceback.print_exc()
        say(
            "error: this is a fault of sparkprep's own; please report it with what stands above",
            stream=sys.stderr,
        )
        return Exit.FAULT


def _tell(message: str, code: Exit, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    say(f"error: {safe_text(message)}", stream=sys.stderr)
    return code


@contextmanager
def _ended_by(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """While this lasts, each of the signals raises Ended; one that was ignored (nohup) or handled already stays so."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(number)

    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield
        return
    ours = [number for number in signals if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
