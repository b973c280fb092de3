"""Files that are no JSON Lines, or only tell of the data: refused with the way out, or left out and told."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyspark.sql import SparkSession

from sparkprep.documents.jsonl.max_bad import MaxBad
from sparkprep.documents.jsonl.spool import SpoolSummary, spool
from sparkprep.documents.jsonl.tasks import JsonlSettings
from sparkprep.errors import UserError
from sparkprep.io.left_out import LeftOut
from sparkprep.io.listing import list_files

RECORDS = [{"url": f"u{n}", "text": f"Text Nummer {n}, größer\r\nund länger"} for n in range(30)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


def packed(content: bytes) -> bytes:
    """Gzip without the time: such contents are names of tests, which are the same in each process."""
    return gzip.compress(content, mtime=0)


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def run(spark: SparkSession, folder: Path, *named: Path, **options: Any) -> tuple[SpoolSummary, pa.Table]:
    """Spool the folder, or the files named, with leave for any number of bad lines."""
    options = {"max_bad": MaxBad(None, 1.0), "split_bytes": 700} | options
    out = folder.parent / "out"
    files = list_files(list(named) or [folder])
    return spool(spark, files, str(out), f"{out}-rejected", JsonlSettings(**options)), pq.read_table(out)


def error_of(spark: SparkSession, folder: Path, *named: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(spark, folder, *named, **options)
    assert not (folder.parent / "out").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(RECORDS), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("among_others", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", json.dumps(RECORDS), "it is a JSON array: write a line for each: jq -c '.[]'"),
        ("a.json.gz", packed(json.dumps(RECORDS, indent=1).encode()), "it is a JSON array"),
        ("a.jsonl", "".join(json.dumps(r, indent="\t") for r in RECORDS), "it is indented JSON"),
        ("a.ndjson", LINES.encode("utf-16-be"), "it is UTF-16: write it as UTF-8: iconv -f UTF-16BE"),
        ("a.jsonl", LINES.replace("\n", "\r"), "it is JSON whose lines end in CR"),
        ("a.jsonl", LINES.replace("\n", ""), "it is JSON without line feeds"),
        ("a.jsonl", packed(LINES.encode()), "it is gzip: name it .jsonl.gz"),
        ("a.jsonl", zstandard.compress(LINES.encode()), "it is Zstandard: name it .jsonl.zst"),
        ("a.jsonl.gz", packed(packed(LINES.encode())), "it is packed twice, gzip within gzip: unpack it"),
        ("a.json", parquet(), "it is Parquet: name it .parquet"),
        ("a.jsonl", "<html><body>404</body></html>", "it is a web page"),
        ("a.jsonl", "no JSON\nat all\n", "the first: not valid JSON"),
        ("a.jsonl", '{"text": 5}\n{"text": 6}\n', "the first: 'text' is a number, not a string; mend the file"),
    ],
)
def test_a_file_of_which_no_line_is_sound_is_refused_whatever_is_allowed(
    spark: SparkSession, tmp_path: Path, name: str, content: str | bytes, said: str, among_others: bool
) -> None:
    path = put(tmp_path / "in" / name, content)
    if among_others:
        put(tmp_path / "in/z.jsonl", LINES)
    message = error_of(spark, tmp_path / "in")
    assert message.startswith(f"{path}: no line of ")
    assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [(LINES.encode(), "it is JSON Lines: name it .jsonl"), (zstandard.compress(LINES.encode()), "it is Zstandard")],
)
def test_a_file_that_is_not_packed_as_its_name_says_is_told(
    spark: SparkSession, tmp_path: Path, content: bytes, said: str
) -> None:
    path = put(tmp_path / "in/a.jsonl.gz", content)
    message = error_of(spark, tmp_path / "in")
    assert message.startswith(f"{path}: compressed file cut short or damaged after line 0")
    assert said in message


SIDECARS = {
    "about.json": json.dumps({"name": "x", "features": {"text": {"dtype": "string"}}}),
    "columns.json": json.dumps(["url", "text"]),
    "log.jsonl": '{"step": 1, "loss": 3.5}\nnot JSON\n{"step": 2, "loss": 3.25}\n' * 40,
    "stats.json": json.dumps({"text": {"mean": 31}, "documents": 30}, indent=2),
    "sub/counts.json.gz": packed(b'{"documents": 30}'),
}


def archived(kind: str) -> bytes:
    """The lines as they lie in an archive, uncompressed."""
    sink = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(sink, "w") as archive:
            archive.writestr(zipfile.ZipInfo("a.jsonl"), LINES)
    else:
        with tarfile.open(fileobj=sink, mode="w") as archive:
            info = tarfile.TarInfo("a.jsonl")
            info.size = len(LINES.encode())
            archive.addfile(info, io.BytesIO(LINES.encode()))
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", archived("zip"), "it is a ZIP archive: unpack it: python3 -m zipfile -e {} NEW"),
        ("b c.ndjson", archived("tar"), "it is a tar archive: unpack it: tar -xf '{}'"),
        ("a.jsonl.gz", packed(archived("tar")), "it is a tar archive: unpack it: tar -xf <(gunzip -c {})"),
    ],
)
def test_an_archive_is_refused_though_the_lines_in_it_are_sound(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = put(tmp_path / "in" / name, content)
    put(tmp_path / "in/z.jsonl", LINES)
    assert error_of(spark, tmp_path / "in") == f"{path}: not JSON Lines; {said.format(path)}"


@pytest.mark.parametrize("contents", [{"a.jsonl": b""}, {"a.jsonl.gz": packed(b" \n"), "b.json": b"\n\r\n"}])
def test_files_without_any_line_are_an_error_where_there_is_nothing_else(
    spark: SparkSession, tmp_path: Path, contents: dict[str, bytes]
) -> None:
    paths = ", ".join(str(put(tmp_path / "in" / name, content)) for name, content in contents.items())
    number = "1 file" if len(contents) == 1 else f"{len(contents)} files"
    said = f"the input holds no document: {number} without rows left out: {paths}; name one that does"
    assert error_of(spark, tmp_path / "in") == said


def test_json_beside_the_documents_makes_neither_rows_nor_columns_nor_bad_lines(
    spark: SparkSession, tmp_path: Path
) -> None:
    put(tmp_path / "in/m.jsonl", LINES + "oops\n")
    paths = [put(tmp_path / "in" / name, content) for name, content in SIDECARS.items()]
    summary, table = run(spark, tmp_path / "in")
    assert table.to_pylist() == RECORDS
    assert (summary.documents, summary.rejected) == (30, 1)
    assert summary.first_rejected[0].startswith(f"{tmp_path}/in/m.jsonl:31: ")
    assert sorted(each.path for each in summary.left_out) == sorted(map(str, paths))
    assert {each.reason for each in summary.left_out} == {"of JSON without a column 'text' in any line"}


def test_lines_of_a_file_left_out_are_no_bad_lines(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in/a.jsonl", LINES)
    put(tmp_path / "in/stats.json", json.dumps({str(n): n for n in range(500)}, indent=1))
    summary, _ = run(spark, tmp_path / "in", max_bad=MaxBad(0))
    assert summary.rejected == 0


def test_a_file_without_the_text_column_that_was_named_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    data = put(tmp_path / "in/a.jsonl", LINES)
    other = put(tmp_path / "in/b.jsonl", '{"step": 1}\n')
    message = error_of(spark, tmp_path / "in", data, other)
    assert message.startswith(f"{other}: no line has a column 'text'; columns there are: step; leave the file out")


def test_where_no_file_has_the_text_column_all_columns_are_told(spark: SparkSession, tmp_path: Path) -> None:
    first = put(tmp_path / "in/a.jsonl", '{"body": "x"}\n')
    put(tmp_path / "in/b.jsonl", '{"title": "y"}\n')
    message = error_of(spark, tmp_path / "in")
    assert message == f"{first}: no line has a column 'text'; columns there are: body, title; name it by text_column"


def test_the_column_may_stand_in_one_line_of_a_file_alone(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in/a.jsonl", '{"n": 1}\n' * 400 + '{"text": "late"}\n')
    put(tmp_path / "in/b.jsonl", "\n\n")
    summary, table = run(spark, tmp_path / "in")
    assert (summary.documents, summary.left_out) == (401, (LeftOut(f"{tmp_path}/in/b.jsonl", "without rows"),))
    assert table["text"].to_pylist()[-1] == "late"
