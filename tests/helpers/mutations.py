"""Records as no crawler should write them, and some do: sound ones, changed at random by a seed."""

import gzip
import random
import zlib
from collections.abc import Sequence

import brotli
from warc_files import answer, record

_PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": lambda data: brotli.compress(data, quality=1)}
_LABELS = ("utf-8", "utf-16", "shift_jis", "windows-1252", "gb2312", "iso-2022-jp", "x-user-defined", "nobody", "\xff")
_ENTITIES = (b"&amp", b"&#x110000;", b"&#0;", b"&#xd800;", b"&;", b"&" + b"a" * 5_000, b"&#" + b"9" * 500 + b";")


def mutated(random_: random.Random, bodies: Sequence[bytes], depth: int = 10_000) -> bytes:
    """Return a packed record: a page of `bodies`, changed in its HTML, its encodings, HTTP's head, WARC's or gzip's."""
    body = bytearray(random_.choice(bodies))
    for change in random_.sample(_OF_HTML, random_.randrange(3)):
        change(random_, body, depth)
    headers = {"Content_Type": f"text/html; charset={random_.choice(_LABELS)}"}
    data = bytes(body)
    if random_.random() < 0.4:
        name, pack = random_.choice(list(_PACKERS.items()))
        headers["Content_Encoding"] = random_.choice([name, *_PACKERS])
        data = pack(data)
    if random_.random() < 0.2:
        headers["Transfer_Encoding"] = "chunked"
        data = b"%x\r\n%s\r\n0\r\n\r\n" % (random_.choice([len(data), 0, 1, 10**9]), data)
    whole = bytearray(record("response", answer(data, **headers), "https://example.org/"))
    if random_.random() < 0.4:
        _bytes(random_, whole, 0, min(len(whole), 600))
    if random_.random() < 0.2:
        length = b"Content-Length: %d" % random_.choice([0, 1, 10**6, 10**14, 10**30, -1])
        whole = bytearray(whole.replace(b"Content-Length: ", length, 1))
    packed = bytearray(gzip.compress(bytes(whole), 1))
    if random_.random() < 0.3:
        _bytes(random_, packed, 0, len(packed))
    return bytes(packed[: random_.randrange(len(packed))] if random_.random() < 0.1 else packed)


def _bytes(random_: random.Random, data: bytearray, first: int, last: int) -> None:
    for _ in range(random_.choice([1, 1, 3, 20])):
        data[random_.randrange(first, last)] = random_.randrange(256)


def _nested(random_: random.Random, body: bytearray, depth: int) -> None:
    tag = random_.choice(
        [b"div", b"b", b"table", b"a href=x", b"li", b"svg", b"select", b"template", b"font", b"p", b"h1"]
    )
    place = random_.randrange(len(body) + 1)
    body[place:place] = b"<%s>" % tag * depth


def _entities(random_: random.Random, body: bytearray, depth: int) -> None:
    place = random_.randrange(len(body) + 1)
    body[place:place] = b"".join(random_.choice(_ENTITIES) for _ in range(20))


def _attributes(random_: random.Random, body: bytearray, depth: int) -> None:
    place = random_.randrange(len(body) + 1)
    many = b" ".join(b'a%d="%s"' % (n, b'>"<' * random_.randrange(3)) for n in range(depth // 10))
    body[place:place] = b"<div class=" + b"x " * depth + many + b">"


def _noise(random_: random.Random, body: bytearray, depth: int) -> None:
    place = random_.randrange(len(body) + 1)
    body[place:place] = random_.randbytes(random_.randrange(2_000))


def _flips(random_: random.Random, body: bytearray, depth: int) -> None:
    if body:
        _bytes(random_, body, 0, len(body))


def _cut(random_: random.Random, body: bytearray, depth: int) -> None:
    del body[random_.randrange(len(body) + 1) :]


_OF_HTML = [_nested, _entities, _attributes, _noise, _flips, _cut]
