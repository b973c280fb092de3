"""Losses that are no numbers, memory and disks that are full, a second run: what was good stays good."""

import math
import os
import re
import resource
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkout import ROOT
from mounts import full_disk
from runs_of_training import log_values
from short_runs import LAST, Capsys, content, names, refused, same_end, seed_model, steps, words

from sparkprep.errors import UserError
from trainer.checkpoints import model_file
from trainer.checkpoints.folder import held
from trainer.commands.train import main
from trainer.loop import memory
from trainer.loop.loop import Trainer, Update
from trainer.loop.start import begin
from trainer.models.gpt2 import GPT2
from trainer.runs.history import load_run
from trainer.runs.log import RunLog
from trainer.settings import parse


def finite_checkpoints(folder: Path) -> list[int]:
    """The steps of the checkpoints, all of which can be read."""
    for step in steps(folder):
        model_file.open_model(str(folder / f"model_{step:08d}.bin"))
    return steps(folder)


def test_a_loss_that_is_no_number_stops_the_run(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin", scale=1e30)
    said = refused(capsys, tmp_path / "out", data, e=path, n=1)
    assert "step 1: the loss is" in said
    assert "no checkpoint has been written yet" in said
    assert "--on-nan skip" in said
    assert steps(tmp_path / "out") == []


def test_a_run_that_explodes_names_its_last_good_checkpoint(out: Path, data: Path, capsys: Capsys) -> None:
    said = refused(capsys, out, data, y=1, l=1e30)
    assert "step 10: the loss is nan" in said
    assert f"the last good checkpoint is {out}/model_00000008.bin" in said
    assert "lower -l" in said
    assert finite_checkpoints(out) == [4, 8]


def test_weights_beyond_all_numbers_are_never_saved(out: Path, data: Path, capsys: Capsys) -> None:
    said = refused(capsys, out, data, y=1, l=1e39, n=1)  # no float32 is as large
    assert "step 9: weights have grown beyond all numbers" in said
    assert f"the last good checkpoint is {out}/model_00000008.bin" in said
    assert finite_checkpoints(out) == [4, 8]


def test_updates_that_are_no_numbers_can_be_skipped(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin", scale=1e30)
    folder = tmp_path / "out"
    assert main(words(folder, data, e=path, n=1, x=3, **{"-on-nan": "skip"})) == 0
    assert capsys.readouterr().out.count("update skipped: not a number") == 3
    assert finite_checkpoints(folder) == [1, 2, 3]
    assert (folder / "model_00000003.bin").read_bytes() == path.read_bytes()
    losses = load_run(str(folder)).history.train
    assert losses.steps.tolist() == [0, 1, 2]
    assert not np.isfinite(losses.values).any()


def test_both_messages_about_a_loss_that_is_no_number_tell_the_step_that_the_line_above_them_tells(
    out: Path, data: Path, capsys: Capsys
) -> None:
    capsys.readouterr()
    assert main(words(out, data, y=1, l=1e30)) == 2
    told, err = capsys.readouterr()
    *_, line, skipped = told.splitlines()
    assert "| loss     nan (" in line
    step = line.split("/")[0].split()[1]
    assert skipped.startswith(f"step {step}: update skipped: not a number")
    assert f"error: step {step}: the loss is nan" in err


def test_ten_updates_in_a_row_that_are_no_numbers_stop_a_run_that_skips_them(
    data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    path = seed_model(tmp_path / "seed.bin", scale=1e30)
    said = refused(capsys, tmp_path / "out", data, e=path, n=6, x=30, **{"-on-nan": "skip"})
    assert "step 10: the loss is" in said
    assert ", the 10th in a row, so the run was stopped; the last good checkpoint is" in said
    assert "--on-nan" not in said
    assert finite_checkpoints(tmp_path / "out") == [6]


def test_a_number_between_updates_that_are_none_begins_the_count_anew(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    run = begin(parse(words(folder, data, **{"-on-nan": "skip"})), str(folder))
    bad = Update(math.nan, 1.0, 0.1, 0.0, 0.0, 1.0, "not a number")
    with RunLog(str(folder), resume=False) as log:
        trainer = Trainer(run, log, peak=1.0)
        for update in [*[bad] * 9, replace(bad, loss=3.0), *[bad] * 9]:
            trainer._stop_on_nan(0, update)
        with pytest.raises(UserError, match="the 10th in a row"):
            trainer._stop_on_nan(0, bad)


GIB = 1 << 30


@pytest.mark.parametrize(
    ("fixed", "per_row", "asked", "rows", "best"),
    [
        (2, 1.0, 64, 512, 16),  # 36 GiB of which a tenth stays free: 30 rows fit, 16 is the power of two
        (2, 1.0, 16, 512, 8),  # smaller than what has just failed
        (2, 1.0, 64, 24, 12),  # 16 does not divide the rows of an update
        (2, 1.0, 64, 7, 7),
        (2, 0.25, 64, 512, 32),  # 122 rows fit; the largest below 64 that divides 512
    ],
)
def test_the_advice_is_the_largest_batch_that_fits_and_divides(
    fixed: int, per_row: float, asked: int, rows: int, best: int
) -> None:
    said = memory.advice("full", fixed * GIB, int(per_row * GIB), 36 * GIB, asked, rows)
    assert said.startswith(f"full: it would take about {fixed + asked * per_row:.1f} GiB of 36.0; -b {best} would fit")


def test_the_advice_where_nothing_fits_is_another_model() -> None:
    said = memory.advice("full", 40 * GIB, GIB, 36 * GIB, 4, 64)
    assert "not even -b 1 fits; give a smaller -t" in said


def test_a_full_gpu_ends_in_one_line_with_a_batch_that_fits(
    data: Path, tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by_step: list[weakref.ref[torch.Tensor]] = []
    freed: list[bool] = []

    def forward(self: GPT2, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        activations = self.hidden(ids)
        if torch.is_grad_enabled():
            held_by_step.append(weakref.ref(activations))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return activations.sum()

    def measure(model: GPT2, seq_len: int) -> tuple[int, int]:
        freed.extend(each() is None for each in held_by_step)
        return GIB, GIB

    monkeypatch.setattr(GPT2, "forward", forward)
    monkeypatch.setattr(memory, "_measure", measure)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 6 * GIB))
    said = refused(capsys, tmp_path / "out", data, b=8, d=256)
    assert "CUDA out of memory at -b 8: it would take about 9.0 GiB of 6.0; -b 4 would fit" in said
    assert freed == [True], "the trial run would find the memory as full as the step did"


def test_a_model_that_does_not_fit_on_a_gpu_ends_in_one_line(
    data: Path, tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moments(values: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch, "zeros_like", moments)
    said = refused(capsys, tmp_path / "out", data)
    assert "CUDA out of memory before the first step" in said
    assert "smaller model" in said


def test_ctrl_c_names_the_last_good_checkpoint(
    out: Path, data: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: GPT2, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(GPT2, "forward", forward)
    assert main(words(out, data, y=1)) == 130
    said = capsys.readouterr().err
    assert (
        f"interrupted at step 8; the last good checkpoint is {out}/model_00000008.bin, from which -y 1 goes on\n"
        in said
    )
    assert steps(out) == [4, 8]


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file of this process may become larger: writing on fails as on a full disk, in the middle of a file."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("during", ["model", "state"])
def test_a_full_disk_leaves_the_old_checkpoint_and_with_room_the_run_ends_alike(
    during: str, out: Path, whole: Path, data: Path, capsys: Capsys
) -> None:
    sizes = {"model": "model_00000008.bin", "state": "state_00000008_00000.bin"}
    before = {name: bytes_ for name, bytes_ in content(out).items() if name.startswith(("model", "state", "check"))}
    with disk_full_at((out / sizes[during]).stat().st_size - 1000):
        said = refused(capsys, out, data, y=1)
    assert f"{out}/{during}_{LAST:08d}" in said
    assert f"cannot be written: File too large; the last good checkpoint is {out}/model_00000008.bin" in said
    assert "-y 1 goes on" in said
    assert steps(out) == [4, 8]
    assert before.items() <= content(out).items()
    assert not [name for name in names(out) if "partial" in name]
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)
    assert log_values(whole).items() <= log_values(out).items()


@pytest.mark.parametrize("there", [1, 2], ids=["-nk 1 is no help", "-nk 1 helps"])
def test_the_advice_on_a_full_disk_succeeds_when_it_is_followed(
    there: int, whole: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    size = sum(path.stat().st_size for path in whole.glob("*_00000012*"))
    (tmp_path / "disk").mkdir()
    with full_disk(tmp_path / "disk", kilobytes=int((there + 1.1) * size / 1024)) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(size))
        said = refused(capsys, disk / "out", data)
        assert f"the last good checkpoint is {disk}/out/model_{4 * there:08d}.bin" in said
        if there == 2:
            assert "-y 1 -nk 1 goes on, and deletes the checkpoints of steps 4 (" in said
            options: dict[str, object] = {"y": 1, "nk": 1}
        else:
            lacks = float(re.search(r"Free (\d+\.\d) MB or more; -y 1 goes on", said)[1])  # type: ignore[index]
            assert 0 < lacks < size / 1e6
            options = {"y": 1, "es": 8}
            os.truncate(ballast, size - int(lacks * 1e6))
        assert main(words(disk / "out", data, **options)) == 0
        assert steps(disk / "out") == ([4, 8] if there == 1 else [12])


def test_a_log_that_finds_no_room_is_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    with disk_full_at(3000):  # the table of parameters fits
        said = refused(capsys, tmp_path / "out", data, n=0, x=80, d=-1)
    assert f"{tmp_path}/out/main.log: cannot be written" in said
    assert "free space" in said
    history = load_run(str(tmp_path / "out")).history
    assert len(history.train) > 10


# Two runs


def test_a_folder_that_another_run_writes_into_is_refused_and_left_alone(out: Path, data: Path, capsys: Capsys) -> None:
    with held(str(out)):
        before = content(out)
        said = refused(capsys, out, data, y=1)
        assert content(out) == before
    assert f"{out}: another run (process {os.getpid()}) writes into this folder" in said
    assert "-o" in said
    assert main(words(out, data, y=1, es=8)) == 0  # the hold has ended


def test_the_hold_of_a_killed_run_is_gone(out: Path, data: Path, capsys: Capsys) -> None:
    script = (
        f"import sys, time; sys.path.insert(0, {str(ROOT / 'train')!r})\n"
        "from trainer.checkpoints.folder import held\n"
        f"with held({str(out)!r}): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert f"another run (process {other.pid})" in refused(capsys, out, data, y=1)
        other.kill()
    assert main(words(out, data, y=1, es=8)) == 0
