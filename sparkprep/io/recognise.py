"""What a file is by its first bytes, or else by its name: so that a message can say it, and how to convert it."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
import zlib
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from sparkprep.commands import command
from sparkprep.errors import UserError
from sparkprep.io.files import cause, open_input
from sparkprep.io.paths import is_local

PARQUET_MAGIC, PARQUET_KIND = b"PAR1", "Parquet"
MAGIC_BYTES = 4096
"""Bytes that `what_is` needs for the forms that a magic number tells."""
HEAD_BYTES = 1 << 20
"""Bytes from which it can be seen whether a JSON file holds documents."""
JSON_ARRAY, INDENTED_JSON, JSON_LINES = "a JSON array", "indented JSON", "JSON Lines"
_PYTHON = shlex.quote(sys.executable or "python3")
"""The one that has PyArrow and pandas; another of its name need not have them."""
_UNPACK = {"gzip": "gunzip -c", "zstd": "zstd -dc"}
_GZIP = b"\x1f\x8b"
CODEC_NAMES = {"gzip": "gzip", "zstd": "Zstandard"}
"""Kind of a compressed file by the name that Arrow gives its codec."""


class Recognised(NamedTuple):
    """What a file is, as it stands in a sentence after "it is", and how to make of it what can be read.

    In `advice` the word FILE stands for the file, and NEW for any new name; but for that a command runs as it stands.
    by_us: the words of the command of ours that does it, from S3 and of packed files too; `advice` goes on behind it.
    """

    kind: str
    advice: str
    by_us: tuple[str, ...] = ()

    def told(self, path: str, codec: str | None = None, folder: str = "") -> str:
        """Return "it is KIND: ADVICE" of the file at a path, its commands as they are typed into a shell (bash).

        codec: what unpacks the file, by Arrow's name, where it is its content that was recognised. folder: the input
        that it was met in, which a command of ours takes whole.
        """
        advice = self.advice
        if self.by_us:
            words = [(folder or path) if word == "FILE" else word for word in self.by_us]
            return f"it is {self.kind}: `{command(*words)}` {advice}"
        if "FILE" in advice and not is_local(path):
            advice = f"fetch it (aws s3 cp {shlex.quote(path)} .), then {advice}"
            path = path.rpartition("/")[2]
        file = shlex.quote(path)
        return f"it is {self.kind}: {advice.replace('FILE', f'<({_UNPACK[codec]} {file})' if codec else file)}"


def _by_arrow(module: str, table: str) -> str:
    """Return the advice to write a file as Parquet with a line of Python, which makes an Arrow table of `sys.argv[1]`.

    It stands in double quotes, in which a shell minds $, ` and the backslash before these alone.
    """
    line = f"import sys, {module}, pyarrow.parquet; pyarrow.parquet.write_table({table}, 'NEW.parquet')"
    return f'write it as Parquet: {_PYTHON} -c "{line}" FILE'


def _by_pandas(separator: str) -> str:
    """Return the advice to write a table of texts as Parquet, every value as the text that it is."""
    table = f"pandas.read_csv(sys.argv[1], sep='{separator}', dtype=str, keep_default_na=False)"
    return f"write it as Parquet: {_PYTHON} -c \"import sys, pandas; {table}.to_parquet('NEW.parquet')\" FILE"


_EXTRACTED = "makes documents of it, in pages/"
_WARC = Recognised("an archive of a crawl", _EXTRACTED, ("extract", "--input", "FILE", "--output", "pages"))
_MISNAMED_WARC = Recognised(
    "a WARC archive by its content, to be named NEW.warc (packed: NEW.warc.gz)",
    _EXTRACTED,
    ("extract", "--input", "NEW.warc", "--output", "pages"),
)
_WAT = Recognised("a WAT archive, which has no texts", "take the WARC or WET archives of the same crawl")
_WARC_MAGIC = b"WARC/"
_ARCHIVES = (
    (re.compile(r"\.wat(\.\w+)?$", re.IGNORECASE), _WAT),
    (re.compile(r"\.(warc|wet)(\.\w+)?$", re.IGNORECASE), _WARC),
)
"""What an archive's name ends in -> what it is."""
_FETCH_AGAIN = "fetch the file itself"
_TAKE_TEXTS = "take the texts that it was made of"
_TAR = Recognised("a tar archive", "unpack it: tar -xf FILE")
_TAR_PLACE, _TAR_MAGIC = 257, b"ustar"
_SHARD = "a shard of tokens of llm.c, not documents"
_MAGIC = (
    (PARQUET_MAGIC, PARQUET_KIND, "name it .parquet"),
    (b"PARE", "encrypted Parquet", "write it anew without encryption"),
    (
        _GZIP,
        CODEC_NAMES["gzip"],
        "name it .jsonl.gz if it holds JSON Lines, or unpack it: gunzip -c FILE > NEW",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        CODEC_NAMES["zstd"],
        "name it .jsonl.zst if it holds JSON Lines, or unpack it: zstd -dc FILE > NEW",
    ),
    (b"BZh", "bzip2", "pack it anew: bunzip2 -c FILE | gzip > NEW.jsonl.gz"),
    (b"\xfd7zXZ\x00", "xz", "pack it anew: xz -dc FILE | gzip > NEW.jsonl.gz"),
    (b"\x04\x22\x4d\x18", "LZ4", "pack it anew: lz4 -dc FILE | gzip > NEW.jsonl.gz"),
    (b"\xff\x06\x00\x00sNaPpY", "Snappy", "unpack it, and name it .jsonl if it holds JSON Lines"),
    (b"PK\x03\x04", "a ZIP archive", "unpack it: python3 -m zipfile -e FILE NEW"),
    (b"PK\x05\x06", "a ZIP archive of no files", "leave it out"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x FILE"),
    (b"ARROW1", "an Arrow file", _by_arrow("pyarrow.feather", "pyarrow.feather.read_table(sys.argv[1])")),
    (b"\xff\xff\xff\xff", "an Arrow stream", _by_arrow("pyarrow", "pyarrow.ipc.open_stream(sys.argv[1]).read_all()")),
    (b"FEA1", "a Feather file", _by_arrow("pyarrow.feather", "pyarrow.feather.read_table(sys.argv[1])")),
    (b"ORC", "ORC", _by_arrow("pyarrow.orc", "pyarrow.orc.read_table(sys.argv[1])")),
    (b"Obj\x01", "Avro", "write it as Parquet, in Spark: spark.read.format('avro').load('PATH').write.parquet('NEW')"),
    (int.to_bytes(20240520, 4, "little"), _SHARD, _TAKE_TEXTS),  # as `llmc.header` has it, which stands above this
    (int.to_bytes(20240801, 4, "little"), _SHARD, _TAKE_TEXTS),
    (b"SQLite format 3\x00", "an SQLite database", "export its table as Parquet or JSON Lines"),
    (b"\x89HDF\r\n", "HDF5", "export its table as Parquet or JSON Lines"),
    (b"version https://git-lfs", "a Git LFS pointer", f"{_FETCH_AGAIN}: git lfs pull"),
    (b"\xff\xfe\x00\x00", "UTF-32", "write it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE > NEW"),
    (b"\xff\xfe", "UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    (b"\xfe\xff", "UTF-16", "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
)
_UTF_16 = ((re.compile(rb"[{\[]\x00"), "UTF-16LE"), (re.compile(rb"\x00[{\[]"), "UTF-16BE"))
_MARKUP = re.compile(rb"<(?:!doctype|html|head|\?xml|error)\b", re.IGNORECASE)
_INDENTED = re.compile(rb"\{[ \t\r]*\n\s*[\"}]")
_PACKED_TAR = re.compile(r"\.(tgz|tar\.\w+)$", re.IGNORECASE)
_PACKED_TABLE = re.compile(r"\.(csv|tsv)\.(gz|bz2|xz|zip|zst)$", re.IGNORECASE)
_COLUMN = re.compile(r"[A-Za-z_][\w .-]{0,60}")
_ROWS_OF_TABLE = 10
_SEPARATORS = {"csv": ",", "tsv": "\t"}
_TABLES = {
    ",": Recognised("CSV", _by_pandas(",")),
    "\t": Recognised("a table with tabs between its values", _by_pandas("\\t")),
    ";": Recognised("CSV with semicolons", _by_pandas(";")),
}
"""What separates the values -> what that is."""
DATASET_NOTES = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json")
"""Under these names Hugging Face's libraries write of a data set, one JSON object in each."""
_LINES_ARE_UTF8 = b"\xef\xbb\xbf"


def what_is(head: bytes, name: str = "") -> Recognised | None:
    """Return what a file is that begins with `head`, and the way to convert it; None where nothing tells that.

    A few bytes tell most forms. Forms of JSON, and tables of texts, show in the first lines: hand over as much as is at
    hand. name: of the file, for what the bytes do not tell.
    """
    if len(head) >= 8 and not head.strip(b"\x00"):
        return Recognised("nothing but zero bytes", "restore it")
    text = head.removeprefix(_LINES_ARE_UTF8).lstrip()
    return (
        _archive(head, name)
        or _packed_by_name(name)
        or binary_kind(head)
        or _form_of_text(text)
        or _table_by_name(name)
    )


def _archive(head: bytes, name: str) -> Recognised | None:
    """Return which archive of a crawl a file is, by its name or by what it begins with, packed or not."""
    for pattern, kind in _ARCHIVES:
        if pattern.search(name):
            return kind
    with suppress(zlib.error):
        plain = zlib.decompressobj(31).decompress(head, len(_WARC_MAGIC)) if head.startswith(_GZIP) else head
        return _MISNAMED_WARC if plain.startswith(_WARC_MAGIC) else None
    return None


def is_archive(path: str) -> bool:
    """Return whether a file is an archive of a crawl by its name, from which `sparkprep extract` makes documents."""
    return any(kind is _WARC and pattern.search(path) for pattern, kind in _ARCHIVES)


def binary_kind(head: bytes) -> Recognised | None:
    """Return what a file is that begins with the magic number of a form that is no text in UTF-8; else None."""
    if head.startswith(_WARC_MAGIC):
        return _MISNAMED_WARC
    if head[_TAR_PLACE:].startswith(_TAR_MAGIC):
        return _TAR
    for magic, kind, advice in _MAGIC:
        if head.startswith(magic):
            return Recognised(kind, advice)
    for pattern, encoding in _UTF_16:
        if pattern.match(head):
            return Recognised("UTF-16", f"write it as UTF-8: iconv -f {encoding} -t UTF-8 FILE > NEW")
    return None


def _packed_by_name(name: str) -> Recognised | None:
    """Return what a compressed file is within, where its name tells it: its bytes tell the compression alone."""
    if _PACKED_TAR.search(name):
        return _TAR
    table = _PACKED_TABLE.search(name)
    return _TABLES[_SEPARATORS[table[1].lower()]] if table else None  # pandas unpacks by the name, too


def _table_by_name(name: str) -> Recognised | None:
    return _TABLES.get(_SEPARATORS.get(name.rpartition(".")[2].lower(), ""))


def _form_of_text(text: bytes) -> Recognised | None:
    if _MARKUP.match(text):
        return Recognised("a web page or XML, perhaps an error message in place of the file", _FETCH_AGAIN)
    if text.startswith(b"["):
        return Recognised(JSON_ARRAY, "write a line for each: jq -c '.[]' FILE > NEW.jsonl")
    return _form_of_objects(text) if text.startswith(b"{") else _form_of_table(text)


def _form_of_table(text: bytes) -> Recognised | None:
    """Return what a table of texts is that begins here with its columns' names; None where it is none.

    The rows after the names have as many values, those at least that are not cut.
    """
    lines = text.decode("utf-8", "ignore").splitlines(keepends=True)[:_ROWS_OF_TABLE]
    for separator, table in _TABLES.items():
        try:
            names, *rows = csv.reader(lines, delimiter=separator)
        except (csv.Error, ValueError):
            continue
        whole = rows[:-1] or rows
        if len(names) > 1 and all(map(_COLUMN.fullmatch, names)) and {len(row) for row in whole} == {len(names)}:
            return table
    return None


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
        if codec is not None:
            with suppress(OSError), open_input(path) as stream, pa.CompressedInputStream(stream, codec) as plain:
                return bytes(plain.read(size))
        with open_input(path) as stream:
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


def is_one_object(head: bytes, whole: bool) -> bool:
    """Return whether a JSON file is one object, or may be by its beginning: laid out over lines, or one long line.

    The arguments are those of `holds_documents`.
    """
    text = head.removeprefix(_LINES_ARE_UTF8)
    if whole:
        return isinstance(_parsed(text), dict)
    return _INDENTED.match(text) is not None or (text.startswith(b"{") and b"\n" not in text)


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _is_document(value: Any, text_column: str) -> bool:
    return isinstance(value, dict) and isinstance(value.get(text_column, 0), str | None)
