"""What every program here shares on the terminal: safe text, one line for an error, exit codes, the end by a signal."""

from __future__ import annotations

import argparse
import contextlib
import errno
import html
import os
import signal
import stat
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import Any, TextIO

from sparkprep.errors import Finished, UserError, called_by_flags
from sparkprep.safe import control_escaped
from sparkprep.safe import safe_text as safe_text
from sparkprep.safe import without_control as without_control


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


ONE_REQUEST_S = 2.0
"""Seconds within which a signal that comes again is the same request: `timeout` sends it to a process and its group,
and Spark's JVM hands it on to the program that has got it already (`spark/jvm.py`)."""


class Ended(KeyboardInterrupt):
    """A signal asked the program to end; it unwinds as Ctrl-C does, so that nothing half-made stays behind."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = Exit(128 + number)


def has_screen() -> bool:
    """Return whether a browser would come up in a window: one in the terminal would take it from the program."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class Shown(ABC):
    """What shows itself, in a terminal and in a notebook, by rows of name and value."""

    @abstractmethod
    def shown(self) -> list[tuple[str, str]]:
        """Return the rows; names and values may be of unknown origin."""

    def cells(self) -> list[tuple[str, str]]:
        """Return the rows as HTML, for a notebook."""
        return [(name, html.escape(safe_text(value))) for name, value in self.shown()]

    def __repr__(self) -> str:
        return "\n".join(f"{name:<10} {safe_text(value)}" for name, value in self.shown())

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        rows = "".join(f"<tr><th {left}>{name}</th><td {left}>{value}</td></tr>" for name, value in self.cells())
        return f"<table>{rows}</table>"


def say(text: str, end: str = "\n", stream: TextIO | None = None, steers: bool = False) -> None:
    """Print at once what the stream's encoding can show, the rest as escapes; by default to stdout.

    Control characters become escapes too, but for those that end a line or indent it. steers: what is printed colours
    or moves the cursor on purpose, and holds other texts as `safe_text` returns them. Raises UserError where stdout
    takes no more (a full disk), but BrokenPipeError for a reader that has gone.
    """
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    text = text if steers else control_escaped(text, keep="\n\t\r")
    with _stdout_taken() if stream is sys.stdout else contextlib.nullcontext():
        print(text.encode(encoding, "backslashreplace").decode(encoding), end=end, file=stream, flush=True)


@contextmanager
def _stdout_taken() -> Iterator[None]:
    """Turn what ends the writing to stdout, such as a full disk, into a UserError; the rest of it goes nowhere."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _into_nothing(sys.stdout)  # Python flushes it once more at its end
        raise UserError(f"what the program prints cannot be written: {error.strerror}") from error


def _flush_stdout() -> None:
    with _stdout_taken():
        sys.stdout.flush()


def _open_closed_streams() -> None:
    """Let what is written to a stream that was closed before the program began (`>&-`) go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the program)


def say_line(text: str, stream: TextIO | None = None) -> None:
    """Print one line in which there may be names and texts of unknown origin (`safe_text`)."""
    say(safe_text(text), stream=stream)


