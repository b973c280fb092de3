"""Servers of one test: one that hands out a role's credentials, as a machine or a container has it; one before S3."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Roles:
    """What hands out credentials: each time other ones, which hold for so many seconds."""

    url: str
    seconds: float = 3600.0
    given: list[str] = field(default_factory=list)
    """the key of each answer"""

    def answer(self) -> dict[str, str]:
        self.given.append(f"ROLEKEY{len(self.given)}")
        until = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": self.given[-1],
            "SecretAccessKey": "role-secret",
            "Token": "role-token",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "LastUpdated": "2026-01-01T00:00:00Z",
        }


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def role_server(seconds: float = 3600.0) -> Iterator[Roles]:
    """Serve a role's credentials as a machine's metadata (with its tokens) and, at /container, as a container's."""
    roles = Roles("", seconds)

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._send("a-token")

        def do_GET(self) -> None:
            if self.path.rstrip("/") == "/latest/meta-data/iam/security-credentials":
                self._send("the-role")
            elif self.path in ("/latest/meta-data/iam/security-credentials/the-role", "/container"):
                self._send(json.dumps(roles.answer()))
            else:
                self.send_error(404)

        def _send(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _served(Handler) as url:
        roles.url = url
        yield roles


@dataclass
class Asked:
    """A request that has come to the server before S3."""

    method: str
    path: str
    headers: dict[str, str]
    """their names in small letters"""

    @property
    def key(self) -> str:
        """The access key that it was signed with; "" where it was not."""
        return self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]

    @property
    def agent(self) -> str:
        """Which way it has come."""
        return "boto3" if "boto3" in self.headers.get("user-agent", "").lower() else "arrow"


@contextmanager
def gate(s3: str, refuse: Callable[[Asked], str | None] = lambda asked: None) -> Iterator[tuple[str, list[Asked]]]:
    """Hand on to an S3 server what is not refused; give its URL and what was asked.

    refuse: returns S3's word for why a request is refused (AccessDenied, ExpiredToken), or None.
    """
    seen: list[Asked] = []
    host = urlsplit(s3).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            seen.append(asked)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            why = refuse(asked)
            if why is not None:
                self._answer(403 if why == "AccessDenied" else 400, {}, f"<Error><Code>{why}</Code></Error>".encode())
                return
            connection = HTTPConnection(host, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding", "server", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with _served(Handler) as url:
        yield url, seen
