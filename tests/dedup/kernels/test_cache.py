"""Compiled kernels find a place on disk for every user, and never one that somebody else could have filled."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mounts
import pytest
from checkout import ROOT

from sparkprep.dedup.kernels import cache


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system whose temporary folder this is, where neither the installation nor a home can be written to."""
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cache, "_is_usable", lambda folder: False)
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


CONNECT = """
import numpy as np
from sparkprep.dedup.kernels.components import connected_components
edges = np.array([[0, 1]], np.int64)
connected_components(3, edges[:, 0], edges[:, 1])
print(sum(connected_components.stats.cache_hits.values()), sum(connected_components.stats.cache_misses.values()))
"""


@pytest.mark.parametrize("home", ["home", "site/home"])
def test_kernels_that_lie_compiled_in_a_read_only_installation_are_not_compiled_again(
    tmp_path: Path, home: str
) -> None:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "sparkprep", site / "sparkprep", ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "TMPDIR": str(tmp_path)}
    environment |= {"HOME": str(tmp_path / home)}

    def connect() -> str:
        command = [sys.executable, "-c", CONNECT]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300
        ).stdout

    assert connect() == "0 1\n"
    with mounts.read_only(site):
        assert connect() == "1 0\n"
        for compiled in [*tmp_path.rglob("kernels_*/*.nbc")]:
            compiled.unlink()
        assert connect() == "1 0\n", "what is lost there is copied again"


def test_without_any_place_nothing_is_kept_and_the_cost_and_the_way_out_are_said(
    temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (temporary / "file").touch()
    tempfile.tempdir = str(temporary / "file")
    assert not cache.have_a_place()
    assert cache.VARIABLE not in os.environ
    said = capsys.readouterr().err
    assert "each process compiles what it needs, which takes a minute" in said
    assert cache.VARIABLE in said


def test_a_place_named_by_the_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    assert cache.have_a_place()
    assert os.environ[cache.VARIABLE] == str(tmp_path)


def test_a_named_place_that_cannot_be_written_to_is_said_to_be_so(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(cache.VARIABLE, "/named")
    assert cache.have_a_place()
    folder = os.environ[cache.VARIABLE]
    assert Path(folder).parent == temporary
    assert f"kept in {folder}, since /named cannot be written to" in capsys.readouterr().err


IN_ENVIRONMENT = """
import os, sys
import numba  # which looks at the variable when it is imported
sys.prefix = sys.argv[1]
from sparkprep.dedup.kernels import components
print(os.path.dirname(components.connected_components._cache.cache_path))
"""


@pytest.mark.parametrize("way", ["of the environment", "unreadable"])
def test_the_folder_that_an_environment_brings_is_used_unless_what_is_in_it_cannot_be_read(
    tmp_path: Path, way: str
) -> None:
    place = tmp_path / "numba"
    place.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "home")}
    if way == "unreadable":
        unread = place / cache._numbas_name(ROOT / "sparkprep" / "dedup" / "kernels") / "theirs.nbi"
        unread.parent.mkdir()
        unread.symlink_to("/nowhere")  # as good as unreadable, for root too
    command = [sys.executable, "-c", IN_ENVIRONMENT, tmp_path]
    used = subprocess.check_output(command, env=environment, text=True, timeout=300).strip()
    assert used == (str(tmp_path / "home/.cache/numba") if way == "unreadable" else str(place))
