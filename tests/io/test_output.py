"""A result folder appears whole or not at all, and never in place of what must stay."""

import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import mounts
import pytest
from trees import put, tree

from sparkprep.console import what_is_left
from sparkprep.errors import UserError
from sparkprep.io.output import PARQUET_FOLDER, OutputFolder

MADE = (r"old|first", r"new|kept/.*")


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
    with pytest.raises(ZeroDivisionError), OutputFolder(tmp_path / "out", overwrite=True, made=MADE) as output:  # noqa: PT012
        put(Path(output.work) / "new")
        raise ZeroDivisionError
    assert tree(tmp_path) == {"out/old": "x"}
    with pytest.raises(ZeroDivisionError), OutputFolder(tmp_path / "a/b/out", overwrite=False):
        raise ZeroDivisionError
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_on_a_file_system_without_locks_nothing_more_lies_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for overwrite in (False, True):
        with OutputFolder(tmp_path / "out", overwrite, made=MADE, scratch_place=tmp_path / "work") as output:
            put(Path(output.work) / "first")
            output.commit()
    assert tree(tmp_path) == {"out/first": "x"}


def test_leaving_without_a_commit_leaves_no_output(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", overwrite=False) as output:
        put(Path(output.work) / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_refused_without_overwrite_and_replaced_with_it(tmp_path: Path) -> None:
    put(tmp_path / "out/old")
    with pytest.raises(UserError, match="out exists; pass overwrite=True to replace it or choose another output"):
        OutputFolder(tmp_path / "out", overwrite=False)
    with OutputFolder(tmp_path / "out", overwrite=True, made=MADE) as output:
        put(Path(output.work) / "new")
        output.commit()
    assert tree(tmp_path) == {"out/new": "x"}


def test_a_crash_between_the_two_renames_leaves_both_old_and_new_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "out/old")
    output = OutputFolder(tmp_path / "out", overwrite=True, made=MADE)
    rename = os.rename

    def crash_after_first(source: str, target: str) -> None:
        if source != output.path:
            raise KeyboardInterrupt  # as a kill would: nothing is put back
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


@pytest.mark.parametrize("place", ["before", "between", "deleting", "after"])
def test_an_interrupt_at_any_place_says_what_is_where_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    put(tmp_path / "out/old")
    output = OutputFolder(tmp_path / "out", overwrite=True, made=MADE)
    rename, delete, strikes = os.rename, shutil.rmtree, {"between": output.work, "before": output.path}

    def interrupted_rename(source: str, target: str) -> None:
        if source == strikes.get(place):
            raise KeyboardInterrupt
        rename(source, target)

    def interrupted_delete(folder: str, ignore_errors: bool = False) -> None:
        if ".replaced-" in folder:
            raise KeyboardInterrupt
        delete(folder, ignore_errors)

    with pytest.raises(KeyboardInterrupt) as ended, output:  # noqa: PT012
        put(Path(output.work) / "new")
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", interrupted_rename)
            if place == "deleting":
                patch.setattr(shutil, "rmtree", interrupted_delete)
            output.commit()
        raise KeyboardInterrupt
    said, there = what_is_left(ended.value) or "", tree(tmp_path)
    if place in strikes:
        assert there == {"out/old": "x", f"out.partial-{output.run_id}/new": "x"}
        assert said.startswith(f"the finished result is whole in {output.work}: move it from there: mv ")
    else:
        rest = f"{tmp_path}/out.replaced-{output.run_id}"
        assert there == {"out/new": "x", **({f"out.replaced-{output.run_id}/old": "x"} if place == "deleting" else {})}
        old = f", and a rest of the old one in {rest}: rm -r {rest}" if place == "deleting" else ""
        assert said == f"the result is whole in {tmp_path}/out{old}"


def test_an_old_result_that_a_killed_run_was_replacing_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "out.replaced-0a1b2c3d/old")
    put(tmp_path / "out.partial-0a1b2c3d/new")
    with OutputFolder(tmp_path / "out", overwrite=False):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: {tmp_path}/out.replaced-0a1b2c3d is an old result that a run was replacing")
    assert f"the new one is whole in {tmp_path}/out.partial-0a1b2c3d" in line
    assert tree(tmp_path) == {"out.replaced-0a1b2c3d/old": "x", "out.partial-0a1b2c3d/new": "x"}


