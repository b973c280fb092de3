"""Jobs run in surroundings that are not a developer's: no locale, no home, no name, other users, read-only places."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from checkout import ROOT
from dedup_runs import prose, save
from mounts import read_only

pytestmark = pytest.mark.slow

STARTS = {
    "sparkprep": [str(Path(sys.executable).with_name("sparkprep")), "dedup"],
    "python -m": [sys.executable, "-m", "sparkprep", "dedup"],
    "python jobs": [sys.executable, str(ROOT / "jobs" / "dedup.py")],
    "spark-submit": ["spark-submit", str(ROOT / "jobs" / "dedup.py")],
}
MODULES = ("tokenize", "random", "queue", "logging", "socket", "json")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(tmp_path / "in" / "docs.parquet", {"id": [1, 2, 3], "text": [prose(1), prose(1), prose(2)]})


def starter(start: str, folder: Path) -> list[str]:
    """Return the words that start a run; the launcher of spark-submit is written as `make setup` writes it."""
    if start != "spark-submit":
        return STARTS[start]
    install = [sys.executable, str(ROOT / "scripts" / "install_launcher.py"), str(folder)]
    subprocess.run(install, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    return [str(folder / "spark-submit"), *STARTS[start][1:]]


def kept(
    command: Sequence[str], source: Path, output: Path, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> list[int]:
    """Return the identifiers that a run keeps, which must succeed."""
    words = [*command, "--input", str(source), "--output", str(output), "--quiet"]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return sorted(pq.read_table(output / "kept")["id"].to_pylist())


def surroundings(**more: str) -> dict[str, str]:
    """Nothing but what finds the code under test."""
    return {"PYTHONPATH": str(ROOT), "SPARK_DRIVER_MEMORY": "1g", **more}


@pytest.mark.parametrize("start", STARTS)
def test_a_folder_full_of_names_of_pythons_own_modules(source: Path, tmp_path: Path, start: str) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    for name in MODULES:
        (cwd / f"{name}.py").write_text("raise SystemExit('a script of the user')\n")
    assert kept(starter(start, tmp_path), source, tmp_path / "out", cwd=cwd, env={**os.environ, **surroundings()}) == [
        1,
        3,
    ]


@pytest.mark.parametrize("start", ["python jobs", "spark-submit"])
def test_an_environment_without_any_variable_of_ones_own(source: Path, tmp_path: Path, start: str) -> None:
    assert kept(starter(start, tmp_path), source, tmp_path / "out_é", cwd=Path("/"), env=surroundings()) == [1, 3]


@pytest.mark.parametrize("start", ["python jobs", "spark-submit"])
def test_a_machine_whose_name_has_no_address(source: Path, tmp_path: Path, start: str) -> None:
    if subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode:
        pytest.skip("no name of one's own may be given here")
    nameless = ["unshare", "--uts", "sh", "-c", 'hostname nowhere.invalid; exec "$@"', "sh"]
    environment = {**os.environ, **surroundings()}
    for name in ("SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME"):
        environment.pop(name, None)
    assert kept([*nameless, *starter(start, tmp_path)], source, tmp_path / "out", env=environment) == [1, 3]


def test_another_user_without_a_home_and_a_place_for_temporary_files_that_is_none(source: Path, tmp_path: Path) -> None:
    if os.geteuid() or shutil.which("setpriv") is None:
        pytest.skip("only root may become another user")
    # To reach the code, which may lie in root's home.
    capabilities = [
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
    ]
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *capabilities]
    place = tmp_path / "theirs"
    place.mkdir()
    place.chmod(0o777)
    environment = surroundings(PATH=os.environ["PATH"], HOME="/nonexistent", TMPDIR="/nonexistent")
    assert kept([*nobody, *STARTS["python -m"]], source, place / "out", env=environment) == [1, 3]
    for words in (["--version"], ["--help"], ["dedup", "--help"], ["explain", str(place / "out"), "2"]):
        command = [*nobody, sys.executable, "-m", "sparkprep", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, words
        assert all(line.startswith("note: compiled kernels are kept in ") for line in done.stderr.splitlines()), words


def test_an_installation_that_may_only_be_read(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "installed"
    shutil.copytree(ROOT / "sparkprep", copy / "sparkprep", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**surroundings(HOME="/nonexistent"), "PYTHONPATH": str(copy), "PATH": os.environ["PATH"]}
    with read_only(copy):
        command = [sys.executable, "-m", "sparkprep", "dedup"]
        assert kept(command, source, tmp_path / "out", cwd=tmp_path, env=environment) == [1, 3]
