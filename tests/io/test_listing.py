"""Which files an input is."""

import os
from pathlib import Path

import pytest
from trees import put

from sparkprep.errors import UserError
from sparkprep.io.listing import DataFile, list_files


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


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in/a.parquet")
    monkeypatch.chdir(tmp_path)
    assert [f.path for f in list_files(["in/"])] == [str(tmp_path / "in/a.parquet")]


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        ((), "missing", r"missing: no such file or folder"),
        (("in/.hidden",), "in", r"in: no data file in this folder, nothing"),
        (("in/a.csv", "in/README"), "in", r"only files of other kinds \((\.csv, README|README, \.csv)\).*\.parquet"),
        (("a.csv",), "a.csv", r"a\.csv: unknown kind of file; known extensions are \.parquet"),
    ],
)
def test_an_input_that_cannot_be_used_is_named(
    tmp_path: Path, names: tuple[str, ...], asked: str, message: str
) -> None:
    for name in names:
        put(tmp_path / name)
    with pytest.raises(UserError, match=message):
        list_files([tmp_path / asked])


def test_no_input_at_all_names_the_flag() -> None:
    with pytest.raises(UserError, match="--input"):
        list_files([])


def test_a_dangling_link_is_an_error_that_names_the_input(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=str(tmp_path)):
        list_files([tmp_path])
