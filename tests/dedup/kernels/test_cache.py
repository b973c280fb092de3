"""Compiled kernels find a place on disk for every user, and never one that somebody else could have filled."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkprep.dedup.kernels import cache
from sparkprep.errors import UserError


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system whose temporary folder this is, where neither the installation nor a home can be written to."""
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cache, "_is_writable", lambda folder: False)
    before = os.environ.get(cache.VARIABLE)
    yield tmp_path
    os.environ.pop(cache.VARIABLE, None)
    if before is not None:
        os.environ[cache.VARIABLE] = before


def test_where_the_installation_can_be_written_to_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    cache.have_a_place()
    assert cache.VARIABLE not in os.environ
    assert capsys.readouterr().err == ""


def test_else_a_folder_of_this_users_own_is_taken_and_said(temporary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.have_a_place()
    folder = Path(os.environ[cache.VARIABLE])
    assert folder.parent == temporary
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    said = capsys.readouterr().err
    assert str(folder) in said
    assert "takes a minute" in said
    os.environ.pop(cache.VARIABLE)
    cache.have_a_place()
    assert os.environ[cache.VARIABLE] == str(folder), "a second run must find what the first one compiled"


@pytest.mark.parametrize("trap", ["open to others", "link"])
def test_a_folder_that_others_can_write_to_is_not_trusted(temporary: Path, trap: str) -> None:
    expected = temporary / f"sparkprep-kernels-{os.getuid()}"
    if trap == "link":
        (temporary / "theirs").mkdir()
        expected.symlink_to(temporary / "theirs")
    else:
        expected.mkdir()
        expected.chmod(0o777)
    cache.have_a_place()
    folder = Path(os.environ[cache.VARIABLE])
    assert folder != expected
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_any_place_the_way_out_is_named(temporary: Path) -> None:
    (temporary / "file").touch()
    tempfile.tempdir = str(temporary / "file")
    with pytest.raises(UserError, match=cache.VARIABLE):
        cache.have_a_place()


def test_a_place_named_by_the_user_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, "/named")
    cache.have_a_place()
    assert os.environ[cache.VARIABLE] == "/named"