def test_a_failed_rename_puts_the_old_output_back(tmp_path: Path) -> None:
    put(tmp_path / "out/old")
    with (  # noqa: PT012
        pytest.raises(UserError, match="could not be put in place"),
        OutputFolder(tmp_path / "out", overwrite=True, made=MADE) as output,
    ):
        os.rename(output.work, tmp_path / "gone")
        output.commit()
    assert tree(tmp_path)["out/old"] == "x"


def test_of_two_runs_without_overwrite_the_first_to_finish_wins(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", overwrite=False) as first:
        put(Path(first.work) / "first")
        with (  # noqa: PT012
            pytest.raises(UserError, match="out exists"),
            OutputFolder(tmp_path / "out", overwrite=False) as second,
        ):
            put(Path(second.work) / "second")
            first.commit()
            second.commit()
    # Nothing is lost: the second one's result is whole, too, and the message has said where.
    assert tree(tmp_path) == {"out/first": "x", f"{os.path.basename(second.work)}/second": "x"}


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
        with pytest.raises(UserError, match=r"inside|is the input itself"):
            OutputFolder(output, overwrite=True, inputs=["s3://bucket/x", given])
    OutputFolder(data / "in/out", overwrite=False, inputs=[data / "in/a.parquet"])
    OutputFolder(tmp_path / "data2", overwrite=False, inputs=[data])


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="existing file"):
        OutputFolder(put(tmp_path / "out"), overwrite=True)


def test_overwrite_does_not_delete_the_folder_one_works_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    with pytest.raises(UserError, match="overwrite would delete"):
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
    with OutputFolder(tmp_path / "out", overwrite=True, made=MADE) as output:
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


def test_an_empty_folder_is_taken_as_the_output(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with OutputFolder(tmp_path / "out", overwrite=False) as output:
        put(Path(output.work) / "new")
        output.commit()
    assert tree(tmp_path) == {"out/new": "x"}


@pytest.mark.parametrize("stranger", ["thesis.tex", ".git/config", "kept.txt", "deep/er/old", "old/", "kept"])
def test_overwrite_replaces_nothing_that_no_run_made(tmp_path: Path, stranger: str) -> None:
    put(tmp_path / "out/first")
    if stranger.endswith("/"):
        (tmp_path / "out" / stranger).mkdir()
    else:
        put(tmp_path / "out" / stranger)
    before = tree(tmp_path)
    with pytest.raises(UserError, match=rf"a run of this kind does not make \({re.escape(stranger)}\): choose another"):
        OutputFolder(tmp_path / "out", overwrite=True, made=MADE)
    assert tree(tmp_path) == before


def test_overwrite_does_not_delete_what_a_link_in_the_output_leads_to(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/a")
    put(tmp_path / "out/old")
    (tmp_path / "out/kept").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="a run of this kind does not make"):
        OutputFolder(tmp_path / "out", overwrite=True, made=MADE)


@pytest.mark.parametrize("name", ["part-00001-mine.snappy.parquet", "part-99999.parquet", "docs.parquet"])
def test_a_table_of_ours_is_told_from_files_of_a_user_beside_it(tmp_path: Path, name: str) -> None:
    made = (r"metrics\.json", rf"kept/{PARQUET_FOLDER}")
    ours = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
    for path in (
        "metrics.json",
        f"kept/{ours}",
        f"kept/.{ours}.crc",
        "kept/_SUCCESS",
        "kept/part-00001.snappy.parquet",
    ):
        put(tmp_path / "out" / path)
    OutputFolder(tmp_path / "out", overwrite=True, made=made)
    put(tmp_path / "out" / "kept" / name)
    with pytest.raises(UserError, match=rf"does not make \(kept/{re.escape(name)}\)"):
        OutputFolder(tmp_path / "out", overwrite=True, made=made)
    (tmp_path / "out" / "kept" / name).unlink()
    (tmp_path / "out" / "kept" / "part-00002.snappy.parquet").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"does not make \(kept/part-00002"):
        OutputFolder(tmp_path / "out", overwrite=True, made=made)


