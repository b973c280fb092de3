"""Intermediate tables may lie elsewhere than the output: apart from other runs, and gone in the end."""

import subprocess
import sys
from pathlib import Path

import mounts
import pytest
from trees import put, tree

from sparkprep.errors import UserError
from sparkprep.io.output import OutputFolder

MADE = (r"new",)


def test_two_runs_with_one_work_place_do_not_meet(tmp_path: Path) -> None:
    put(tmp_path / "work/of-somebody-else")
    with OutputFolder(tmp_path / "a", overwrite=False, scratch_place=tmp_path / "work") as first:
        put(Path(first.scratch) / "table", "first")
        with OutputFolder(tmp_path / "b", overwrite=False, scratch_place=tmp_path / "work") as second:
            put(Path(second.scratch) / "table", "second")
            put(Path(second.work) / "new")
            second.commit()
        assert (Path(first.scratch) / "table").read_text() == "first"
        put(Path(first.work) / "new")
        first.commit()
    assert tree(tmp_path) == {"a/new": "x", "b/new": "x", "work/of-somebody-else": "x"}


def test_a_work_place_that_was_not_there_is_gone_again_after_a_failure(tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(ZeroDivisionError),
        OutputFolder(tmp_path / "out", overwrite=False, scratch_place=tmp_path / "deep/work") as output,
    ):
        put(Path(output.scratch) / "table")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_commit_that_fails_keeps_the_result_and_no_scratch(tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(UserError, match="It is whole in"),
        OutputFolder(tmp_path / "out", overwrite=False, scratch_place=tmp_path / "work") as output,
    ):
        put(Path(output.scratch) / "table")
        put(Path(output.work) / "new")
        put(tmp_path / "out/of-another-run")
        output.commit()
    assert tree(tmp_path) == {"out/of-another-run": "x", f"{Path(output.work).name}/new": "x"}


def test_a_work_place_in_the_input_or_the_output_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in/a.parquet")
    put(tmp_path / "out/new")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for work in ("in", "in/work", "link/work"):
        with pytest.raises(UserError, match=rf"work='{tmp_path}/in.*' lies inside the input"):
            OutputFolder(tmp_path / "b", overwrite=False, inputs=[tmp_path / "in"], scratch_place=tmp_path / work)
    for work in ("out", "out/work"):
        with pytest.raises(UserError, match=r"lies inside output=.*, which is replaced; choose another one"):
            OutputFolder(tmp_path / "out", overwrite=True, made=MADE, scratch_place=tmp_path / work)
    for work in ("s3://bucket/in/work", "s3n://bucket/in"):
        with pytest.raises(UserError, match="lies inside the input s3://bucket/in"):
            OutputFolder(tmp_path / "b", overwrite=False, inputs=["s3a://bucket/in/"], scratch_place=work)
    # The output in the work place is fine: only the run's own folder there is deleted.
    with OutputFolder(
        tmp_path / "w/out", overwrite=False, inputs=[tmp_path / "in"], scratch_place=tmp_path / "w"
    ) as output:
        put(Path(output.work) / "new")
        output.commit()
    assert tree(tmp_path / "w") == {"out/new": "x"}


def test_a_work_place_that_cannot_be_written_is_told_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with (
        mounts.read_only(tmp_path / "disk"),
        pytest.raises(UserError, match=f"cannot write to {tmp_path}/disk: Read-only file system; .* another work"),
    ):
        OutputFolder(tmp_path / "made/out", overwrite=False, scratch_place=tmp_path / "disk")
    put(tmp_path / "file")
    with pytest.raises(UserError, match=f"cannot write to {tmp_path}/file/work: Not a directory; .* another work"):
        OutputFolder(tmp_path / "made/out", overwrite=False, scratch_place=tmp_path / "file/work")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "file"]


def test_a_full_work_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with (
        mounts.full_disk(tmp_path / "work"),
        pytest.raises(
            UserError, match=f"the disk is full: the one of {tmp_path} or {tmp_path}/work, or that of Spark's"
        ),
        OutputFolder(tmp_path / "out", overwrite=False, scratch_place=tmp_path / "work") as output,
    ):
        (Path(output.scratch) / "table").write_bytes(bytes(200_000))


_KILLED = """\
import os, signal, sys
from sparkprep.io.output import OutputFolder
folder = OutputFolder(sys.argv[1], overwrite=False, scratch_place=sys.argv[2])
folder.__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_in_the_work_place_goes_with_the_next_run_of_any_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    put(work / "sparkprep-0123abcd/precious")  # the like of ours in name alone
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "killed", work], timeout=60)
    (left,) = set(work.iterdir()) - {work / "sparkprep-0123abcd"}
    with OutputFolder(tmp_path / "other", overwrite=False, scratch_place=work):
        assert not left.exists()
    assert f"note: deleted {left}, which a killed run had left" in capsys.readouterr().err
    assert (work / "sparkprep-0123abcd/precious").exists()
