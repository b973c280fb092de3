"""A web server for one person on this machine: pages behind an address that nobody else can guess."""

from __future__ import annotations

import http.server
import secrets
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from sparkprep.errors import UserError

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Page = Callable[[str], str | None]
"""The HTML of an address ("/pairs?page=2"), or None where there is none."""


class LocalServer(http.server.ThreadingHTTPServer):
    """Serves pages at `url`, which holds a secret: other users of the machine do not know it.

    A request with another host's name is refused: a page of the web could otherwise have a name of its own lead here
    and read the answers. port: 0 for any that is free. Raises UserError where it is taken.
    """

    daemon_threads = True

    def __init__(self, page: Page, port: int = 0) -> None:
        self.secret = secrets.token_urlsafe(16)
        self.page = page
        self.one_at_a_time = threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"--port {port}: {error}; name another, or none for any that is free") from error

    @property
    def url(self) -> str:
        """The address of the first page."""
        return f"http://{HOST}:{self.server_port}/{self.secret}/"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: LocalServer
    server_version, sys_version = "sparkprep", ""

    def do_GET(self) -> None:
        """Answer with a page."""
        inside = f"/{self.server.secret}/"
        names = {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}
        path = urlsplit(self.path).path
        if self.headers.get("Host") not in names or not secrets.compare_digest(path[: len(inside)], inside):
            self._answer(403, "<!DOCTYPE html><title>Not here</title><p>Take the whole address that was printed.")
            return
        with self.server.one_at_a_time:
            content = self.server.page(self.path[len(inside) - 1 :])
        if content is None:
            self._answer(404, "<!DOCTYPE html><title>Not there</title><p>There is no such page. <a href='./'>Back</a>")
            return
        self._answer(200, content)

    def _answer(self, status: int, content: str) -> None:
        data = content.encode("utf-8", "replace")
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal is for what the user should read."""
