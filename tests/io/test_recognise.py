"""What a file is said to be by its first bytes: real files of each kind, made by what usually makes them."""

import bz2
import gzip
import json
import lzma
import re
import shlex
import shutil
import sqlite3
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
import warc_files
import zstandard
from warc_files import record

from sparkprep import cli
from sparkprep.cli import main
from sparkprep.errors import UserError
from sparkprep.extract.archives import LIST_PREFIX, list_archives
from sparkprep.io.recognise import HEAD_BYTES, MAGIC_BYTES, holds_documents, read_head, what_is

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
        (lambda path: orc.write_table(TABLE, path), "ORC", "pyarrow.orc.read_table"),
        (content(b"Obj\x01\x04\x14avro.codec\x08null"), "Avro", "format('avro')"),
        (database, "an SQLite database", "export"),
        (archive, "a ZIP archive", "zipfile -e"),
        (content(gzip.compress(LINES.encode())), "gzip", "gunzip -c FILE"),
        (content(bz2.compress(LINES.encode())), "bzip2", "bunzip2 -c FILE"),
        (content(lzma.compress(LINES.encode())), "xz", "xz -dc FILE"),
        (content(zstandard.compress(LINES.encode())), "Zstandard", "zstd -dc FILE"),
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
    ("name", "data", "kind", "way_out"),
    [
        (
            "a.warc.gz",
            gzip.compress(record("warcinfo", b"x"), mtime=0),
            "an archive of a crawl",
            "extract --input s3://b/a.warc.gz ",
        ),
        ("A.WARC.WET.zst", b"", "an archive of a crawl", "extract --input s3://b/A.WARC.WET.zst --output pages"),
        ("a.warc.wat.gz", b"", "a WAT archive, which has no texts", "take the WARC or WET archives"),
        (
            "a.gz",
            gzip.compress(record("warcinfo", b"x" * 9_000), mtime=0),
            "a WARC archive by its content",
            "--input NEW.warc ",
        ),
        ("a.dat", record("warcinfo", b"x"), "a WARC archive by its content", "--input NEW.warc "),
    ],
)
def test_an_archive_of_a_crawl_is_known_by_name_and_content_and_the_way_out_is_our_command(
    name: str, data: bytes, kind: str, way_out: str
) -> None:
    recognised = what_is(data[:MAGIC_BYTES], name)
    assert recognised is not None
    told = recognised.told(f"s3://b/{name}")
    assert told.startswith(f"it is {kind}")
    assert way_out in told
    assert "aws s3 cp" not in told


@pytest.mark.parametrize("verb", ["dedup", "filter", "tokenize"])
def test_a_job_of_documents_names_the_command_for_archives_that_runs_as_it_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (folder := tmp_path / "crawl data").mkdir()
    (folder / "README").write_text("x")
    (folder / "a.warc.gz").write_bytes(warc_files.archive(warc_files.responses(1)))
    for given in (folder / "a.warc.gz", folder):
        assert main([verb, "--input", str(given), "--output", str(tmp_path / "out")]) == 2
        printed = re.search(r"`(.+?)`", capsys.readouterr().err)
        assert printed is not None
        words = shlex.split(printed[1])
        words = words[words.index("extract") :]
        assert words == ["extract", "--input", str(given), "--output", "pages"]
        assert list_archives(cli.parse(words).input, LIST_PREFIX).files[0].path == str(folder / "a.warc.gz")