def test_a_folder_with_our_names_but_without_the_mark_is_no_result(tmp_path: Path) -> None:
    put(tmp_path / "out/kept/part-0.parquet")
    with pytest.raises(UserError, match="no result of such a run"):
        OutputFolder(tmp_path / "out", overwrite=True, made=MADE)
    # And nothing at all is ours unless it is said.
    with pytest.raises(UserError, match="a run of this kind does not make"):
        OutputFolder(tmp_path / "out", overwrite=True)


def test_a_file_that_comes_in_mid_run_saves_its_folder_and_the_result(tmp_path: Path) -> None:
    put(tmp_path / "out/old")
    with (  # noqa: PT012
        pytest.raises(UserError, match="a run of this kind does not make") as caught,
        OutputFolder(tmp_path / "out", overwrite=True, made=MADE) as output,
    ):
        put(Path(output.work) / "new")
        put(tmp_path / "out/thesis.tex")
        output.commit()
    assert f"It is whole in {output.work}" in str(caught.value)
    assert tree(tmp_path) == {
        "out/old": "x",
        "out/thesis.tex": "x",
        f"{os.path.basename(output.work)}/new": "x",
    }


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A mount of the file system that it lies in, as a container's volume is."""
    source, target = tmp_path / "host", tmp_path / "mnt"
    source.mkdir()
    target.mkdir()
    with mounts.mounted(target, "--bind", str(source)):
        yield target


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_mount_point_is_refused_at_once_with_a_folder_in_it(mounted: Path, overwrite: bool) -> None:
    with pytest.raises(UserError, match=f"{mounted} is a mount point.*output='{mounted}/clean'"):
        OutputFolder(mounted, overwrite=overwrite, made=MADE)
    with OutputFolder(mounted / "clean", overwrite=overwrite, made=MADE) as output:
        assert Path(output.work).parent == mounted  # the work lies on the volume, too
        output.commit()


def test_a_folder_that_holds_a_mount_point_is_not_replaced(mounted: Path) -> None:
    put(mounted.parent / "old")
    with pytest.raises(UserError, match=f"holds the mount point {mounted}"):
        OutputFolder(mounted.parent, overwrite=True, made=MADE)


_KILLED = """\
import os, signal, sys
from sparkprep.io.output import PARQUET_FOLDER, OutputFolder
folder = OutputFolder(sys.argv[1], overwrite=False)
folder.__enter__()
open(os.path.join(folder.work, "new"), "w").write("x")
print("ready", flush=True)
if len(sys.argv) == 2:
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def test_what_a_killed_run_left_goes_with_the_next_one_and_a_living_one_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "out")]
    put(tmp_path / "out.partial-12345678/precious")  # the like of ours in name alone
    with subprocess.Popen([*command, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living:
        assert living.stdout is not None
        assert living.stdout.readline() == "ready\n"
        before = set(tmp_path.iterdir())
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=60)
        (dead,) = set(tmp_path.iterdir()) - before
        with OutputFolder(tmp_path / "out", overwrite=False) as output:
            put(Path(output.work) / "new")
            output.commit()
        assert not dead.exists()
        assert len(list(tmp_path.glob("out.partial-*/new"))) == 1
        living.communicate("")
    assert (tmp_path / "out.partial-12345678/precious").exists()
    assert f"note: deleted {dead}, which a killed run had left" in capsys.readouterr().err


def test_no_hidden_checksum_stays_in_a_result(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", overwrite=False) as output:
        put(Path(output.work) / "kept/part-0.parquet")
        put(Path(output.work) / "kept/.part-0.parquet.crc")
        output.commit()
    assert tree(tmp_path) == {"out/kept/part-0.parquet": "x"}
