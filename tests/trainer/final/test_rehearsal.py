"""A rehearsal of the final run, and what it must not stand for."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import torch
from checkout import ROOT
from runs_of_training import write_shards

from sparkprep.commands import make as make_line
from trainer.checkpoints.folder import held
from trainer.commands.final import main
from trainer.final.rehearsal import MARK
from trainer.final.settings import FinalRun
from trainer.runs import log as run_log


def test_a_rehearsal_deletes_nothing_that_it_did_not_make(
    final: FinalRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine" / "seed").mkdir(parents=True)
    (tmp_path / "mine" / "main.log").write_text("s:0 tel:3.2\n")
    assert main(["--rehearse", "--data", final.data, "--output", str(tmp_path / "mine")]) == 2
    assert "is there already, and no rehearsal made it" in capsys.readouterr().err
    assert (tmp_path / "mine" / "main.log").read_text() == "s:0 tel:3.2\n"


def test_a_real_run_and_a_rehearsal_do_not_share_a_folder(
    final: FinalRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / ".rehearsal").touch()
    words = ["--seed-model", final.seed_model, "--learning-rate", "0.01", "--data", final.data, "--output", str(shared)]
    assert main([*words, "--device", "cpu"]) == 2
    assert "holds a rehearsal" in capsys.readouterr().err
    (shared / "DONE_00003000").touch()  # a real run's, whatever the mark says
    assert main(["--rehearse", "--data", final.data, "--output", str(shared)]) == 2
    assert (shared / "DONE_00003000").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the real run would start")
@pytest.mark.parametrize(
    "words", [[], ["--seed-model", "s.bin"], ["--learning-rate=0.01"], ["-b", "32"], ["--output", "x"]]
)
def test_without_a_gpu_nothing_rehearses_that_was_not_asked_to(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no CUDA device was found, which the final run wants, so nothing was started")
    assert f"--rehearse (`{make_line('train-final', 'REHEARSE=1')}`)" in said
    assert os.listdir(tmp_path) == []


def test_make_says_that_it_rehearses_where_nothing_is_named() -> None:
    words = make("train-final").split()
    assert "echo" in words
    assert words[words.index("exec") + 1 :][1:3] == ["train/train_final.py", "--rehearse;"]


def test_a_rehearsal_is_no_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--rehearse", "--dry-run"]) == 2
    assert "--dry-run goes none; give one of both" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_rehearsal_leaves_the_folder_of_one_that_is_under_way(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", [9_000])
    write_shards(tmp_path / "shards", [4_000], "val")
    out = tmp_path / "out"
    (out / "seed").mkdir(parents=True)
    (out / MARK).touch()
    with held(str(out / "seed")):
        assert main(["--rehearse", "--data", str(tmp_path / "shards"), "--output", str(out)]) == 2
    assert (out / "seed").exists()


@pytest.mark.parametrize("words", [["--seed-model", "s.bin"], ["--steps", "4725"], ["--learning-rate=0.01"]])
def test_a_rehearsal_takes_nothing_that_it_would_ignore(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rehearse", *words]) == 2
    flag = words[0].partition("=")[0]
    assert f"trains a tiny seed model of its own and takes no {flag}; leave out one" in capsys.readouterr().err


def make(*words: str) -> str:
    """What make would run, without running it."""
    told = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return next(line for line in told.replace("\\\n", " ").splitlines() if "train/train_final.py" in line)


def test_make_hands_over_what_is_named() -> None:
    assert make("train-final", "SEED_MODEL=a.bin", "LR=1", "DATA=d", "OUT=o").split("train_final.py ")[1].split() == [
        *("--seed-model", '"a.bin"', "--learning-rate", '"1"', "--data", '"d"', "--output", '"o"')
    ]
    assert make("train-final", "SEED_MODEL=").split("train_final.py ")[1].split() == ["--seed-model", '""']
    assert make("train-final", "REHEARSE=1", "OUT=o").split("train_final.py ")[1].split() == [
        *("--rehearse", "--output", '"o"')
    ]


@pytest.mark.slow
def test_the_rehearsal_goes_the_whole_way_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shards(tmp_path / "shards", [60_000])
    write_shards(tmp_path / "shards", [12_000], "val")
    out = tmp_path / "rehearsal"
    for _ in range(2):  # the second one takes the place of the first
        capsys.readouterr()
        assert main(["--rehearse", "--data", str(tmp_path / "shards"), "--output", str(out)]) == 0
        assert not (out / "left").exists()
        (out / "left").touch()
    told = capsys.readouterr().out
    assert told.count("REHEARSAL") == 2
    assert (out / "logGPT" / "plot.png").stat().st_size > 10_000
    losses = run_log.read(str(out / "seed" / "main.log")).validation.values
    assert losses[0] > losses[1] > losses[-1]
    assert losses[0] - losses[-1] > 1
    shares = [float(share) for share in re.findall(r"([\d.]+)% \w+ MFU", told)]
    assert 0 < min(shares) <= max(shares) <= 100
