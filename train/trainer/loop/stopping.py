"""Ctrl-C and SIGTERM while a model is trained: they end the run between two updates, never inside one."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from sparkprep.console import Ended, passing_over_repeats

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_REQUEST = 1.0
"""Seconds within which a signal that comes again is the same request: `timeout` sends it to a process and its group."""


class Stopping:
    """A context in which the first of these signals raises Ended where that may be, and the second ends the process.

    What was ignored at the start stays so. The second signal is met at once, even in the middle of a long operation of
    PyTorch's, in which Python's own handlers wait: a thread reads what Python's C handler writes into a pipe.
    """

    def __init__(self, request: str) -> None:
        self._request = request
        self._number: int | None = None
        self._at = 0.0  # when it came
        self._depth = 0

    def __enter__(self) -> Stopping:
        self._before: dict[int, object] = {}
        if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
            return self
        self._before = {each: signal.getsignal(each) for each in _SIGNALS}
        for each, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(each, self._stop)
        read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(read,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._before:
            signal.set_wakeup_fd(self._wakeup_before)
            os.close(self._write)  # which ends the thread
            for each, handler in self._before.items():
                if self._number is None or handler is signal.SIG_IGN:
                    signal.signal(each, handler)  # type: ignore[arg-type]
                else:
                    # A small model is saved before `timeout` has sent its signal twice.
                    signal.signal(each, passing_over_repeats(handler, self._at, _ONE_REQUEST))
                    # Python's last act but a few is to take its handlers back, and then a repeat would kill it.
                    atexit.register(signal.signal, each, signal.SIG_IGN)

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """While this lasts, a signal waits: what is done here is done whole."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._number is not None:
            raise Ended(self._number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._number is None:
            self._number, self._at = number, time.monotonic()
            if self._depth == 0:
                raise Ended(number)

    def _watch(self, read: int) -> None:
        """Say that the first signal has come, and end the process at the second."""
        first: float | None = None
        while numbers := os.read(read, 64):
            for number in numbers:
                if number not in _SIGNALS or signal.getsignal(number) is signal.SIG_IGN:
                    continue
                if first is None:
                    first = time.monotonic()
                    _write_to_stderr(f"\n{signal.Signals(number).name}: {self._request}; again to end at once\n")
                elif time.monotonic() - first > _ONE_REQUEST:
                    os._exit(128 + number)
        os.close(read)


def _write_to_stderr(text: str) -> None:
    """Write past Python's streams, which the main thread may be writing to."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