@pytest.mark.parametrize(
    "head",
    [
        *(b"", b"\0", b"{ no JSON }", "größer".encode("latin-1"), b"One line, and no more", b"id,text\n"),
        b"Dear reader,\nthis is prose, not a table,\nwith commas\n",
    ],
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


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"id,text\n1,comma-separated\n", "a", "CSV"),
        (b'\xef\xbb\xbf"id","the text"\r\n1,"two\r\nlines, quoted"\r\n2,x\r\n', "a.txt", "CSV"),
        (b"id\ttext\n1\ta, b\n", "a.jsonl", "a table with tabs"),
        (b"id;text\n1;a, b\n2;c\n", "a", "CSV with semicolons"),
        (b"text\nonly one column\n", "b.CSV", "CSV"),
        (b"", "b.tsv", "a table with tabs"),
        (b"\x1f\x8b\x08", "s3://b/c.tsv.gz", "a table with tabs"),
        (b"\x1f\x8b\x08", "d.tgz", "a tar archive"),
        (LINES.encode(), "e.csv", "JSON Lines"),
        (b"<html></html>", "e.csv", "a web page"),
    ],
)
def test_tables_of_texts_are_known_by_their_first_lines_or_their_name(head: bytes, name: str, kind: str) -> None:
    recognised = what_is(head, name)
    assert recognised is not None
    assert recognised.kind.startswith(kind)


def tar(path: Path) -> None:
    (path.parent / "a.jsonl").write_text(LINES)
    with tarfile.open(path, "w") as opened:
        opened.add(path.parent / "a.jsonl", "NEW/a.jsonl")


CSV = 'n,text\n1,eins\n2,"zwei ü"\n'
CONVERTED: list[tuple[str, Callable[[Path], object], str | None]] = [
    ("a.csv", content(CSV), None),
    ("a'b $c.csv.gz", content(gzip.compress(CSV.encode())), None),
    ("a.tsv", content(CSV.replace(",", "\t")), None),
    ("a.jsonl.gz", content(gzip.compress(CSV.replace(",", ";").encode())), "gzip"),
    ("a.arrow", lambda path: feather.write_feather(pa.Table.from_pylist(RECORDS), path), None),
    ("a b.orc", lambda path: orc.write_table(pa.Table.from_pylist(RECORDS), path), None),
    ("a.zip", archive, None),
    ("a.tar", tar, None),
    ("a.json", content(json.dumps(RECORDS)), None),
    ("a.json.gz", content(gzip.compress(json.dumps(RECORDS, indent=1).encode())), "gzip"),
    ("a.json.zst", content(zstandard.compress(json.dumps(RECORDS[0], indent=1).encode())), "zstd"),
    ("a.jsonl", content(LINES.replace("\n", "\r")), None),
    ("a.bz2", content(bz2.compress(LINES.encode())), None),
    ("a.xz", content(lzma.compress(LINES.encode())), None),
    ("a.txt", content(LINES, "utf-16"), None),
]


@pytest.mark.parametrize(("name", "write", "codec"), CONVERTED)
def test_the_command_that_is_told_makes_documents_of_the_file(
    tmp_path: Path, name: str, write: Callable[[Path], object], codec: str | None
) -> None:
    path, work = tmp_path / "in" / name, tmp_path / "work"
    path.parent.mkdir()
    work.mkdir()
    write(path)
    recognised = what_is(read_head(str(path), HEAD_BYTES, codec), name)
    assert recognised is not None
    command = recognised.told(str(path), codec).split(": ", 2)[2]
    assert shutil.which(command.split(" ")[0]), "a tool that setting up brings"
    subprocess.run(["bash", "-c", command], cwd=work, check=True, timeout=60)
    made = next(each for each in work.rglob("*") if each.is_file())
    if made.suffix == ".parquet":
        first = pq.read_table(made).to_pylist()[0]
    else:
        first = json.loads(read_head(str(made), HEAD_BYTES, "gzip" if made.suffix == ".gz" else None).splitlines()[0])
    assert first["text"] == "eins"


def test_a_file_on_s3_is_to_be_fetched_first() -> None:
    recognised = what_is(b"BZh91AY")
    assert recognised is not None
    assert recognised.told("s3://bucket/my docs/a b.bz2") == (
        "it is bzip2: fetch it (aws s3 cp 's3://bucket/my docs/a b.bz2' .), then pack it anew: "
        "bunzip2 -c 'a b.bz2' | gzip > NEW.jsonl.gz"
    )
