"""Where a run tells how far it is: a bar on a terminal or in a notebook, lines in a log, or nowhere."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO, cast

from sparkprep.spark.forecast import Pace
from sparkprep.units import human_bytes, human_duration, time_of_day

QUIET_INTERVAL = 30.0
"""Seconds between two lines of progress where there is no bar."""
BAR_INTERVAL = 0.5
_WIDE = 120
"""Columns of a notebook's bar."""
_BESIDE = 11 + 10 + len(" 100 %, ") + 1
"""Columns that the other parts of a bar take: the stage, the bar itself, and one that terminals want free."""
TERMINAL_VARIABLE = "SPARKPREP_TERMINAL"
"""Set by the launcher `spark-submit` to the columns of the terminal that what a job prints goes to: Spark gives the job
a pipe in its place."""
WARNING = "warning: "
_LOG = logging.getLogger("sparkprep")


@dataclass(frozen=True)
class Look:
    """How far a run is. share (0..1) and left (seconds) are of the run, or of the stage where that is all one knows.

    things: what its tasks are, such as archives, of `size` bytes in all, `done` of them in those that have ended; ""
    where that says nothing.
    """

    stage: str
    documents: int
    pace: Pace
    elapsed: float
    left: float | None = None
    share: float = 0.0
    things: str = ""
    size: int = 0
    done: int = 0

    def __str__(self) -> str:
        """Return it in words: documents or tasks, time so far and time left."""
        return ", ".join(filter(None, [self._done, self._so_far, self._left]))

    def brief(self, room: int) -> str:
        """Return it in so many characters: time, and documents or tasks as far as these fit whole."""
        time_told = self._left or self._so_far
        done = self._done
        shorter = done.removesuffix(" documents").partition(", ")[0]
        texts = [", ".join(filter(None, [time_told, each])) for each in (done, shorter)]
        return next((text for text in texts if len(text) <= room), time_told)

    @property
    def _so_far(self) -> str:
        return f"{human_duration(self.elapsed)} so far"

    @property
    def _left(self) -> str:
        return "" if self.left is None else f"about {human_duration(self.left)} left"

    @property
    def _done(self) -> str:
        finished, total = self.pace.finished, self.pace.total
        if self.documents:
            done = self.documents * finished // total if total else 0
            return f"{done:,} of {self.documents:,} documents"
        if self.things and total:
            return f"{finished:,} of {total:,} {self.things}, {human_bytes(self.done)} of {human_bytes(self.size)}"
        return f"{finished:,} of {total:,} tasks" if finished else ""


