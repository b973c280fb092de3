"""Small crawl archives, made byte by byte as crawlers write them."""

import gzip
import zlib
from collections.abc import Callable, Sequence

Pack = Callable[[bytes], bytes]


def record(kind: str, block: bytes, uri: str = "", **headers: str) -> bytes:
    """Return a record of WARC/1.0. headers: further ones, `_` for `-`."""
    lines = [f"WARC-Type: {kind}", "WARC-Date: 2024-05-18T01:58:10Z", f"Content-Length: {len(block)}"]
    lines += [f"WARC-Target-URI: {uri}"] * bool(uri)
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return b"WARC/1.0\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return what a server sends. headers: `_` for `-`; text/html where no Content-Type is given."""
    headers = {"Content_Type": "text/html; charset=utf-8"} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return f"HTTP/1.1 {status}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def html(number: int, words: str = "") -> bytes:
    """Return a page with a paragraph that names its number."""
    text = (
        words or f"This is the paragraph of page number {number}, long enough to be taken for what the page says. " * 3
    )
    head = f"<!DOCTYPE html><html lang='en'><head><title>Page {number}</title></head>"
    return f"{head}<body><article><p>{text}</p></article></body></html>".encode()


def responses(count: int) -> list[bytes]:
    """Return the records of so many sound pages."""
    return [
        record("response", answer(html(n)), f"https://example.org/{n}", WARC_Record_ID=f"<urn:uuid:{n}>")
        for n in range(count)
    ]


def archive(records: Sequence[bytes], pack: Pack = gzip.compress) -> bytes:
    """Return an archive of these records, each packed by itself."""
    return b"".join(pack(each) for each in records)


def bomb(size: int, head: bytes) -> bytes:
    """Return a gzip member of `head` and zeros, `size` bytes in all."""
    packer = zlib.compressobj(9, wbits=31)
    parts, block = [packer.compress(head)], bytes(1 << 20)
    for _ in range(size >> 20):
        parts.append(packer.compress(block))
    return b"".join([*parts, packer.flush()])
