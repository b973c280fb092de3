"""An embedded subset as a crawl would have found it: archives of WARC with a page for each document."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator

import pyarrow.parquet as pq

from sparkprep.errors import UserError, argument
from sparkprep.io.files import make_folder, open_whole
from sparkprep.io.paths import join_path, normalise
from sparkprep.sample.build import Subset
from sparkprep.sample.pages import html_of

DATE = "2025-01-01T00:00:00Z"
"""Of all records: the same documents give the same bytes."""
_EVERY = 10
"""Behind so many pages stands an answer that is none."""


def write_archives(subset: Subset, folder: str | os.PathLike[str], archives: int = 4) -> list[str]:
    """Write the documents of a subset into `folder` as so many archives of WARC; return their paths.

    Each record is a gzip member, as crawlers write them. A page's record has the document's id and url; servers send
    the pages in several character sets and encodings, and answers that are no pages between them. The same subset gives
    the same bytes. folder: local or s3://; files of the same names are replaced. Raises UserError where that cannot be
    written.
    """
    if archives < 1:
        raise UserError(f"{argument('archives', archives)}: write at least one")
    rows = pq.read_table(subset.documents).to_pylist()
    place = normalise(folder)
    make_folder(place)
    paths = []
    for number in range(archives):
        path = join_path(place, f"sample-{subset.directory.name}-{number:05d}.warc.gz")
        first, last = (len(rows) * bound // archives for bound in (number, number + 1))
        with open_whole(path) as file:
            file.write(_packed(_record("warcinfo", b"software: sparkprep\r\nformat: WARC File Format 1.0\r\n")))
            for row in rows[first:last]:
                for record in _records(row["id"], row["url"], row["text"]):
                    file.write(_packed(record))
        paths.append(path)
    return paths


def _records(id_: str, url: str, text: str) -> Iterator[bytes]:
    """Yield what a crawler stores of a page: what was asked and answered, and sometimes an answer that is no page."""
    draw = int(id_, 16)
    yield _record("request", f"GET {url} HTTP/1.1\r\n\r\n".encode(), url)
    block = _answer(*_sent(url, text, draw // 8 % 8), draw // 64 % 4)
    # Ours are no UUIDs; under this scheme every reader takes what follows for the record's name.
    yield _record("response", block, url, f"<urn:uuid:{id_}>")
    if draw // 256 % _EVERY == 0:
        yield _record("response", _OTHERS[draw // 4096 % len(_OTHERS)], f"{url.partition('#')[0]}?other")


def _sent(url: str, text: str, draw: int) -> tuple[str, bytes]:
    """Return the Content-Type that a page is sent with, and its bytes: most are UTF-8, and say so in one place."""
    if draw == 0:
        return "text/html", html_of(url, text, "utf-8").encode()
    if draw == 1:
        try:
            return "text/html", html_of(url, text, "windows-1252").encode("cp1252")
        except UnicodeEncodeError:
            pass
    if draw == 2:
        return "text/html", b"\xff\xfe" + html_of(url, text).encode("utf-16-le")
    return "text/html; charset=UTF-8", html_of(url, text).encode()


def _answer(content_type: str, body: bytes, draw: int) -> bytes:
    """Return a server's answer with a page, its body plain, packed or in chunks."""
    if draw == 1:
        header, body = "Content-Encoding: gzip\r\n", _packed(body)
    elif draw == 2:
        header, body = "Content-Encoding: deflate\r\n", zlib.compress(body)
    elif draw == 3:
        chunks = [body[at : at + 4096] for at in range(0, len(body), 4096)]
        header = "Transfer-Encoding: chunked\r\n"
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    else:
        header = f"Content-Length: {len(body)}\r\n"
    return f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{header}\r\n".encode() + body


_OTHERS = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html><body><h1>Not Found</h1></body></html>",
    b"HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/html\r\nLocation: /moved/\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nUser-agent: *\nDisallow: /search/\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.4\n%%EOF\n",
)


def _record(kind: str, block: bytes, url: str = "", name: str = "") -> bytes:
    lines = ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Date: {DATE}", f"Content-Length: {len(block)}"]
    lines += [f"WARC-Target-URI: {url}"] * bool(url) + [f"WARC-Record-ID: {name}"] * bool(name)
    return "\r\n".join([*lines, "", ""]).encode() + block + b"\r\n\r\n"


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)