class Lines:
    """A line from time to time, without control characters, as a log wants it. Warnings are left to who has the log."""

    def __init__(self, write: Callable[[str], object], warn: Callable[[str], object] | None = None) -> None:
        self._write = write
        self._warn = warn
        self._told: float | None = None
        self.interval = min(1.0, QUIET_INTERVAL)

    def line(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def warn(self, text: str) -> None:
        """Hand on a warning."""
        if self._warn:
            self._warn(text)

    def alert(self, text: str) -> None:
        """Hand on, or write, what should be known while the run goes on."""
        (self._warn or self._write)(text)

    def show(self, look: Look) -> None:
        """Write how far it is, unless that was done a moment ago."""
        now = time.monotonic()
        if self._told is None:
            self._told = now - look.elapsed
        if now - self._told >= QUIET_INTERVAL:
            self._told = now
            until = f", until {time_of_day(look.left)}" if look.left is not None and look.left >= 60 else ""
            self._write(f"{look.stage:<12}{look}{until}")

    def clear(self) -> None:
        """Begin anew with the time between two lines."""
        self._told = None


class Bar:
    """A bar with the time left, which goes when a stage ends. stream: None for a notebook's."""

    interval = BAR_INTERVAL

    def __init__(self, stream: TextIO | None, columns: int | None = None) -> None:
        self._stream = stream
        self._columns = columns
        self._bar: Any = None

    def line(self, text: str) -> None:
        """Write a line where there is a terminal; a notebook's reader sees the result instead."""
        if self._stream is None:
            _LOG.info(text)
            return
        if self._bar is not None:
            self._bar.clear()
        print(text, file=self._stream, flush=True)
        if self._bar is not None:
            self._bar.refresh()

    def warn(self, text: str) -> None:
        """Log a warning, in a notebook."""
        if self._stream is None:
            _LOG.warning(text)

    def alert(self, text: str) -> None:
        """Write what should be known while the run goes on; log it, in a notebook."""
        if self._stream is None:
            _LOG.warning(text)
        else:
            self.line(text)

    def show(self, look: Look) -> None:
        """Draw the bar."""
        if self._bar is None:
            self._bar = self._new(f"{look.stage:<11}")
        self._bar.set_description_str(f"{look.stage:<11}", refresh=False)
        self._bar.set_postfix_str(look.brief((self._bar.ncols or _WIDE) - _BESIDE), refresh=False)
        self._bar.n = round(100 * look.share)
        self._bar.refresh()

    def clear(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _new(self, stage: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a notebook without ipywidgets gets a bar of text
            from tqdm.auto import tqdm
        layout = "{desc}{bar:10} {percentage:3.0f} %{postfix}"
        columns = self._columns or (shutil.get_terminal_size().columns if self._stream is not None else None)
        options = {} if self._stream is None else {"file": self._stream, "ncols": columns}
        return tqdm(total=100, desc=stage, leave=False, bar_format=layout, **options)


class Nowhere:
    """No word of how far it is; warnings are logged."""

    interval = 3600.0

    def line(self, text: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Log a warning."""
        _LOG.warning(text)

    alert = warn

    def show(self, look: Look) -> None:
        """Do nothing."""

    def clear(self) -> None:
        """Do nothing."""


Display = Lines | Bar | Nowhere
"""interval: seconds between two looks at how far a run is. line: what stays, such as a stage that has ended. warn: a
warning of the run, where no face tells of it. alert: one that is of use while the run goes on. show: how far a stage
is. clear: the stage has ended."""


class Alerts(io.TextIOBase):
    """Where a face with --quiet tells of a run: to stderr, and nothing but alerts; it prints the warnings itself."""

    def write(self, text: str) -> int:
        """Write a line if it is an alert."""
        if text.startswith(WARNING):
            print(text.rstrip("\n"), file=sys.stderr, flush=True)
        return len(text)


def stream_of_face(quiet: bool) -> TextIO:
    """Return where a face tells how far a run is."""
    return cast(TextIO, Alerts()) if quiet else sys.stderr


def display_on(to: Display | TextIO | None) -> Display:
    """Return the display for a stream: a bar where a terminal shows it, also behind spark-submit, else lines.

    None: nowhere. What is a display already is returned as it is.
    """
    if to is None:
        return Nowhere()
    if isinstance(to, Bar | Lines | Nowhere):
        return to
    stream = to
    if stream.isatty():
        return Bar(stream)
    columns = os.environ.get(TERMINAL_VARIABLE, "")
    if columns.isdecimal() and "PYSPARK_GATEWAY_PORT" in os.environ and stream in (sys.stderr, sys.stdout):
        return Bar(stream, int(columns) or None)
    return Lines(lambda text: print(text, file=stream, flush=True))


def display_for(progress: bool | None) -> Display:
    """Return the display of a library's call: a bar in a notebook, or where it is asked for; else the log `sparkprep`.

    False: nothing but warnings, in that log.
    """
    if progress is False:
        return Nowhere()
    if _in_notebook():
        return Bar(None)
    if progress:
        return display_on(sys.stderr)
    return Lines(_LOG.info, _LOG.warning)


def _in_notebook() -> bool:
    """Whether cells of a notebook run this, in whose output a bar is drawn."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"
