"""How far a piece of work has come and how long the rest takes: on a terminal one line in place, else one now and then.

A thread tells it, since a single micro-batch may take a CPU minutes; the work itself only counts. Where lines come
faster than that anyway, such as those of short steps, nothing is told.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from sparkprep.console import safe_text, say

SHOWN_AFTER = 1.0
"""Seconds of a piece of work before a terminal shows it."""
QUIET = 15.0
"""Seconds of a piece of work before the first line elsewhere; after each line it is twice as long, up to QUIET_MOST."""
QUIET_MOST = 300.0

_TICK = 0.5
_BACK, _CLEAR = "\r", "\x1b[K"

Advance = Callable[..., None]
"""Is told that so many units, by default one, are done."""


def unwatched(units: int = 1) -> None:
    """Tell nobody."""


@dataclass
class Work:
    """A piece of work. expected: its seconds, before any of it is done; None where nothing is known."""

    name: str
    total: int
    unit: str
    expected: float | None
    began: float
    done: int = 0
    counted: float = 0.0
    """when `done` was last counted"""

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds that the rest takes: at the pace of what is done, or by what was expected."""
        gone = now - self.began
        if self.done:
            return max(0.0, (self.counted - self.began) / self.done * self.total - gone)
        return None if self.expected is None or gone > self.expected else self.expected - gone

    def line(self, now: float) -> str:
        """Return what is told."""
        left = self.seconds_left(now)
        rest = "time left not known yet" if left is None else f"{clock(left)} left"
        share = f"{100 * self.done / max(1, self.total):.0f} % of {self.total:,} {self.unit}"
        return f"{self.name}: {share}, {clock(now - self.began)} gone, {rest}"


class Progress:
    """Tells of one piece of work after another, while it is entered, on stderr. Not entered, it tells nothing."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._quiet, self._told = QUIET, 0.0
        self._drawn = False

    def __enter__(self) -> Progress:
        self._over.clear()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @contextmanager
    def of(self, name: str, total: int, unit: str, expected: float | None = None) -> Iterator[Advance]:
        """While this lasts, tell of a piece of work; what it yields is called as units are done."""
        now = time.monotonic()
        work = self._work = Work(name, total, unit, expected, now, counted=now)

        def advance(units: int = 1) -> None:
            work.done, work.counted = min(work.done + units, total), time.monotonic()

        try:
            yield advance
        finally:
            with self._lock:
                self._work = None
                if self._drawn:
                    self._drawn = False
                    with suppress(OSError, ValueError):
                        _write(f"{_BACK}{_CLEAR}")

    def _run(self) -> None:
        while not self._over.wait(_TICK):
            with self._lock:
                if self._work is None:
                    continue
                try:
                    self._tell(self._work, time.monotonic())
                except (OSError, ValueError):  # nobody reads it any more, which is no reason to end the work
                    return

    def _tell(self, work: Work, now: float) -> None:
        if sys.stderr.isatty():
            if now - work.began >= SHOWN_AFTER:
                _write(f"{_BACK}{safe_text(work.line(now))[: _columns() - 1]}{_CLEAR}")
                self._drawn = True
        elif now - max(self._told, work.began) >= self._quiet:
            _write(f"{safe_text(work.line(now))}\n")
            self._told, self._quiet = now, min(2 * self._quiet, QUIET_MOST)


def _write(text: str) -> None:
    say(text, end="", stream=sys.stderr, steers=True)


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds, such as 0:01:05."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def about(seconds: float) -> str:
    """Return a time as somebody says it who does not know it exactly, such as `40 seconds` or `3.2 days`."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            amount = seconds / size
            return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.2g} seconds"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: a terminal that has no size
    except (OSError, ValueError):
        return 80
