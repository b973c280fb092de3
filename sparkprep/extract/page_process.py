"""Pages extracted in a process of their own, which is ended where one takes too long, too much memory, or crashes it.

What parses HTML is compiled code that works on what anyone has written: a page that it cannot bear would end Spark's
worker, and with it the job. What it answers is text beside JSON: a process that a page has taken over could put code
into a pickle. Nor does the worker load what compiles kernels: only that process does.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import F_SETPIPE_SZ, fcntl
from threading import Thread
from typing import IO

from sparkprep.extract.languages import Language, language_of
from sparkprep.extract.page import Page

MEMORY = 3 << 30
"""Address space of the process, in bytes."""
_STARTS_IN = 600.0
"""Seconds until it must be there: on a busy node that has no compiled kernels yet it compiles them first."""
_GRACE = 5.0
"""Seconds after which a page ends its process that is not ended: who asked has been killed, then."""
_PIPE_BYTES = 1 << 18
_LENGTH = struct.Struct("<q")
_READY = b"ready"


class PageFailed(Exception):
    """A page could not be extracted. reason: "too slow" or "crashed"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PageProcess:
    """A process that extracts one page after the other, and is started again after one that it did not survive."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def page_of(self, data: bytes, content_type: str, extractor: str) -> Page:
        """Return what `main_text.page_of` returns, with the language of the text. Raises PageFailed."""
        return _unpacked(self._answer([content_type, extractor], data))

    def language_of(self, text: str) -> Language:
        """Return what `languages.language_of` returns. Raises PageFailed."""
        return Language(*json.loads(self._answer([], text.encode(errors="replace"))))

    def _answer(self, words: list[str], data: bytes) -> bytes:
        process = self._running()
        try:
            _send(process.stdin, json.dumps(words).encode(), data)
            answer = self._receive(process, self._seconds)
        except (OSError, EOFError):
            self.close()
            raise PageFailed("crashed") from None
        if not answer:
            raise PageFailed("crashed")
        return answer

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            with _without_interrupts():
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "sparkprep.extract.page_process", str(self._seconds + _GRACE)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            _widen(self._process.stdin)
            try:
                started = self._receive(self._process, _STARTS_IN)
            except (OSError, EOFError, PageFailed):
                started = b""
            if started != _READY:
                self.close()
                raise RuntimeError(f"{sys.executable} -m sparkprep.extract.page_process does not start on this node")
        return self._process

    def _receive(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """Return the next message. Raises PageFailed where it does not come in time, EOFError where it never will."""
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        if not ready:
            self.close()
            raise PageFailed("too slow")
        return _message(process.stdout)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C never reaches, not even while Python starts in them: this one ends them.

    It waits here until they have been started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(stream: IO[bytes] | None, *messages: bytes) -> None:
    """Send messages by one write, so that who waits for them is woken once."""
    assert stream is not None
    stream.write(b"".join(part for message in messages for part in (_LENGTH.pack(len(message)), message)))
    stream.flush()


def _widen(stream: IO[bytes] | None) -> None:
    """Let a pipe hold most pages whole, where this user may: each time it is full costs both sides a switch."""
    assert stream is not None
    with suppress(OSError):
        fcntl(stream.fileno(), F_SETPIPE_SZ, _PIPE_BYTES)


def _message(stream: IO[bytes]) -> bytes:
    length = _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0]
    if not 0 <= length <= MEMORY:
        raise EOFError
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _packed(page: Page) -> bytes:
    """Return the bytes of a page's text behind a line of JSON with the rest."""
    return json.dumps(page[1:]).encode() + b"\n" + page.text.encode()


def _unpacked(answer: bytes) -> Page:
    rest, _, text = answer.partition(b"\n")
    return Page(text.decode(), *json.loads(rest))


def serve(requests: IO[bytes], answers: IO[bytes], seconds: float) -> None:
    """Answer one page or text after the other, until there is no more; with nothing one that raised an error.

    A request is two messages: a list, of header and extractor for a page, empty for a text; and its bytes. seconds:
    after which an answer is waited for by nobody, and the system ends this process.
    """
    from sparkprep.extract.main_text import page_of  # only here: it takes a second and 100 MB

    language_of("a text to load the model with")
    _send(answers, _READY)
    while True:
        try:
            words = json.loads(_message(requests))
            data = _message(requests)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            if words:
                page = page_of(data, *words)
                language = language_of(page.text)
                answer = _packed(page._replace(code=language.code, score=language.score))
            else:
                answer = json.dumps(language_of(data.decode())).encode()
        except Exception:  # whatever a library raises of what anyone has written
            answer = b""
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(answers, answer)


def _end_with(requests: IO[bytes]) -> None:
    """End this process when nobody is there any more who could ask, unless a page holds Python's lock just then."""
    poll = select.poll()
    poll.register(requests, 0)  # its end is told without being asked for
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, replies, float(sys.argv[1]))
    os._exit(0)  # without a last try to write what nobody reads
