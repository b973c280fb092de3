"""A script that lacks a package says so in one line with the way out; a command that is printed can be run."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT, TRAIN

from trainer.launch import command_of

# Runs a script as `python SCRIPT ...` would, where the packages named first are not installed.
_WITHOUT = """\
import runpy, sys
lacking, *sys.argv = sys.argv[1:]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in lacking.split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
COMMANDS = {
    "train_gpt2.py": ["-o", "x", "-x", "20"],
    "train_final.py": ["--seed-model", "s.bin", "--device", "cpu"],
    "hellaswag.py": ["model.bin"],
    "inference_gpt2.py": ["-e", "model.bin", "-p", "The"],
    "plot.py": ["log"],
    "convert_hf.py": ["export", "model.bin", "out"],
    "tune_lr.py": ["probe", "--data", "x_train_*.bin", "--budget", "1"],
    "upload_to_s3.py": ["bucket", "log", "cluster"],
}


def run(*words: str, cwd: Path, lacking: str) -> subprocess.CompletedProcess[str]:
    code = [sys.executable, "-c", _WITHOUT, lacking, *words]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(code, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def test_there_is_a_command_for_each_script() -> None:
    assert set(COMMANDS) == {path.name for path in TRAIN.glob("*.py")}


@pytest.mark.parametrize("script", sorted(COMMANDS))
def test_without_the_trainers_packages_one_line_tells_the_way_out(script: str, tmp_path: Path) -> None:
    done = run(str(TRAIN / script), *COMMANDS[script], cwd=tmp_path, lacking="torch,matplotlib,boto3,safetensors")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    package = {"plot.py": "matplotlib", "upload_to_s3.py": "boto3"}.get(script, "torch")
    assert line.startswith(f"error: {package} is not installed for this Python ({sys.executable}); ")
    assert f"`make -C {ROOT} setup-train` makes a Python that has it, with which `" in line
    assert f"`{sys.executable} -m pip install {ROOT} {TRAIN}` installs it here" in line
    assert os.listdir(tmp_path) == []


def test_a_python_without_any_of_it_is_told_the_same(tmp_path: Path) -> None:
    done = run(str(TRAIN / "train_gpt2.py"), "-x", "1", cwd=tmp_path, lacking="sparkprep")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: sparkprep is not installed for this Python")


def test_a_python_that_is_too_old_is_told_so_in_a_line() -> None:
    code = f"import sys; sys.version_info = (3, 6, 15); sys.path[0] = {str(TRAIN)!r}; import trainer.launch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is older than the Python 3.11 that the trainer wants; `make setup-train`" in done.stderr


def test_a_file_of_ours_that_is_lost_is_no_package_to_install(tmp_path: Path) -> None:
    done = run(str(TRAIN / "plot.py"), "log", cwd=tmp_path, lacking="trainer.runs.plots")
    assert done.returncode == 70
    assert "setup-train" not in done.stderr


@pytest.mark.parametrize("folder", ["checkout", "elsewhere"])
def test_a_printed_command_names_the_python_that_runs_and_a_script_that_is_there(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"checkout": ROOT, "elsewhere": tmp_path}[folder]
    monkeypatch.chdir(place)
    python, script = shlex.split(command_of("plot.py"))
    assert os.path.samefile(python, sys.executable)
    assert os.path.samefile(script, TRAIN / "plot.py")
    assert (script == "train/plot.py") == (place == ROOT)
