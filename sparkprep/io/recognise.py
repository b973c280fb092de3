"""What a file is by its first bytes, whatever its name: so that a message can say it, and how to convert it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input

PARQUET_MAGIC, PARQUET_KIND = b"PAR1", "Parquet"
MAGIC_BYTES = 4096
"""Bytes that `what_is` needs for the forms that a magic number tells."""
HEAD_BYTES = 1 << 20
"""Bytes from which it can be seen whether a JSON file holds documents."""
JSON_ARRAY, INDENTED_JSON, JSON_LINES = "a JSON array", "indented JSON", "JSON Lines"
CODEC_NAMES = {"gzip": "gzip", "zstd": "Zstandard"}
"""Kind of a compressed file by the name that Arrow gives its codec."""


class Recognised(NamedTuple):
    """What a file is, as it stands in a sentence after "it is", and how to make of it what can be read."""

    kind: str
    advice: str


def _spark(form: str) -> str:
    return f'write it as Parquet: spark.read.format("{form}").load("FILE").write.parquet("NEW")'


_FETCH_AGAIN = "fetch the file itself"
_MAGIC = (
    (PARQUET_MAGIC, PARQUET_KIND, "name it .parquet"),
    (b"PARE", "encrypted Parquet", "write it anew without encryption"),
    (b"\x1f\x8b", CODEC_NAMES["gzip"], "name it .jsonl.gz if it holds JSON Lines, or unpack it: gunzip -c FILE > NEW"),
    (b"\x28\xb5\x2f\xfd", CODEC_NAMES["zstd"], "name it .jsonl.zst if it holds JSON Lines, or unpack it: zstd -d FILE"),
    (b"BZh", "bzip2", "pack it anew: bunzip2 -c FILE | gzip > NEW.jsonl.gz"),
    (b"\xfd7zXZ\x00", "xz", "pack it anew: xz -dc FILE | gzip > NEW.jsonl.gz"),
    (b"\x04\x22\x4d\x18", "LZ4", "pack it anew: lz4 -dc FILE | gzip > NEW.jsonl.gz"),
    (b"\xff\x06\x00\x00sNaPpY", "Snappy", "unpack it, and name it .jsonl if it holds JSON Lines"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it: unzip FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x FILE"),
    (
        b"ARROW1",
        "an Arrow file",
        "write it as Parquet: pyarrow.parquet.write_table(pyarrow.feather.read_table('FILE'), 'NEW.parquet')",
    ),
    (
        b"\xff\xff\xff\xff",
        "an Arrow stream",
        "write it as Parquet: pyarrow.parquet.write_table(pyarrow.ipc.open_stream('FILE').read_all(), 'NEW.parquet')",
    ),
    (b"FEA1", "a Feather file", "write it as Parquet: pandas.read_feather('FILE').to_parquet('NEW.parquet')"),
    (b"ORC", "ORC", _spark("orc")),
    (b"Obj\x01", "Avro", _spark("avro")),
    (b"SQLite format 3\x00", "an SQLite database", "export its table as Parquet or JSON Lines"),
    (b"\x89HDF\r\n", "HDF5", "export its table as Parquet or JSON Lines"),
    (b"version https://git-lfs", "a Git LFS pointer", f"{_FETCH_AGAIN}: git lfs pull"),
    (b"WARC/", "a WARC archive", "take its texts out first, for instance with the packages warcio and resiliparse"),
    (b"\xff\xfe\x00\x00", "UTF-32", "write it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE > NEW"),
    (b"\xff\xfe", "UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    (b"\xfe\xff", "UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
)
_UTF_16 = ((re.compile(rb"[{\[]\x00"), "UTF-16LE"), (re.compile(rb"\x00[{\[]"), "UTF-16BE"))
_MARKUP = re.compile(rb"<(?:!doctype|html|head|\?xml|error)\b", re.IGNORECASE)
_INDENTED = re.compile(rb"\{[ \t\r]*\n\s*[\"}]")
_LINES_ARE_UTF8 = b"\xef\xbb\xbf"


def what_is(head: bytes) -> Recognised | None:
    """Return what a file is that begins with `head`, and the way to convert it; None where the bytes tell nothing.

    A few bytes tell most forms. Forms of JSON show in the first line or two: hand over as much as is at hand.
    """
    if len(head) >= 8 and not head.strip(b"\x00"):
        return Recognised("nothing but zero bytes", "restore it")
    for magic, kind, advice in _MAGIC:
        if head.startswith(magic):
            return Recognised(kind, advice)
    for pattern, encoding in _UTF_16:
        if pattern.match(head):
            return Recognised("UTF-16", f"write it as UTF-8: iconv -f {encoding} -t UTF-8 FILE > NEW")
    text = head.removeprefix(_LINES_ARE_UTF8).lstrip()
    if _MARKUP.match(text):
        return Recognised("a web page or XML, perhaps an error message in place of the file", _FETCH_AGAIN)
    if text.startswith(b"["):
        return Recognised(JSON_ARRAY, "write a line for each: jq -c '.[]' FILE > NEW.jsonl")
    return _form_of_objects(text) if text.startswith(b"{") else None


def _form_of_objects(text: bytes) -> Recognised | None:
    """Return how JSON objects are laid out that begin here; None where it is not JSON."""
    if text.startswith(b"{'"):
        return Recognised("what Python prints of a dictionary, not JSON", "write it with json.dumps")
    one_a_line = "write each on a line of its own: jq -c . FILE > NEW.jsonl"
    if _INDENTED.match(text):
        return Recognised(INDENTED_JSON, one_a_line)
    if b"\n" not in text and re.search(rb"\}[ \t]*\r+[ \t]*\{", text):
        return Recognised("JSON whose lines end in CR", "write line feeds: tr '\\r' '\\n' < FILE > NEW.jsonl")
    decoded = text.decode("utf-8", "ignore")
    try:
        _, end = json.JSONDecoder().raw_decode(decoded)
    except (ValueError, RecursionError):
        return None
    if "\n" in decoded[:end]:
        return Recognised(INDENTED_JSON, one_a_line)
    if decoded[end:].split("\n", 1)[0].strip():
        return Recognised("JSON without line feeds between its objects", one_a_line)
    return Recognised(JSON_LINES, "name it .jsonl")


def read_head(path: str, size: int, codec: str | None = None) -> bytes:
    """Return the first `size` bytes of a file, unpacked by Arrow's `codec`; as they lie where that is not possible.

    Raises UserError naming the file where it cannot be read.
    """
    try:
        with open_input(path) as stream:
            if codec is not None:
                try:
                    with pa.CompressedInputStream(stream, codec) as plain:
                        return bytes(plain.read(size))
                except OSError:
                    stream = open_input(path)
            with stream:
                return bytes(stream.read(size))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {cause(error)}; restore the file or leave it out") from error


def holds_documents(head: bytes, whole: bool, text_column: str) -> bool:
    """Return whether a JSON file holds documents: objects with a text in `text_column`, one on a line or otherwise.

    head: its first HEAD_BYTES, `whole` if that is all of it. Of what is neither lines of JSON nor one text of it, or is
    longer, a text under that name at any depth is enough.
    """
    pieces = head.removeprefix(_LINES_ARE_UTF8).split(b"\n")
    lines = [_parsed(piece) for piece in (pieces if whole else pieces[:-1])]
    if any(_is_document(line, text_column) for line in lines):
        return True
    if any(isinstance(line, dict) for line in lines):
        return False
    content = _parsed(head.removeprefix(_LINES_ARE_UTF8)) if whole else None
    if content is not None:
        return any(_is_document(each, text_column) for each in (content if isinstance(content, list) else [content]))
    return re.search(rb"%b\s*:\s*\"" % re.escape(json.dumps(text_column).encode()), head) is not None


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _is_document(value: Any, text_column: str) -> bool:
    return isinstance(value, dict) and isinstance(value.get(text_column, 0), str | None)
