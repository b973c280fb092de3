"""Archives to documents on Spark: what comes out, what is counted, what is refused."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyspark.sql import SparkSession
from s3_buckets import client
from warc_files import answer, archive, html, record, responses

from sparkprep.cli import main
from sparkprep.commands import command
from sparkprep.errors import UserError
from sparkprep.extract.outcomes import AS_BODY, AS_RECORD, AS_TEXT
from sparkprep.extract.pipeline import extract
from sparkprep.extract.settings import ExtractSettings
from sparkprep.io.paths import filesystem

OTHERS = {
    "not a page": [record("warcinfo", b"software: x"), record("request", b"GET / HTTP/1.1\r\n\r\n")],
    "not HTTP": [record("response", b"20240101 dns")],
    "not status 200": [record("response", answer(html(0), "404 Not Found"))],
    "not HTML": [
        record("response", answer(b"%PDF-1.4 binary")),
        record("response", answer(html(0), Content_Type="text/plain")),
        record("response", answer(b"{}", Content_Type="application/octet-stream")),
    ],
    "empty": [record("response", answer(b"  ")), record("response", b"")],
    "no text": [record("response", answer(b"<html><body><script>x</script></body></html>"))],
    "too large": [record("response", answer(gzip.compress(bytes(200_000)), Content_Encoding="gzip"))],
    "truncated": [
        record("response", answer(html(0)), WARC_Truncated="length"),
        record("response", answer(gzip.compress(html(0))[:-20], Content_Encoding="gzip")),
    ],
}
SETTINGS = ExtractSettings(max_bytes=100_000)


def save(path: Path, records: Sequence[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive(records))
    return path


def run(spark: SparkSession, source: Path | Sequence[Path], output: Path, **options: Any) -> dict[str, Any]:
    paths = [source] if isinstance(source, Path) else source
    return extract(spark, [str(path) for path in paths], str(output), SETTINGS, **options)


def rows(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder).to_pylist()


def test_every_record_is_a_document_or_counted_by_its_reason(spark: SparkSession, tmp_path: Path) -> None:
    others = [each for some in OTHERS.values() for each in some]
    metrics = run(spark, save(tmp_path / "a.warc.gz", [*responses(7), *others]), tmp_path / "out")
    assert metrics["without_document"] == {reason: len(some) for reason, some in OTHERS.items()}
    assert metrics["records"] == 7 + len(others) == metrics["documents"] + sum(metrics["without_document"].values())
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    skipped = Counter(row["reason"] for row in rows(tmp_path / "out" / "skipped"))
    assert skipped == {reason: len(some) for reason, some in OTHERS.items() if reason != "not a page"}


def test_a_page_without_a_document_tells_its_place_its_reason_and_what_there_is_to_tell(
    spark: SparkSession, tmp_path: Path
) -> None:
    moved = answer(b"", "301 Moved", Location="https://example.org/new")
    german = " ".join(
        ["Der Hafen der alten Stadt liegt hinter einer Mauer und die Fischer flicken dort ihre Netze."] * 4
    )
    records = [
        record("request", b"GET / HTTP/1.1", "https://example.org/a"),
        record("response", moved, "https://example.org/old"),
        record("response", answer(b"%PDF-1", Content_Type="application/pdf"), "https://example.org/p"),
        record("response", answer(html(1, german)), "https://example.org/de"),
        *responses(1),
    ]
    path = save(tmp_path / "a.warc.gz", records)
    settings = ExtractSettings(language=("en",))
    metrics = extract(spark, [str(path)], str(tmp_path / "out"), settings)
    moved_row, pdf, german_row = rows(tmp_path / "out" / "skipped")
    assert moved_row == {
        "url": "https://example.org/old", "archive": str(path), "offset": len(gzip.compress(records[0])),
        "reason": "not status 200", "detail": "301, to https://example.org/new",
    }  # fmt: skip
    assert (pdf["reason"], pdf["detail"]) == ("not HTML", "application/pdf")
    assert (german_row["reason"], german_row["detail"]) == ("other language", "de with a score of 1.00")
    assert metrics["parts"]["skipped"][0]["rows"] == 3


def test_a_page_of_which_its_site_leaves_nothing_is_named_with_its_place(spark: SparkSession, tmp_path: Path) -> None:
    notice = "This notice stands on every page of the site, and one page has nothing else to say at all."
    own = "</p><p>The page with the number {} says what no other page of this site has to say, at some length, too."
    texts = [notice, *(notice + own.format(n) for n in range(4))]
    pages = [record("response", answer(html(n, text)), f"https://a.org/{n}") for n, text in enumerate(texts)]
    path = save(tmp_path / "a.warc.gz", [record("warcinfo", b"x"), *pages])
    extract(spark, [str(path)], str(tmp_path / "out"), ExtractSettings(site_boilerplate="remove", site_pages=3))
    first = len(gzip.compress(record("warcinfo", b"x")))
    assert [(row["reason"], row["offset"]) for row in rows(tmp_path / "out" / "skipped")] == [
        ("site boilerplate", first)
    ]


def test_a_document_tells_where_it_comes_from(spark: SparkSession, tmp_path: Path) -> None:
    path = save(tmp_path / "a.warc.gz", responses(3))
    run(spark, path, tmp_path / "out")
    document = rows(tmp_path / "out" / "documents")[1]
    assert document["text"].startswith("This is the paragraph of page number 1,")
    assert gzip.decompress(path.read_bytes()[document["offset"] :]).startswith(responses(3)[1])
    told = {name: document[name] for name in ("id", "url", "title", "declared_language", "archive", "payload_bytes")}
    told_date = document["date"].isoformat()
    assert told == {
        "id": "1",
        "url": "https://example.org/1",
        "title": "Page 1",
        "declared_language": "en",
        "archive": str(path),
        "payload_bytes": len(html(1)),
    }
    assert told_date == "2024-05-18T01:58:10+00:00"


def test_a_damaged_archive_gives_what_is_before_and_after_and_is_named(spark: SparkSession, tmp_path: Path) -> None:
    packed = [gzip.compress(each) for each in responses(5)]
    packed[2] = packed[2][:60] + bytes(30) + packed[2][90:]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.warc.gz").write_bytes(b"".join(packed))
    save(tmp_path / "in" / "a.warc.gz", responses(2))
    metrics = run(spark, tmp_path / "in", tmp_path / "out")
    assert (metrics["documents"], metrics["without_document"]) == (6, {"damaged": 1})
    assert metrics["damaged_archives"] == [str(tmp_path / "in" / "b.warc.gz")]
    (place,) = rows(tmp_path / "out" / "rejected")
    assert (place["offset"], place["bytes"]) == (len(packed[0] + packed[1]), len(packed[2]))
    assert "cannot be unpacked" in place["detail"]


def test_archives_of_one_name_are_told_apart_and_one_given_twice_is_read_once(
    spark: SparkSession, tmp_path: Path
) -> None:
    one, two = (save(tmp_path / folder / "x.warc.gz", responses(2)) for folder in "ab")
    metrics = run(spark, [one, two, tmp_path / "a"], tmp_path / "out")
    places = {(row["archive"], row["offset"]) for row in rows(tmp_path / "out" / "documents")}
    assert len(places) == metrics["documents"] == 4
    assert any("given twice" in warning and str(one) in warning for warning in metrics["warnings"])
    assert any("one name" in warning for warning in metrics["warnings"])


def test_documents_without_an_identifier_are_told_apart_by_archives_of_one_name(
    spark: SparkSession, tmp_path: Path
) -> None:
    nameless = [record("response", answer(html(n)), f"https://example.org/{n}") for n in range(2)]
    paths = [save(tmp_path / name, nameless) for name in ("a/x.warc.gz", "b/x.warc.gz", "b/y.warc.gz")]
    run(spark, paths, tmp_path / "out")
    ids = {row["id"] for row in rows(tmp_path / "out" / "documents")}
    second = len(archive(nameless[:1]))
    assert ids == {f"{name}:{offset}" for name in ("a/x.warc.gz", "b/x.warc.gz", "y.warc.gz") for offset in (0, second)}


def test_text_records_are_documents_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    text = "Línea uno\nLínea dos".encode()
    wet = record("conversion", text, "https://example.org/", WARC_Identified_Content_Language="spa,eng")
    run(spark, save(tmp_path / "a.warc.wet.gz", [record("warcinfo", b"x"), wet]), tmp_path / "out")
    (document,) = rows(tmp_path / "out" / "documents")
    assert (document["text"], document["declared_language"]) == (text.decode(), "spa")


def test_lists_and_patterns_name_archives(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "crawl-data" / "s" / "1.warc.gz", responses(1))
    save(tmp_path / "other" / "2.warc.gz", responses(2))
    (tmp_path / "warc.paths.gz").write_bytes(gzip.compress(b"crawl-data/s/1.warc.gz\nother/2.warc.gz\n"))
    settings = ExtractSettings(list_prefix=f"{tmp_path}/")
    assert extract(spark, [str(tmp_path / "warc.paths.gz")], str(tmp_path / "a"), settings)["documents"] == 3
    assert run(spark, Path(f"{tmp_path}/*/2.*"), tmp_path / "b")["documents"] == 2
    (tmp_path / "warc.paths").write_text("other/2.warc.gz\nother/3.warc.gz\n")
    with pytest.raises(UserError, match=r"warc\.paths, line 2: .*3\.warc\.gz: no such file"):
        run(spark, tmp_path / "warc.paths", tmp_path / "c")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.warc.gz", b"hello", r"a\.warc\.gz: no record of WARC could be read there: see whether"),
        (
            "a.warc.zst",
            zstandard.compress(b"".join(responses(9)))[:-60],
            r"could be read there \(the first bytes: the archive ends inside it\): fetch it again",
        ),
        ("a.paths", b"\xff\xfe binary", r"a\.paths: no list of archives: it is no text \(in UTF-8\)"),
        ("a.warc", b"", r"a\.warc: is empty \(0 bytes\): fetch it again"),
        ("a.parquet", b"PAR1", "no archive by its name; known are"),
        ("a.arc.gz", b"x", "no archive by its name .*warcio recompress"),
        ("a.wat.gz", b"x", "no archive by its name .*name the WARC or WET"),
    ],
)
def test_what_is_no_archive_is_refused_and_nothing_left(
    spark: SparkSession, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said):
        run(spark, tmp_path / name, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_without_an_archive_is_told_with_what_it_holds(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="in: no archive: it is empty; name the folder"):
        run(spark, tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "part-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"no archive among its 1 files, such as part-0\.parquet; name the folder"):
        run(spark, tmp_path / "in", tmp_path / "out")


def test_an_archive_without_a_record_is_named_among_others(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.warc.gz", responses(1))
    (tmp_path / "in" / "b.warc.gz").write_bytes(b"<html>sign in first</html>")
    (tmp_path / "in" / "c.warc.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "in" / "d.warc.gz").write_bytes(b"")
    metrics = run(spark, tmp_path / "in", tmp_path / "out")
    assert (metrics["documents"], metrics["archives"]) == (1, 3)
    empty, unread = metrics["warnings"]
    assert empty == f"1 file of 0 bytes left out: {tmp_path}/in/d.warc.gz"
    assert unread.startswith(f"{tmp_path}/in/b.warc.gz, {tmp_path}/in/c.warc.gz: no record of WARC could be read there")


def test_what_is_too_large_is_counted_by_what_of_it_is(spark: SparkSession, tmp_path: Path) -> None:
    records = [
        record("response", answer(bytes(200_000))),
        *OTHERS["too large"],
        record("conversion", b"x" * 150_000),
        *responses(1),
    ]
    metrics = run(spark, save(tmp_path / "a.warc.gz", records), tmp_path / "out")
    assert metrics["kinds"]["too large"] == {AS_RECORD: 1, AS_BODY: 1, AS_TEXT: 1}


def test_an_output_inside_the_folder_of_archives_is_refused_and_the_reverse(
    spark: SparkSession, tmp_path: Path
) -> None:
    save(tmp_path / "in" / "deep" / "a.warc.gz", responses(1))
    with pytest.raises(UserError, match="lies inside the input"):
        run(spark, tmp_path / "in", tmp_path / "in" / "out")
    with pytest.raises(UserError, match="is the input itself, which it would replace"):
        run(spark, tmp_path / "in" / "deep" / "a.warc.gz", tmp_path / "in" / "deep" / "a.warc.gz")
    for given in (tmp_path / "in" / "deep", Path(f"{tmp_path}/in/deep/*.gz")):
        with pytest.raises(UserError, match=r"lies inside output=.*which is replaced"):
            run(spark, given, tmp_path / "in", overwrite=True)
    assert run(spark, Path(f"{tmp_path}/in/deep/*.gz"), tmp_path / "in" / "out")["documents"] == 1


def test_a_prefix_of_lists_without_a_list_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    path = save(tmp_path / "a.warc.gz", responses(1))
    with pytest.raises(UserError, match="list_prefix='s3://mine/' says nothing without a list of archives"):
        extract(spark, [str(path)], str(tmp_path / "out"), ExtractSettings(list_prefix="s3://mine/"))


def test_an_archive_of_the_web_is_told_by_which_way_it_comes(spark: SparkSession, tmp_path: Path) -> None:
    crawled, other = "crawl-data/CC-MAIN-2024/1.warc.gz", "https://example.org/b.warc.gz"
    way = r"name s3://commoncrawl/crawl-data/CC-MAIN-2024/1\.warc\.gz, .* `curl --fail .* --output 1\.warc\.gz http"
    for given in (f"https://data.commoncrawl.org/{crawled}", f"http://commoncrawl.s3.amazonaws.com/{crawled}"):
        with pytest.raises(UserError, match=way):
            extract(spark, [given], str(tmp_path / "out"))
    (tmp_path / "my.paths").write_text(other)
    with pytest.raises(UserError, match=rf"my\.paths, line 1: {other}: .* fetch it by `curl .* name b\.warc\.gz"):
        run(spark, tmp_path / "my.paths", tmp_path / "out")


def test_an_output_stays_without_overwrite(spark: SparkSession, tmp_path: Path) -> None:
    path = save(tmp_path / "a.warc.gz", responses(1))
    run(spark, path, tmp_path / "out")
    with pytest.raises(UserError, match="exists; pass overwrite=True"):
        run(spark, path, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match=r"does not make \(mine\.txt\)"):
        run(spark, path, tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "mine.txt").unlink()
    assert run(spark, path, tmp_path / "out", overwrite=True)["documents"] == 1


def test_the_command_prints_what_was_counted_and_what_comes_next(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "a.warc.gz", [*responses(2), *OTHERS["empty"]])
    assert main(["extract", "--input", str(path), "--output", str(tmp_path / "out"), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "records         4" in said
    assert f"report          {tmp_path}/out/report.html\n" in said
    assert said.endswith(
        f"Next: {command('filter', '--input', f'{tmp_path}/out', '--output', f'{tmp_path}/good')}\n"
        f"or at once: {command('dedup', '--input', f'{tmp_path}/out', '--output', f'{tmp_path}/clean')}\n"
    )


def test_the_parts_are_the_same_bytes_in_every_run(spark: SparkSession, tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{n}.warc.gz", responses(3 + n)) for n in range(4)]
    one, two = run(spark, paths, tmp_path / "one"), run(spark, paths[::-1], tmp_path / "two")
    assert one["parts"] == two["parts"]
    assert len(one["parts"]["documents"]) == 4


@pytest.mark.slow
def test_the_rows_are_the_same_with_one_worker_and_from_and_to_s3(bucket: str, tmp_path: Path) -> None:
    """The job as a process of its own: the server's address must be there when Spark starts its workers."""
    paths = [save(tmp_path / "in" / f"{n}.warc.gz", responses(3 + n)) for n in range(3)]
    for path in paths:
        client().put_object(Bucket="bucket", Key=f"in/{path.name}", Body=path.read_bytes())
    for source, output, master in (
        (str(tmp_path / "in"), str(tmp_path / "out"), "local[1]"),
        (f"{bucket}/in/*.warc.gz", f"{bucket}/out", "local[2]"),
    ):
        command = [sys.executable, "-m", "sparkprep", "extract", "--input", source, "--output", output, "--quiet"]
        environment = os.environ | {"PYSPARK_SUBMIT_ARGS": f"--master {master} pyspark-shell"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=240, env=environment)
    local, remote = (read_parquet(folder) for folder in (f"{tmp_path}/out/documents", f"{bucket}/out/documents"))
    assert local.drop(["archive"]).equals(remote.drop(["archive"]))
    assert set(remote["archive"].to_pylist()) == {f"{bucket}/in/{path.name}" for path in paths}


def read_parquet(folder: str) -> pa.Table:
    system, inner = filesystem(folder)
    return pq.read_table(inner, filesystem=system)
