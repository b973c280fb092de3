"""A proxy in front of a server of S3's protocol: it sees every request, and a test may meddle with each."""

from __future__ import annotations

import contextlib
import http.client
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
_OF_ONE_HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    """What a client has asked. path: with bucket and key, and what is asked behind "?". number: from 1 on.

    part: the header Range, "bytes=0-99"; "" for a whole object.
    """

    number: int
    method: str
    path: str
    part: str = ""


Meddle = Callable[[Request], bool]
"""Is called with each request, before it is handed on, in a thread of its own; whether S3 is said to be overloaded."""


class Proxy:
    """A running proxy. url: where it answers. requests: how many it has seen. Use `in_front_of`, which stops it."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.requests = 0
        self._lock = threading.Lock()
        self._meddle: Meddle = _hand_on
        proxy = self

        class Handler(_Handler):
            of = proxy

        self._listener = _Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._listener.server_port}"

    @contextlib.contextmanager
    def meddling(self, meddle: Meddle) -> Iterator[None]:
        """Let `meddle` see all requests while the block runs; they are numbered anew."""
        with self._lock:
            self._meddle, self.requests = meddle, 0
        try:
            yield
        finally:
            self._meddle = _hand_on

    def is_refused(self, method: str, path: str, part: str) -> bool:
        """Count a request; return whether it is answered by 503."""
        with self._lock:
            self.requests += 1
            request = Request(self.requests, method, path, part)
            meddle = self._meddle
        return meddle(request)

    def serve(self) -> None:
        """Answer until `close` is called."""
        self._listener.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Answer no more."""
        self._listener.shutdown()
        self._listener.server_close()


@contextlib.contextmanager
def in_front_of(server: str) -> Iterator[Proxy]:
    """Run a proxy for the block. server: the URL that requests are handed on to, signed for whoever they are."""
    proxy = Proxy(server)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()


def once(when: Callable[[Request], bool], act: Callable[[], object]) -> Meddle:
    """Return what does something before the first request of a kind is handed on, while all others of it wait.

    Where `act` returns False, it could not be done yet: it is tried again before the next one.
    """
    lock, done = threading.Lock(), threading.Event()

    def meddle(request: Request) -> bool:
        if not done.is_set() and when(request):
            with lock:
                if not done.is_set() and act() is not False:
                    done.set()
        return False

    return meddle


def _hand_on(request: Request) -> bool:
    return False


class _Listener(ThreadingHTTPServer):
    """A thread for each connection; of clients that are killed in mid-request nothing is said."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """A connection of a client, with one of its own to the server."""

    of: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _server: http.client.HTTPConnection | None = None

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.of.is_refused(self.command, unquote(self.path), self.headers.get("Range") or ""):
            self._send(503, "Slow Down", [("Content-Type", "application/xml")], _BUSY)
            return
        try:
            response = self._asked(body)
            content = response.read()
        except (OSError, http.client.HTTPException):  # the client sees what it would of a server that has died
            self._server = None
            self.close_connection = True
            return
        self._send(response.status, response.reason, response.getheaders(), content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

    def _asked(self, body: bytes) -> http.client.HTTPResponse:
        if self._server is None:
            place = urlsplit(self.of.server)
            self._server = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        self._server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():  # Host too, which is signed
            if name.lower() not in _OF_ONE_HOP:
                self._server.putheader(name, value)
        self._server.endheaders(body or None)
        return self._server.getresponse()

    def _send(self, status: int, reason: str, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status, reason)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in _OF_ONE_HOP:
                self.send_header(name, value)
        if "content-length" not in names and self.command != "HEAD" and status != 204:
            self.send_header("Content-Length", str(len(content)))
        with contextlib.suppress(OSError):  # a client that has been killed
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    def log_message(self, format: str, *words: Any) -> None:
        """Say nothing."""