class _Expendable:
    """A text stream of which the work does not depend: what cannot be written is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it; return its length."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is pending, or drop it."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            # A disk may have room again. A terminal or reader that has gone does not come back, and what is buffered
            # for it would fail again when Python ends.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                _into_nothing(self._stream)


class Display:
    """The terminal of a work that goes on without it. hung_up: whether it was closed (SIGHUP)."""

    hung_up = False


display = Display()


@contextmanager
def expendable_display() -> Iterator[None]:
    """While this lasts, nothing that happens to stdout or stderr ends the work, as it would a program for its output.

    What cannot be written (a closed terminal, a reader that has gone, a full disk) is dropped. SIGHUP, unless it is
    ignored or handled already, stops the output to terminals and sets `display.hung_up`.
    """
    streams = sys.stdout, sys.stderr
    terminals = [stream for stream in streams if stream.isatty()]  # when it has been closed, none is

    def hang_up(number: int, frame: FrameType | None) -> None:
        display.hung_up = True
        for stream in terminals:
            _into_nothing(stream)

    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    display.hung_up = False
    sys.stdout, sys.stderr = _Expendable(streams[0]), _Expendable(streams[1])
    if ours:
        signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        sys.stdout, sys.stderr = streams
        for stream in streams:
            _flush_for_good(stream)


def _flush_for_good(stream: TextIO) -> None:
    """Write what is pending, or drop it: Python, which flushes at its end, would end with a code of its own."""
    try:
        stream.flush()
    except OSError:
        _into_nothing(stream)


def _into_nothing(stream: TextIO) -> None:
    """Let what is written to a stream's file from now on, and what Python flushes at its end, go nowhere."""
    with contextlib.suppress(OSError, ValueError):  # a stream of a test or notebook has no file
        place = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, place)
        os.close(nothing)


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add --debug, which a face hands to `guarded`."""
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error too")


def leave_word(error: BaseException, words: str) -> None:
    """Note on an exception what its end leaves behind: the last line of the program says it, and a notebook too.

    The word of whoever was nearest to it counts.
    """
    if what_is_left(error) is None:
        error.sparkprep_left = words  # type: ignore[attr-defined]
        error.add_note(words)


def what_is_left(error: BaseException) -> str | None:
    """Return what `leave_word` has noted on an exception."""
    return getattr(error, "sparkprep_left", None)


@contextmanager
def if_interrupted(words: str) -> Iterator[None]:
    """Say what is left behind where Ctrl-C, or a signal, ends the block."""
    try:
        yield
    except KeyboardInterrupt as error:
        leave_word(error, words)
        raise


def guarded(
    work: Callable[[], int],
    *,
    debug: bool,
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGHUP),
    explain: Callable[[Exception], str | None] | None = None,
    expendable: bool = False,
) -> int:
    """Run a program's work, its parsing of the command line included, and return its exit code.

    Whatever goes wrong is one line on stderr, in which settings are called by their flags. A UserError is told as
    `error: ...`, with the traceback under `debug`.
    Ctrl-C, and each of `signals` that is not ignored, unwinds the work and is told as interrupted. What `leave_word`
    has noted of the end stands behind it. A reader of our output that has gone (as in `| head`) ends it in silence. Of
    other exceptions `explain` may give the line for Spark's failures; else it is a fault of ours, told with its
    traceback. expendable: the work is worth more than its display, and goes on without (`expendable_display`).
    """
    _open_closed_streams()
    if expendable:
        with expendable_display():
            code = guarded(work, debug=debug, signals=signals, explain=explain)
            _flush_stdout()
            return code
    _hold_behind_submit()
    try:
        with _ended_by(signals), called_by_flags():
            code = work()
            _flush_stdout()  # a reader that has gone is met here rather than at interpreter exit
            return code
    except Finished as error:
        return _tell(str(error), Exit.DONE, debug, "")
    except UserError as error:
        left = what_is_left(error)
        return _tell(f"{error}; {left}" if left else str(error), Exit.USER_ERROR, debug)
    except KeyboardInterrupt as error:
        left = what_is_left(error)
        words = f"interrupted: {left}" if left else "interrupted"
        return _tell(words, error.code if isinstance(error, Ended) else Exit.INTERRUPTED, debug, "")
    except BrokenPipeError:
        # Python flushes stdout once more at exit: into nothing, or it would print a traceback after all.
        _into_nothing(sys.stdout)
        return Exit.BROKEN_PIPE
    except Exception as error:
        message = explain(error) if explain else None
        if message is not None:
            left = what_is_left(error)
            message = f"{message}; {left}" if left else message
            return _tell(f"{message}; --debug shows all of it", Exit.SPARK_FAILED, debug)
        return _tell(_FAULT, Exit.FAULT, debug=True)


_FAULT = "this is a fault of sparkprep's own; please report it with what stands above"


def _tell(message: str, code: Exit, debug: bool, kind: str = "error: ") -> int:
    """Say the last words, which change nothing of how a program ends: its stderr may be what went wrong."""
    stderr = _Expendable(sys.stderr)
    if debug:
        stderr.write(safe_text(traceback.format_exc(), keep="\n\t"))
    try:
        say(f"{kind}{safe_text(message)}", stream=sys.stderr)
    except OSError:
        _say_past_submit(f"{kind}{safe_text(message)}\n")
    _flush_for_good(sys.stderr)
    return code


_behind_submit: int | None = None
"""Where `spark-submit` prints what a job under it writes, held open since the job's start."""


def _hold_behind_submit() -> None:
    """Take hold of the stdout of `spark-submit`, which gives its job a pipe for both its streams.

    Where it dies before its job, that pipe is broken, but what the job says last can still be read there.
    """
    global _behind_submit
    if _behind_submit is None and "PYSPARK_GATEWAY_PORT" in os.environ:
        with contextlib.suppress(OSError, ValueError):  # no /proc, no file
            if stat.S_ISFIFO(os.fstat(sys.stderr.fileno()).st_mode):
                _behind_submit = os.open(f"/proc/{os.getppid()}/fd/1", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)


def _say_past_submit(text: str) -> None:
    if _behind_submit is not None:
        with contextlib.suppress(OSError):
            os.write(_behind_submit, text.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))


@contextmanager
def signals_held_back(waiting: str = "") -> Iterator[None]:
    """Answer the signals that end a program when the block has ended, for what must not be broken off.

    waiting: is said on stderr as soon as one comes, where the block may take a while: what is waited for, and why.
    """
    if threading.current_thread() is not threading.main_thread():  # only there do handlers run
        yield
        return
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ours = [number for number, handler in before.items() if callable(handler)]

    def hold(number: int, frame: FrameType | None) -> None:
        if waiting and not received:
            # What is written to when the signal comes refuses a second writer (RuntimeError); the line is an extra.
            with contextlib.suppress(OSError, RuntimeError, UserError):
                say_line(waiting, sys.stderr)
        received.append(number)

    for number in ours:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
        for held in received:
            signal.raise_signal(held)


@contextmanager
def _ended_by(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """While this lasts, each of the signals raises Ended, once for each request, and Ctrl-C KeyboardInterrupt.

    One that was ignored (nohup) or handled already stays so.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield
        return
    since: float | None = None

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal since
        if since is None or time.monotonic() - since > ONE_REQUEST_S:
            since = time.monotonic()
            raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)

    usual = dict.fromkeys(signals, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    ours = {number: before for number, before in usual.items() if signal.getsignal(number) is before}
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, before in ours.items():
            signal.signal(number, before if since is None else passing_over_repeats(before, since, ONE_REQUEST_S))


def passing_over_repeats(before: Any, since: float, window: float) -> Callable[[int, FrameType | None], None]:
    """Return a signal's handler that does as `before`, but for what still belongs to a request that has been met.

    since: when that came (monotonic seconds). window: so many seconds may lie between; a program that has
    ended meanwhile would die of the repeat.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if time.monotonic() - since > window:
            signal.signal(number, before)
            signal.raise_signal(number)

    return handle
