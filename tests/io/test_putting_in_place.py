"""The last step of a run: what is finished is put in place, or stays whole and known where it is."""

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest
from trees import put

from sparkprep.errors import UserError
from sparkprep.io.output import OutputFolder

MADE = (r"first",)


def put_in_place(folder: Path, content: str, overwrite: bool = False) -> OutputFolder:
    """Make a result of one file, and return what it was made by."""
    with OutputFolder(folder, overwrite, made=MADE) as output:
        put(Path(output.work) / "first", content)
        output.commit()
    return output


def test_the_command_that_moves_a_finished_result_works_where_an_old_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "out dir"
    put(old / "first", "old")
    real = os.rename

    def refuse(source: str, target: str) -> None:
        if target == str(old) and ".partial-" in source:
            raise OSError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(UserError, match="could not be put in place") as caught:
        put_in_place(old, "new", overwrite=True)
    assert (old / "first").read_text() == "old"
    subprocess.run(str(caught.value).rpartition("from there: ")[2], shell=True, check=True)
    assert (old / "first").read_text() == "new"
    assert (tmp_path / "out dir.old-1" / "first").read_text() == "old"


def test_a_finished_result_that_was_not_put_in_place_is_left_by_later_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(UserError):
            put_in_place(tmp_path / "out", "whole")
    with OutputFolder(tmp_path / "out", False, made=MADE):
        pass
    (left,) = tmp_path.glob("out.partial-*")
    assert (left / "first").read_text() == "whole"
    assert f"{left} holds the finished result of an earlier run" in capsys.readouterr().err


def test_a_signal_that_comes_while_a_result_is_put_in_place_is_answered_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def struck(source: str, target: str) -> None:
        if target == str(tmp_path / "out"):
            signal.raise_signal(signal.SIGINT)
        real(source, target)

    monkeypatch.setattr(os, "rename", struck)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it (nohup)
    try:
        with pytest.raises(KeyboardInterrupt):
            put_in_place(tmp_path / "out", "whole")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "out" / "first").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
