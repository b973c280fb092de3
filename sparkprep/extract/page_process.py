"""Pages extracted in a process of their own, which is ended where one takes too long, too much memory, or crashes it.

What parses HTML is compiled code that works on what anyone has written: a page that it cannot bear would end Spark's
worker, and with it the job. What it answers is JSON: a process that a page has taken over could put code into a pickle.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import struct
import subprocess
import sys
from typing import IO

from sparkprep.extract.main_text import Page, page_of

MEMORY = 3 << 30
"""Address space of the process, in bytes."""
_STARTS_IN = 60.0
"""Seconds until it must be there."""
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
        """Return what `main_text.page_of` returns. Raises PageFailed."""
        process = self._running()
        try:
            _send(process.stdin, json.dumps([content_type, extractor]).encode())
            _send(process.stdin, data)
            answer = self._receive(process, self._seconds)
        except (OSError, EOFError):
            self.close()
            raise PageFailed("crashed") from None
        fields = json.loads(answer)
        if fields is None:
            raise PageFailed("crashed")
        return Page(*fields)

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
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sparkprep.extract.page_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
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


def _send(stream: IO[bytes] | None, message: bytes) -> None:
    assert stream is not None
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _message(stream: IO[bytes]) -> bytes:
    length = _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0]
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer one page after the other, until there is no more request; None for one that raised an error."""
    _send(answers, _READY)
    while True:
        try:
            content_type, extractor = json.loads(_message(requests))
            data = _message(requests)
        except EOFError:
            return
        try:
            page: Page | None = page_of(data, content_type, extractor)
        except Exception:  # whatever a library raises of what anyone has written
            page = None
        _send(answers, json.dumps(page).encode())


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    serve(sys.stdin.buffer, replies)
