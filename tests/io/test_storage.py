"""What storage promises: inputs listed, paths handed to Spark, an output that appears whole or not at all."""

import os
import threading
from pathlib import Path

import pytest

from sparkprep.errors import UserError
from sparkprep.io.files import exists, open_input, write_text
from sparkprep.io.listing import DataFile, list_files
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import filesystem, is_local, join_path, spark_target, spark_uri


def put(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


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
    assert list_files([tmp_path]) == [
        DataFile(str(tmp_path / "_lang=en/k.parquet"), 1, "parquet", (("_lang", "en"),)),
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
        (("in/a.parquet", "in/b.jsonl"), "in", r"mixes Parquet \(.*a\.parquet\) and JSON Lines \(.*b\.jsonl\)"),
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


def test_s3_uris_are_told_from_local_paths_and_other_schemes_refused() -> None:
    assert not is_local("s3://bucket/a")
    assert is_local("/a/s3://b")
    assert is_local("file:///a")
    assert spark_uri("s3://bucket/a b%20.parquet") == "s3://bucket/a b%20.parquet"
    assert join_path("s3://bucket/a/", "b") == "s3://bucket/a/b"
    with pytest.raises(UserError, match="hdfs://"):
        is_local("hdfs://x/y")


def test_the_s3_endpoint_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    system, inner = filesystem("s3://bucket/key/")
    assert (system.type_name, inner) == ("s3", "bucket/key")


def test_a_local_path_for_spark_has_its_glob_characters_escaped_only_for_reading(tmp_path: Path) -> None:
    path = str(tmp_path / "a[1]{b}*?% #.parquet")
    assert spark_uri(path) == "file:" + str(tmp_path) + r"/a\[1\]\{b\}\*\?% #.parquet"
    assert spark_target(path) == "file:" + path


def test_text_is_written_whole_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    write_text(str(target), "old")
    write_text(str(target), "new ü")
    assert tree(tmp_path) == {"metrics.json": "new ü"}
    with pytest.raises(UserError, match="cannot be written"):
        write_text(str(tmp_path / "missing/x"), "y")


def test_opening_what_is_not_there_names_it(tmp_path: Path) -> None:
    assert not exists(str(tmp_path / "x"))
    with pytest.raises(UserError, match=r"x: cannot be read"):
        open_input(str(tmp_path / "x"))


def test_the_output_appears_only_with_the_commit_and_without_scratch(tmp_path: Path) -> None:
    with OutputFolder(f"{tmp_path}/made/out/", overwrite=False) as output:
        put(Path(output.work) / "kept/a", "1")
        put(Path(output.scratch) / "spool", "2")
        assert Path(output.work).parent == tmp_path / "made"
        assert not (tmp_path / "made/out").exists()
        output.commit()
    assert tree(tmp_path) == {"made/out/kept/a": "1"}


def test_an_exception_leaves_nothing_behind_and_the_old_output_untouched(tmp_path: Path) -> None:
    put(tmp_path / "out/old")
    with pytest.raises(ZeroDivisionError), OutputFolder(tmp_path / "out", overwrite=True) as output:  # noqa: PT012
        put(Path(output.work) / "new")
        raise ZeroDivisionError
    assert tree(tmp_path) == {"out/old": "x"}
    with pytest.raises(ZeroDivisionError), OutputFolder(tmp_path / "a/b/out", overwrite=False):
        raise ZeroDivisionError
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_leaving_without_a_commit_leaves_no_output(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", overwrite=False) as output:
        put(Path(output.work) / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_partial_output_can_be_kept_to_look_at(tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(ZeroDivisionError),
        OutputFolder(tmp_path / "out", overwrite=False, keep_partial=True) as output,
    ):
        put(Path(output.work) / "new")
        raise ZeroDivisionError
    assert tree(Path(output.work)) == {"new": "x"}


def test_an_existing_output_is_refused_without_overwrite_and_replaced_with_it(tmp_path: Path) -> None:
    put(tmp_path / "out/old")
    with pytest.raises(UserError, match="out exists; pass --overwrite to replace it or choose another --output"):
        OutputFolder(tmp_path / "out", overwrite=False)
    with OutputFolder(tmp_path / "out", overwrite=True) as output:
        put(Path(output.work) / "new")
        output.commit()
    assert tree(tmp_path) == {"out/new": "x"}


def test_a_crash_between_the_two_renames_leaves_both_old_and_new_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "out/old")
    output = OutputFolder(tmp_path / "out", overwrite=True)
    rename = os.rename

    def crash_after_first(source: str, target: str) -> None:
        if source == output.work:
            raise KeyboardInterrupt  # as a kill would: no handler of OSError sees it
        rename(source, target)

    output.__enter__()
    put(Path(output.work) / "new")
    monkeypatch.setattr(os, "rename", crash_after_first)
    with pytest.raises(KeyboardInterrupt):
        output.commit()
    assert tree(tmp_path) == {
        f"out.replaced-{output.run_id}/old": "x",
        f"out.partial-{output.run_id}/new": "x",
    }


def test_a_failed_rename_puts_the_old_output_back(tmp_path: Path) -> None:
    put(tmp_path / "out/old")
    with (  # noqa: PT012
        pytest.raises(UserError, match="cannot write to"),
        OutputFolder(tmp_path / "out", overwrite=True) as output,
    ):
        os.rename(output.work, tmp_path / "gone")
        output.commit()
    assert tree(tmp_path) == {"out/old": "x"}


def test_of_two_runs_without_overwrite_the_first_to_finish_wins(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", overwrite=False) as first:
        put(Path(first.work) / "first")
        with (  # noqa: PT012
            pytest.raises(UserError, match="out exists"),
            OutputFolder(tmp_path / "out", overwrite=False) as second,
        ):
            first.commit()
            second.commit()
    assert tree(tmp_path) == {"out/first": "x"}


def test_output_and_input_may_not_lie_in_each_other(tmp_path: Path) -> None:
    data = tmp_path / "data"
    put(data / "in/a.parquet")
    (tmp_path / "link").symlink_to(data)
    for given, output in (
        (data, data / "out"),
        (data, data),
        (data / "in/a.parquet", data / "in"),
        (data / "in", data),
        (tmp_path / "link/in", data),
        (data, tmp_path / "link/out"),
    ):
        with pytest.raises(UserError, match="inside"):
            OutputFolder(output, overwrite=True, inputs=["s3://bucket/x", given])
    OutputFolder(data / "in/out", overwrite=False, inputs=[data / "in/a.parquet"])
    OutputFolder(tmp_path / "data2", overwrite=False, inputs=[data])


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="existing file"):
        OutputFolder(put(tmp_path / "out"), overwrite=True)


def test_overwrite_does_not_delete_the_folder_one_works_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    with pytest.raises(UserError, match="--overwrite would delete"):
        OutputFolder(tmp_path / "a", overwrite=True)


def test_a_parent_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = put(tmp_path / "file")
    with pytest.raises(UserError, match=rf"cannot write to {file}/sub: Not a directory"):
        OutputFolder(file / "sub/out", overwrite=False)
    with pytest.raises(UserError, match="cannot write to /proc"):
        OutputFolder("/proc/nothing/out", overwrite=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_without_write_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=rf"cannot write to {tmp_path}: Permission denied"):
        OutputFolder(tmp_path / "out", overwrite=False)


def test_an_output_given_by_a_link_replaces_what_the_link_names(tmp_path: Path) -> None:
    put(tmp_path / "disk/out/old")
    (tmp_path / "out").symlink_to(tmp_path / "disk/out")
    with OutputFolder(tmp_path / "out", overwrite=True) as output:
        put(Path(output.work) / "new")
        output.commit()
    assert (tmp_path / "out").is_symlink()
    assert tree(tmp_path / "disk") == {"out/new": "x"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=f"the disk is full: the one of {tmp_path}"),
        OutputFolder(tmp_path / "out", overwrite=False),
        open("/dev/full", "w") as full,
    ):
        full.write("x")
    assert list(tmp_path.iterdir()) == []


def test_a_permission_error_about_something_else_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), OutputFolder(tmp_path / "out", overwrite=False):
        raise PermissionError(13, "Permission denied", "/somewhere/else")
    with pytest.raises(UserError, match="cannot write to"), OutputFolder(tmp_path / "out", overwrite=False) as output:
        raise PermissionError(13, "Permission denied", f"{output.work}/kept")


def test_s3_output_is_refused_with_the_way_out() -> None:
    with pytest.raises(UserError, match="local folder"):
        OutputFolder("s3://bucket/out", overwrite=False)


def test_concurrent_runs_build_in_folders_of_their_own(tmp_path: Path) -> None:
    works: list[str] = []

    def run() -> None:
        works.append(OutputFolder(tmp_path / "out", overwrite=False).work)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(works)) == 8
