"""Which files an input is."""

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trees import put

from sparkprep.errors import UserError
from sparkprep.io.left_out import WITHOUT_ROWS, LeftOut, name_left_out
from sparkprep.io.listing import DataFile, list_files, list_input, list_written
from sparkprep.llmc.header import SHARD_MAGIC, pack
from sparkprep.safe import safe_text


def parquet(path: Path, rows: int = 2) -> Path:
    """Write a table of documents, whatever the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": [f"t{n}" for n in range(rows)]}), path)
    return path


def test_folders_are_searched_to_the_bottom_and_files_come_sorted_by_path(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.ndjson.gz", "a/b/c.json.zst", "C.JSONL"):
        put(tmp_path / name)
    files = list_files([tmp_path])
    assert [os.path.relpath(f.path, tmp_path) for f in files] == [
        "C.JSONL",
        "a/b/c.json.zst",
        "a/z.ndjson.gz",
        "b.jsonl",
    ]
    assert [f.format for f in files] == ["jsonl", "jsonl.zst", "jsonl.gz", "jsonl"]
    assert all(f.size == 1 for f in files)


def test_hidden_names_and_unknown_extensions_are_passed_over(tmp_path: Path) -> None:
    for name in ("_SUCCESS", ".a.parquet.crc", "_tmp/x.parquet", ".git/x.parquet", "notes.md", "_lang=en/k.parquet"):
        put(tmp_path / name)
    changed = (tmp_path / "_lang=en/k.parquet").stat().st_mtime_ns
    assert list_files([tmp_path]) == [
        DataFile(str(tmp_path / "_lang=en/k.parquet"), 1, "parquet", (("_lang", "en"),), changed),
    ]


def test_a_hidden_folder_named_outright_is_searched(tmp_path: Path) -> None:
    put(tmp_path / "_tmp/spool/part-0.snappy.parquet")
    assert len(list_files([tmp_path / "_tmp"])) == 1


def test_each_file_comes_once_however_often_it_is_named(tmp_path: Path) -> None:
    file = put(tmp_path / "a.parquet")
    assert len(list_files([tmp_path, file, str(tmp_path) + "/", f"file://{file}"])) == 1


def test_links_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/x.parquet")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "in")
    assert [f.path for f in list_files([tmp_path / "in"])] == [str(tmp_path / "in/link/x.parquet")]


def test_a_file_reached_by_several_ways_counts_once(tmp_path: Path) -> None:
    put(tmp_path / "in/a.jsonl")
    put(tmp_path / "in/sub/b.jsonl")
    (tmp_path / "in/also-a.jsonl").symlink_to(tmp_path / "in/a.jsonl")
    (tmp_path / "in/also-sub").symlink_to(tmp_path / "in/sub")
    (tmp_path / "other").symlink_to(tmp_path / "in")
    roundabout = f"{tmp_path}/in/sub/../../in"
    assert len(list_files([tmp_path / "in", roundabout, tmp_path / "other", tmp_path / "other/sub/b.jsonl"])) == 2


def test_a_file_that_a_link_gives_its_name_is_not_left_out_under_its_own(tmp_path: Path) -> None:
    blob = put(tmp_path / "blobs/5e1f", '{"text": "x"}')
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots/a.jsonl").symlink_to(blob)
    listing = list_input([tmp_path])
    assert [file.path for file in listing.files] == [str(tmp_path / "snapshots/a.jsonl")]
    assert listing.warnings == []


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in/a.parquet")
    monkeypatch.chdir(tmp_path)
    assert [f.path for f in list_files(["in/"])] == [str(tmp_path / "in/a.parquet")]


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        ((), "missing", r"missing: no such file or folder; check input$"),
        (("in/a.jsonl",), "in/*.jsonl", r"in/\*\.jsonl: no such file or folder; a pattern is expanded by the shell"),
        (("in/a1.jsonl",), "in/a[0-9].jsonl", r"no such file or folder; a pattern is expanded by the shell"),
        (("a.parquet",), "?.parquet", r"no such file or folder; a pattern is expanded by the shell"),
        (("in/.hidden",), "in", r"in: no data file in this folder, nothing"),
        (("in/a.csv", "in/README"), "in", r"only files of other kinds \((\.csv, README|README, \.csv)\).*\.parquet"),
        (("in/b.tsv", "in/a.sql"), "in", r"a\.sql \(it is a web page.*fetch.*\); known extensions"),
        (("a.bin",), "a.bin", r"a\.bin: unknown kind of file; known extensions are \.parquet"),
        (("a.csv",), "a.csv", r"a\.csv: unknown kind of file \(it is CSV: write it as Parquet: \S+ -c .*; known"),
        (("in/a.tar.gz",), "in", r"in/a\.tar\.gz \(it is a tar archive: unpack it: tar -xf /"),
    ],
)
def test_an_input_that_cannot_be_used_is_named(
    tmp_path: Path, names: tuple[str, ...], asked: str, message: str
) -> None:
    for name in names:
        put(tmp_path / name, "<html>" if name.endswith(".sql") else "x")
    with pytest.raises(UserError, match=message):
        list_files([tmp_path / asked])


@pytest.mark.parametrize("name", [b"a\xff.parquet", b"\xfe/a.jsonl", b"b\xe4.csv"])
def test_a_name_that_is_not_utf_8_is_told_rather_than_broken_off_at(tmp_path: Path, name: bytes) -> None:
    bad = os.path.join(os.fsencode(tmp_path), name)
    os.makedirs(os.path.dirname(bad), exist_ok=True)
    with open(bad, "w") as file:
        file.write("x")
    put(tmp_path / "a.jsonl", '{"text": "x"}')
    for asked in (tmp_path, os.fsdecode(bad)):
        with pytest.raises(UserError, match="a name that is not UTF-8") as caught:
            list_files([asked])
        assert str(caught.value).startswith(f"{safe_text(os.fsdecode(bad))}: ")


def test_no_input_at_all_names_the_flag() -> None:
    with pytest.raises(UserError, match=r"name a file or folder as input$"):
        list_files([])


def test_a_dangling_link_is_an_error_that_names_the_input(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=str(tmp_path)):
        list_files([tmp_path])


def test_files_of_other_kinds_are_named_and_what_is_no_data_is_not(tmp_path: Path) -> None:
    read = put(tmp_path / "in/a.ndjson", '{"text": "x"}')
    data = [put(tmp_path / "in" / name) for name in ("b.jsonl.lz4", "c/d.tsv", "c/noext", "e.JL", "f.zstd", "g.avro")]
    for name in (
        "README",
        "readme.de",
        "LICENSE-MIT",
        "notes.md",
        "urls.txt",
        "a.ndjson.crc",
        "x.sha256",
        "d_$folder$",
    ):
        put(tmp_path / "in" / name)
    put(tmp_path / "in/empty.part", "")
    listing = list_input([tmp_path / "in"])
    assert [file.path for file in listing.files] == [str(read)]
    assert {each.path for each in listing.left_out if each.is_data} == {str(path) for path in data}
    shown = ", ".join(sorted(map(str, data))[:5])
    assert listing.warnings == [f"6 files of other kinds left out: {shown} and 1 more"]


def test_a_name_that_only_begins_like_that_of_a_notice_is_told(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"text": "x"}')
    told = put(tmp_path / "notices.bz2")
    assert list_input([tmp_path]).warnings == [f"1 file of other kinds left out: {told}"]


@pytest.mark.parametrize("beside", [True, False])
def test_parquet_is_read_whatever_its_name(tmp_path: Path, beside: bool) -> None:
    odd = [parquet(tmp_path / "in" / name) for name in ("000000_0", "b.parq", "lang=en/c.snappy.pq")]
    expected = odd + ([parquet(tmp_path / "in/d.parquet")] if beside else [])
    listing = list_input([tmp_path / "in"])
    assert [file.path for file in listing.files] == sorted(map(str, expected))
    assert {file.format for file in listing.files} == {"parquet"}
    assert listing.warnings == []
    assert [file.format for file in list_files([odd[0]])] == ["parquet"]


def test_a_file_of_another_kind_named_outright_is_refused_with_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gzip"
    path.write_bytes(gzip.compress(b'{"text": "x"}'))
    with pytest.raises(UserError, match=rf"^{path}: unknown kind of file \(it is gzip: name it .jsonl.gz"):
        list_files([path])


SIDECARS = {
    "dataset_infos.json": json.dumps({"default": {"features": {"text": "string"}}}),
    "stats/counts.json": json.dumps({"text": {"mean": 3}, "rows": 2}, indent=4),
    "columns.json": json.dumps(["id", "text"]),
    "progress.jsonl": '{"step": 1}\n{"step": 2}\n',
}


def test_json_without_documents_beside_parquet_is_left_out(tmp_path: Path) -> None:
    data = parquet(tmp_path / "in/a.parquet")
    sidecars = [put(tmp_path / "in" / name, content) for name, content in SIDECARS.items()]
    (tmp_path / "in/state.json.gz").write_bytes(gzip.compress(b'{"done": true}'))
    listing = list_input([tmp_path / "in"])
    assert [file.path for file in listing.files] == [str(data)]
    assert {each.path for each in listing.left_out} == {*map(str, sidecars), str(tmp_path / "in/state.json.gz")}
    assert len(listing.warnings) == 1
    assert listing.warnings[0].startswith("5 files of JSON without documents (no object with a column 'text') left out")


@pytest.mark.parametrize(
    ("content", "column", "named"),
    [
        ('{"url": "u", "text": "x"}\n', "text", False),
        ('[{"text": "x"}]', "text", False),
        ('{"body": "' + "x" * (2 << 20) + '"}\n', "body", False),
        ('{"step": 1}\n', "text", True),
    ],
)
def test_documents_of_both_kinds_are_refused(tmp_path: Path, content: str, column: str, named: bool) -> None:
    data = parquet(tmp_path / "in/a.parquet")
    other = put(tmp_path / "in/b.json", content)
    with pytest.raises(UserError, match=rf"mixes Parquet \({data}\) and JSON Lines \({other}\)"):
        list_input([data, other] if named else [tmp_path / "in"], column)


@pytest.mark.parametrize("documents", ["a.parquet", "b.jsonl", "train/c.json"])
def test_what_hugging_faces_libraries_write_of_a_data_set_is_no_document(tmp_path: Path, documents: str) -> None:
    """Though a configuration is called as the column of texts is."""
    if documents.endswith(".parquet"):
        parquet(tmp_path / documents)
    else:
        put(tmp_path / documents, '{"text": "a"}\n{"text": "b"}\n')
    notes = {
        "dataset_infos.json": '{"text": {"features": {"text": {"dtype": "string"}}}}',
        "dataset_info.json": '{\n  "text": "a description",\n  "splits": {}\n}',
        "train/state.json": '{"_data_files": [{"filename": "x.arrow"}], "text": null}',
    }
    put(tmp_path / "README.md", "# a data set")
    paths = {str(put(tmp_path / name, content)) for name, content in notes.items()}
    listing = list_input([tmp_path])
    assert [file.path for file in listing.files] == [str(tmp_path / documents)]
    assert {each.path for each in listing.left_out} == {*paths, str(tmp_path / "README.md")}


def test_a_file_of_documents_is_read_though_it_is_called_as_such_a_note(tmp_path: Path) -> None:
    states = put(tmp_path / "state.json", '{"text": "Ohio"}\n{"text": "Utah"}\n')
    single = put(tmp_path / "dataset_info.json", '{"text": "named outright"}')
    assert [file.path for file in list_files([states, single])] == sorted([str(states), str(single)])
    put(tmp_path / "more.jsonl", '{"text": "a"}')
    assert str(states) in [file.path for file in list_files([tmp_path])]


def test_json_beside_folders_that_name_columns_is_left_out_unless_it_holds_documents(tmp_path: Path) -> None:
    for lang in ("en", "fr"):
        put(tmp_path / f"in/lang={lang}/a.jsonl", '{"text": "x"}\n')
    info = put(tmp_path / "in/info.json", '{"languages": 2}')
    assert [each.path for each in list_input([tmp_path / "in"]).left_out] == [str(info)]
    put(tmp_path / "in/more.jsonl", '{"text": "x"}\n')
    assert len(list_files([tmp_path / "in"])) == 3


def test_a_pipe_in_a_folder_is_named_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(UserError, match=rf"^{tmp_path}/a.jsonl: a pipe or device"):
        list_files([tmp_path])


def test_what_a_run_has_written_is_listed_as_it_lies(tmp_path: Path) -> None:
    put(tmp_path / "_unfinished.json", "{}")
    names = [str(parquet(tmp_path / "rejected" / name)) for name in ("b.parquet", "a.parquet")]
    assert [file.path for file in list_written(str(tmp_path / "rejected"))] == sorted(names)


@pytest.mark.parametrize("change", ["longer", "same size", "gone", "a folder"])
def test_an_input_that_is_another_now_is_named(tmp_path: Path, change: str) -> None:
    for name in "abc":
        put(tmp_path / f"{name}.jsonl")
    listing = list_input([tmp_path])
    listing.check_unchanged()
    path = tmp_path / "b.jsonl"
    before = path.stat()
    if change == "longer":
        path.write_text("xx")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "same size":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1000))
    else:
        path.unlink()
        if change == "a folder":
            path.mkdir()
    said = "is not there any more" if change in ("gone", "a folder") else "has changed while the job ran"
    with pytest.raises(UserError, match=rf"^{path}: {said}.*; run again when nothing writes to the input$"):
        listing.check_unchanged()


@pytest.mark.parametrize("name", ["d.jsonl", "sub/A.NDJSON", "lang=en/a.json"])
def test_a_file_that_was_added_is_named(tmp_path: Path, name: str) -> None:
    put(tmp_path / "b.jsonl", '{"text": "x"}')
    listing = list_input([tmp_path / "b.jsonl", tmp_path])
    put(tmp_path / "notes.md")
    put(tmp_path / "_metrics.json")
    listing.check_unchanged()
    put(tmp_path / name, '{"text": "x"}')
    with pytest.raises(UserError, match=rf"^{tmp_path}/{name}: was added while the job ran; run again when nothing"):
        listing.check_unchanged()


def test_a_file_without_rows_that_gets_some_is_named(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", '{"text": "x"}')
    late = put(tmp_path / "b.jsonl", "")
    listing = list_input([tmp_path]).without([LeftOut(str(late), WITHOUT_ROWS)])
    listing.check_unchanged()
    late.write_text('{"text": "y"}')
    with pytest.raises(UserError, match=rf"^{late}: has changed while the job ran; run again when nothing writes to"):
        listing.check_unchanged()


def test_an_input_is_looked_at_again_from_whatever_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in/a.jsonl", '{"text": "x"}')
    monkeypatch.chdir(tmp_path)
    listing = list_input(["in"])
    monkeypatch.chdir("/")
    listing.check_unchanged()


def test_an_input_that_became_one_of_another_kind_is_told(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    listing = list_input([tmp_path])
    put(tmp_path / "b.jsonl", '{"text": "x"}')
    with pytest.raises(UserError, match=r"^the input has changed while the job ran: the input mixes Parquet"):
        listing.check_unchanged()


def test_a_file_that_one_path_leaves_out_and_another_names_is_read_and_not_told(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    hidden = parquet(tmp_path / "_b.parquet")
    listing = list_input([tmp_path, hidden])
    assert [file.path for file in listing.files] == [str(hidden), str(tmp_path / "a.parquet")]
    assert listing.left_out == ()


def test_of_the_names_of_one_file_the_first_stands_for_it(tmp_path: Path) -> None:
    first = parquet(tmp_path / "x.parquet")
    for name in "cqam":
        os.link(first, tmp_path / f"{name}.parquet")
    assert [file.path for file in list_files([tmp_path])] == [f"{tmp_path}/a.parquet"]


def test_data_under_a_hidden_name_is_told_and_a_second_name_of_a_file_is_no_second_file(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    parquet(tmp_path / "_b.parquet")
    (tmp_path / "_SUCCESS").touch()
    os.link(tmp_path / "a.parquet", tmp_path / "c.parquet")
    listing = list_input([tmp_path])
    assert len(listing.files) == 1
    assert listing.warnings == [f"1 file whose names begin with '_' or '.' left out: {tmp_path}/_b.parquet"]
    assert {each.path for each in listing.left_out} == {f"{tmp_path}/_b.parquet", f"{tmp_path}/_SUCCESS"}


def test_what_is_no_data_is_counted_and_named_in_metrics_without_a_warning(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet")
    for name in ("README.md", "LICENSE", ".a.parquet.crc", "b.txt", "_tmp/deep/c.parquet"):
        put(tmp_path / name)
    put(tmp_path / "empty", "")
    listing = list_input([tmp_path])
    named = name_left_out(listing.left_out)
    assert listing.warnings == []
    assert named["files"] == 6
    assert {each["path"].removeprefix(f"{tmp_path}/"): each["reason"] for each in named["first"]} == {
        "README.md": "that only tells of the data",
        "LICENSE": "that only tells of the data",
        "b.txt": "that only tells of the data",
        "empty": "of 0 bytes",
        ".a.parquet.crc": "whose names begin with '_' or '.'",
        "_tmp/": "whose names begin with '_' or '.'",
    }


@pytest.mark.parametrize(
    ("magic", "name"), [(SHARD_MAGIC, "t_train_000001.bin"), (SHARD_MAGIC, "shard"), (20240801, "llama.bin")]
)
def test_a_folder_of_shards_is_none_of_documents_whatever_tells_of_them(tmp_path: Path, magic: int, name: str) -> None:
    (tmp_path / name).write_bytes(pack(magic, 1, 3) + b"\0" * 6)
    for manifest in (None, json.dumps({"shards": [], "plan": "x"}, indent=1), json.dumps({"text_bytes": 3})):
        if manifest is not None:
            put(tmp_path / "manifest.json", manifest)
        with pytest.raises(UserError, match=rf"{name} \(it is a shard of tokens of llm\.c, not documents: take the t"):
            list_files([tmp_path])


def test_documents_under_another_column_are_not_taken_for_what_tells_of_other_files(tmp_path: Path) -> None:
    put(tmp_path / "a.json", '{"body": "x"}\n{"body": "y"}\n')
    put(tmp_path / "b.csv", "id,body\n1,x\n")
    assert [file.path for file in list_files([tmp_path])] == [f"{tmp_path}/a.json"]
