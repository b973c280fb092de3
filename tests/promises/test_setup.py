"""The set-up: a launcher that needs nothing around it, and a `make setup` that does its work once."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from checkout import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sparkprep.emr.stage.package import DESCRIPTION, FOLDERS
from sparkprep.spark.java import java_home

# What Spark's own scripts call. No python, no java.
TOOLS = ("bash", "dirname", "env", "rm", "sh")
JOB = """\
import os, sys
from sparkprep.spark.session import get_session
spark = get_session("launcher")
worker = spark.range(1).mapInArrow(lambda batches: (b.cast(b.schema) for b in batches), "id long").count()
print("driver", sys.executable)
print("java", os.environ["JAVA_HOME"])
print("workers", spark.sparkContext.pythonExec, worker)
print("args", sys.argv[1:])
"""


def run_launcher(folder: Path, *args: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Install the launcher into a folder and run it with no other environment than `environ`."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, ROOT / "scripts" / "install_launcher.py", folder], check=True)
    return subprocess.run(
        [folder / "spark-submit", *args], cwd=cwd, env=environ, capture_output=True, text=True, timeout=240
    )


def folder_of_tools(folder: Path) -> str:
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    return str(folder)


@pytest.mark.slow
def test_the_launcher_needs_no_java_no_environment_and_no_certain_folder(tmp_path: Path) -> None:
    wheel = java_home({})  # None for Linux on aarch64, and for Spark 4, which wants a module that it lacks
    given = {} if wheel else {"JAVA_HOME": str(java_home())}
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "job.py").write_text(JOB)
    done = run_launcher(
        tmp_path / "with space" / "bin",
        "job.py",
        "one word",
        cwd=elsewhere,
        PATH=folder_of_tools(tmp_path / "tools"),
        HOME=str(tmp_path),
        **given,
        SPARK_HOME="/nowhere",
        PYSPARK_PYTHON="python2",
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said["driver"] == sys.executable
    assert said["workers"] == f"{sys.executable} 1"
    assert said["java"] == given.get("JAVA_HOME", wheel)
    assert said["args"] == "['one word']"
    assert not [line for line in done.stderr.splitlines() if "INFO" in line or "WARN " in line]


def test_a_second_setup_has_nothing_to_do(tmp_path: Path) -> None:
    """The stamps of make, with the slow steps left out: each is newer than all it depends on."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "constraints-spark4.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / ".venv").mkdir()
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    environ["PWD"] = str(tmp_path)

    def make(*args: str) -> int:
        return subprocess.run(["make", *args], cwd=tmp_path, env=environ, capture_output=True).returncode

    assert make("-q", "setup") == 1, "nothing is set up yet"
    (tmp_path / ".venv" / ".ready").write_text(f"{tmp_path}\n")
    (tmp_path / ".venv" / ".warm").touch()
    (tmp_path / ".venv" / ".archived").touch()
    assert make("-q", "setup") == 0
    (tmp_path / ".venv" / ".ready").write_text("/another/folder\n")
    (tmp_path / ".venv" / ".warm").touch()
    assert make("-q", "setup") == 1, "an environment that was moved must be made anew"


def test_a_python_that_is_too_old_is_refused_with_the_way_out(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "python3.11").symlink_to(old)
    done = subprocess.run(
        [ROOT / "scripts" / "setup.sh", tmp_path / "venv", "spark"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "make setup PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_every_dependency_is_pinned_also_those_that_others_bring() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["spark"], *extras["java"], *extras["dev"], "setuptools"]
    pins = (ROOT / "constraints.txt").read_text() + (ROOT / "constraints-spark4.txt").read_text()
    pinned = {canonicalize_name(line.split("==")[0]) for line in pins.splitlines() if "==" in line}
    seen: set[str] = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        if name != "setuptools":
            wanted += metadata.requires(name) or []
    assert sorted(seen - pinned) == []


def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"  # the build leaves folders of its own beside what it builds
    unwanted = shutil.ignore_patterns("__pycache__")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, checkout / folder, ignore=unwanted)
    for name in DESCRIPTION:
        shutil.copy(ROOT / name, checkout)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation"]
    built = subprocess.run([*pip, "--wheel-dir", tmp_path, checkout], capture_output=True, text=True, timeout=240)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    files = {path.relative_to(checkout).as_posix() for path in (checkout / "sparkprep").rglob("*") if path.is_file()}
    assert sorted(files - set(zipfile.ZipFile(wheel).namelist())) == []


VERBS = {"tokens": "tokenize"}  # a job called tokenize.py would stand in for a module of Python's


@pytest.mark.parametrize("job", sorted(path.stem for path in (ROOT / "jobs").glob("*.py")))
def test_a_job_starts_though_one_of_them_bears_the_name_of_a_module_of_python(job: str, tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, ROOT / "jobs" / f"{job}.py", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    assert f"sparkprep {VERBS.get(job, job)}" in told.stdout
    assert "examples:" in told.stdout
