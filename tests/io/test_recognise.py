"""What a file is said to be by its first bytes: real files of each kind, made by what usually makes them."""

import bz2
import gzip
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
import zstandard

from sparkprep.errors import UserError
from sparkprep.io.recognise import holds_documents, read_head, what_is

TABLE = pa.table({"n": [1, 2], "text": ["one", "two"]})
RECORDS = [{"n": 1, "text": "eins"}, {"n": 2, "text": "zwei ü"}]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)


def stream(path: Path) -> None:
    with pa.ipc.new_stream(str(path), TABLE.schema) as writer:
        writer.write_table(TABLE)


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (text)")


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.jsonl", LINES)


def content(data: bytes | str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data if isinstance(data, bytes) else data.encode(encoding))


@pytest.mark.parametrize(
    ("write", "kind", "advice"),
    [
        (lambda path: pq.write_table(TABLE, path), "Parquet", ".parquet"),
        (lambda path: feather.write_feather(TABLE, path), "an Arrow file", "pyarrow.feather.read_table"),
        (stream, "an Arrow stream", "open_stream"),
        (lambda path: orc.write_table(TABLE, path), "ORC", 'format("orc")'),
        (content(b"Obj\x01\x04\x14avro.codec\x08null"), "Avro", 'format("avro")'),
        (database, "an SQLite database", "export"),
        (archive, "a ZIP archive", "unzip"),
        (content(gzip.compress(LINES.encode())), "gzip", "gunzip -c FILE"),
        (content(bz2.compress(LINES.encode())), "bzip2", "bunzip2 -c FILE"),
        (content(lzma.compress(LINES.encode())), "xz", "xz -dc FILE"),
        (content(zstandard.compress(LINES.encode())), "Zstandard", "zstd -d FILE"),
        (content(LINES, "utf-16"), "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE"),
        (content(LINES, "utf-16-le"), "UTF-16", "iconv -f UTF-16LE"),
        (content(LINES, "utf-16-be"), "UTF-16", "iconv -f UTF-16BE"),
        (content(LINES, "utf-32"), "UTF-32", "iconv -f UTF-32"),
        (content(b"\0" * 100), "nothing but zero bytes", "restore"),
        (content("\n<!DOCTYPE html>\n<html>404</html>"), "a web page or XML", "fetch"),
        (content('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), "a web page or XML", "fetch"),
        (content("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a Git LFS pointer", "git lfs pull"),
        (content(json.dumps(RECORDS)), "a JSON array", "jq -c '.[]' FILE"),
        (content("\ufeff" + json.dumps(RECORDS, indent=1)), "a JSON array", "jq -c '.[]' FILE"),
        (content("\n".join(json.dumps(r, indent=4) for r in RECORDS)), "indented JSON", "jq -c . FILE"),
        (content('{"n": 1,\n "text": "eins"}\n'), "indented JSON", "jq -c . FILE"),
        (content(LINES.replace("\n", "\r")), "JSON whose lines end in CR", "tr '\\r' '\\n'"),
        (content(LINES.replace("\n", " ")), "JSON without line feeds between its objects", "jq -c . FILE"),
        (content(str(RECORDS[0])), "what Python prints of a dictionary", "json.dumps"),
        (content(LINES), "JSON Lines", "name it .jsonl"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(
    tmp_path: Path, write: Callable[[Path], object], kind: str, advice: str
) -> None:
    write(tmp_path / "x")
    recognised = what_is((tmp_path / "x").read_bytes())
    assert recognised is not None
    assert recognised.kind.startswith(kind)
    assert advice in recognised.advice


@pytest.mark.parametrize(
    "head", [b"", b"\0", b"id,text\n1,comma-separated\n", b"{ no JSON }", "größer".encode("latin-1")]
)
def test_nothing_is_said_where_the_bytes_tell_nothing(head: bytes) -> None:
    assert what_is(head) is None


def test_a_long_first_line_cut_in_a_character_is_no_trouble() -> None:
    assert what_is(json.dumps({"text": "ü" * 100}, ensure_ascii=False).encode()[:51]) is None


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        (LINES, True),
        ('{"n": 1}\n' + LINES, True),
        ('{"text": null}', True),
        (json.dumps(RECORDS, indent=2), True),
        (json.dumps(RECORDS[1], indent=2), True),
        ("\n".join(json.dumps(record, indent=2) for record in RECORDS), True),
        ("\n".join(json.dumps({"text_bytes": n}, indent=2) for n in range(3)), False),
        ('{"features": {"text": {"dtype": "string"}}}\n', False),
        ('{"schema": {"text": "string"}}\n', False),
        ('{"text": {"dtype": "string"}}\n', False),
        (json.dumps({"words": {"text": 3}, "text_bytes": 9}, indent=2), False),
        (json.dumps(["text", "id"]), False),
        ("", False),
        ("no JSON", False),
    ],
)
def test_documents_are_told_from_what_is_said_about_them(text: str, documents: bool) -> None:
    assert holds_documents(text.encode(), True, "text") is documents


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ('[{"id": 1, "text": "a document of many byt', True),
        ('{"text": "a document of many byt', True),
        ('[{"id": 1, "body": "a document of many byt', False),
        ('{"id": 1, "meta": {"text": "x"}}\n{"id": 2, "me', False),
        ('{\n  "text": {\n    "dtype": "str', False),
    ],
)
def test_of_a_long_file_the_beginning_tells(text: str, documents: bool) -> None:
    assert holds_documents(text.encode(), False, "text") is documents


def test_the_head_of_a_packed_file_is_unpacked_and_of_one_that_is_none_read_as_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(LINES.encode()))
    (tmp_path / "b").write_bytes(LINES.encode())
    assert read_head(str(tmp_path / "a"), 9, "gzip") == LINES.encode()[:9]
    assert read_head(str(tmp_path / "b"), 9, "gzip") == LINES.encode()[:9]
    with pytest.raises(UserError, match=f"^{tmp_path}/c: "):
        read_head(str(tmp_path / "c"), 9)
