"""Records as no crawler should write them, and some do: sound ones, changed at random by a seed."""

import gzip
import random
import zlib
from collections.abc import Sequence

import brotli
import zstandard
from warc_files import Pack, answer, record

_PACKERS: dict[str, Pack] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.compress,
}
_CODECS = ("utf-16", "utf-32", "shift_jis", "euc_jp", "iso2022_jp", "gb18030", "big5", "koi8-r", "cp1256", "cp037")
_LABELS = ("utf-8", "utf-16", "shift_jis", "windows-1252", "gb2312", "iso-2022-jp", "x-user-defined", "nobody", "\xff")
_ENTITIES = (b"&amp", b"&#x110000;", b"&#0;", b"&#xd800;", b"&;", b"&" + b"a" * 5_000, b"&#" + b"9" * 500 + b";")


def mutated(random_: random.Random, bodies: Sequence[bytes], pack: Pack = gzip.compress, depth: int = 10_000) -> bytes:
    """Return a packed record, of WARC or WET: a page of `bodies`, changed in its HTML, its characters, its encodings,
    HTTP's head, WARC's, or as it is packed."""
    body = bytearray(random_.choice(bodies))
    for change in random_.sample(_OF_HTML, random_.randrange(3)):
        change(random_, body, depth)
    data = bytes(body)
    if random_.random() < 0.2:
        data = data.decode(errors="replace").encode(random_.choice(_CODECS), "replace")
    if random_.random() < 0.15:
        whole = bytearray(record("conversion", data, "https://example.org/", Content_Type="text/plain"))
    else:
        whole = bytearray(record("response", _answer(random_, data), "https://example.org/"))
    if random_.random() < 0.4:
        _bytes(random_, whole, 0, min(len(whole), 600))
    if random_.random() < 0.2:
        length = b"Content-Length: %d" % random_.choice([0, 1, 10**6, 10**14, 10**30, -1])
        whole = bytearray(whole.replace(b"Content-Length: ", length, 1))
    packed = bytearray(pack(bytes(whole)))
    if random_.random() < 0.3:
        _bytes(random_, packed, 0, len(packed))
    return bytes(packed[: random_.randrange(len(packed))] if random_.random() < 0.1 else packed)


def _answer(random_: random.Random, data: bytes) -> bytes:
    """Return what a server sends of a page, packed up to three times, and what it says of that."""
    headers = {"Content_Type": f"text/html; charset={random_.choice(_LABELS)}"}
    names = random_.choices(list(_PACKERS), k=random_.choice([0, 0, 0, 1, 1, 2, 3]))
    for name in names:
        data = _PACKERS[name](data)
    if names:
        told = names if random_.random() < 0.7 else random_.sample(list(_PACKERS), len(names))
        headers["Content_Encoding"] = ", ".join(told)
    if random_.random() < 0.2:
        headers["Transfer_Encoding"] = "chunked"
        data = b"%x\r\n%s\r\n0\r\n\r\n" % (random_.choice([len(data), 0, 1, 10**9]), data)
    return answer(data, **headers)


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
