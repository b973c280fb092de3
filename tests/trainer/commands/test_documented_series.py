"""The documented series of experiments works as printed, and given again it trains nothing twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT
from runs_of_training import write_shards

HEADING = "### Several experiments, one after another"
RATES = ("0.0003", "0.001", "0.003")


def series() -> str:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    block = re.search(r"^```\n(.*?)^```", text.split(HEADING)[1], re.DOTALL | re.MULTILINE)
    assert block is not None
    return block[1]


def run(folder: Path, script: str) -> str:
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))  # as an activated environment has it
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands are typed: beside train/ and the demo's shards."""
    (tmp_path / "train").symlink_to(ROOT / "train")
    write_shards(tmp_path / "demo" / "shards", [30_000])
    write_shards(tmp_path / "demo" / "shards", [9_000], "val")
    return tmp_path


@pytest.mark.slow
def test_the_series_trains_each_and_plots_all_and_given_again_nothing_twice(folder: Path) -> None:
    assert [run(folder, series()).count("step   19/20 | loss") for _ in range(2)] == [3, 0]
    for rate in RATES:
        assert (folder / "log" / f"lr-{rate}" / "DONE_00000020").exists()
    assert (folder / "log" / "all.png").stat().st_size > 10_000
    assert not (folder / "log" / "failed.txt").exists()


def test_one_that_fails_is_noted_and_the_others_are_run(folder: Path) -> None:
    # Two of the three are refused at once, as their folders are files.
    (folder / "log").mkdir()
    for rate in RATES[:2]:
        (folder / "log" / f"lr-{rate}").write_text("")
    short = series().replace("-x 20", "-x 1").replace("-v 10", "-v 0").replace("-d 1024", "-d 512")
    assert short != series()
    run(folder, short)
    assert (folder / "log" / f"lr-{RATES[2]}" / "DONE_00000001").exists()
    assert (folder / "log" / "failed.txt").read_text().splitlines() == [
        f"lr {rate} ended with code 2" for rate in RATES[:2]
    ]
