"""--keep-work: what a run that fails has written stays, is told of, is no input, and no later run deletes it."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import s3_buckets
from trees import put, tree

from sparkprep.console import Exit, guarded, what_is_left
from sparkprep.errors import UserError
from sparkprep.io.files import make_folder, write_text
from sparkprep.io.listing import list_files
from sparkprep.io.output import OutputFolder
from sparkprep.io.paths import join_path

MADE = (r"metrics\.json", r"kept/.*")


def fail(error: BaseException, path: str | Path, **options: object) -> OutputFolder:
    """Return the folder of a run that has written a table and then failed by `error`."""
    with pytest.raises(type(error)), OutputFolder(path, False, made=MADE, keep_work=True, **options) as output:  # type: ignore[arg-type]  # noqa: PT012
        make_folder(join_path(output.work, "kept"))
        write_text(join_path(output.work, "kept/part-00000.jsonl"), '{"text": "a"}\n')
        write_text(join_path(output.scratch, "signatures"), "x")
        raise error
    return output


@pytest.mark.parametrize("error", [UserError("no"), RuntimeError("no"), KeyboardInterrupt(), OSError(28, "No space")])
def test_the_work_of_a_failed_run_stays_and_its_error_says_where(tmp_path: Path, error: BaseException) -> None:
    output = fail(error, tmp_path / "out")
    assert Path(output.work, "_tmp/signatures").exists()
    nothing = "nothing was put in place; " if isinstance(error, KeyboardInterrupt) else ""
    assert what_is_left(error) == f"{nothing}the work is kept in {output.work}"


def test_the_error_that_a_full_disk_becomes_says_it_too(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="the disk is full") as caught,
        OutputFolder(tmp_path / "out", False, keep_work=True) as output,
    ):
        raise RuntimeError("java.io.IOException: No space left on device")
    assert what_is_left(caught.value) == f"the work is kept in {output.work}"


def test_the_last_line_of_a_program_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        with OutputFolder(tmp_path / "out", False, keep_work=True):
            raise UserError("the last stage failed")

    assert guarded(work, debug=False) == Exit.USER_ERROR
    (folder,) = tmp_path.iterdir()
    assert capsys.readouterr().err == f"error: the last stage failed; the work is kept in {folder}\n"


def test_it_is_no_input_and_a_later_run_tells_of_it_and_leaves_it_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = fail(UserError("no"), tmp_path / "out")
    for inside in ("", "kept"):
        with pytest.raises(UserError, match="the result of a run that has not finished"):
            list_files([Path(output.work, inside)])
    before = tree(Path(output.work))
    with OutputFolder(tmp_path / "out", False, made=MADE) as later:
        put(Path(later.work) / "metrics.json")
        later.commit()
    assert tree(Path(output.work)) == before
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: {output.work} holds the work of a run that did not finish, which keep_work kept;")
    subprocess.run(shlex.split(line.rpartition("use: ")[2]), check=True)
    assert tree(tmp_path) == {"out/metrics.json": "x"}


def test_it_stays_after_a_kill_too(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from sparkprep.io.output import OutputFolder\n"
        "OutputFolder(sys.argv[1], False, keep_work=True).__enter__(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], env=os.environ, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with OutputFolder(tmp_path / "out", False):
        assert len(list(tmp_path.glob("out.partial-*"))) == 2
    assert len(list(tmp_path.glob("out.partial-*"))) == 1


def test_a_run_that_succeeds_leaves_no_more_than_any_other(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out", False, scratch_place=tmp_path / "work", keep_work=True) as output:
        put(Path(output.work) / "kept/a")
        put(Path(output.scratch) / "b")
        output.commit()
    assert tree(tmp_path) == {"out/kept/a": "x"}


def test_a_work_place_of_its_own_is_kept_as_well(tmp_path: Path) -> None:
    error = UserError("no")
    output = fail(error, tmp_path / "out", scratch_place=tmp_path / "work")
    assert Path(output.scratch, "signatures").exists()
    assert what_is_left(error) == f"the work is kept in {output.work} and {output.scratch}"


def test_on_s3_it_is_kept_marked_and_told_of(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    s3_buckets.clear()
    output = fail(UserError("no"), f"{bucket}/made/out")
    assert f"made/out.partial-{output.run_id}/_tmp/signatures" in s3_buckets.objects()
    with pytest.raises(UserError, match="the result of a run that has not finished"):
        list_files([join_path(output.work, "kept")])
    with OutputFolder(f"{bucket}/made/out", False, made=MADE, keep_work=True) as later:
        write_text(join_path(later.work, "metrics.json"), "x")
        later.commit()
    assert output.work in capsys.readouterr().err
    left = {key for key in s3_buckets.objects() if output.run_id not in key}
    assert left == {"made/out/metrics.json"}
