"""What a user can mend ends training with one line and code 2, and breaks nothing that was there; what it can go on
from, it goes on from."""

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from runs_of_training import ROOT, command, log_values, write_shards

from gpt2 import memory
from gpt2.files import model_file
from gpt2.folder import held
from gpt2.model import GPT2, initialise
from gpt2.runs import load_run
from gpt2.shape import Shape
from gpt2.train_cli import main
from sparkprep.tokens.formats import shard

LAST = 12
SHAPE = {"1d": 1, "1c": 8, "1h": 1}
SMALL = Shape(1, 1, 8)
Capsys = pytest.CaptureFixture[str]


def words(folder: Path, data: Path, **options: object) -> list[str]:
    """A run of 12 steps on the data, with checkpoints at 4, 8 and 12; None leaves a flag out."""
    return command(folder, data, **{**SHAPE, "x": LAST, "n": 4, "v": 0, **options})


def refused(capsys: Capsys, folder: Path, data: Path, **options: object) -> str:
    """The line of a command that is refused, after notes and warnings that stand on lines of their own."""
    capsys.readouterr()
    assert main(words(folder, data, **options)) == 2
    err = capsys.readouterr().err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert err.endswith(f"{errors[0]}\n")  # the last line, and one line
    assert "Traceback" not in err
    return errors[0]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> set[str]:
    """What lies in a folder besides the lock."""
    return {each.name for each in folder.iterdir()} - {".lock"} if folder.exists() else set()


def steps(folder: Path) -> list[int]:
    """Of the complete checkpoints."""
    return sorted(int(path.name[5:]) for path in folder.glob("DONE_*"))


def flip(path: Path, at: float, bit: int = 4) -> None:
    """Change one bit of a file, `at` between 0 (its first byte) and 1."""
    with path.open("r+b") as file:
        place = int(at * (path.stat().st_size - 1))
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def put_nan(path: Path) -> None:
    """A NaN among the values of a float32 file."""
    with path.open("r+b") as file:
        file.seek(1024 + 4 * 5000)
        file.write(np.array([np.nan], "<f4").tobytes())


def seed_model(path: Path, scale: float = 1.0, shape: Shape = SMALL) -> Path:
    model = GPT2(shape)
    initialise(model)
    model_file.write(str(path), shape, model.flat * scale, 3)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shards(folder, [700, 500, 330])
    write_shards(folder, [200], "val")
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed; not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    assert main(words(folder, data)) == 0
    return folder


@pytest.fixture(scope="module")
def half(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was to stop at 8 of 12; not to be changed."""
    folder = tmp_path_factory.mktemp("half") / "out"
    assert main(words(folder, data, es=8)) == 0
    return folder


@pytest.fixture
def out(half: Path, tmp_path: Path) -> Path:
    """A copy of the half-way run, to be damaged and gone on with."""
    return Path(shutil.copytree(half, tmp_path / "out"))


def same_end(a: Path, b: Path) -> None:
    for name in (f"model_{LAST:08d}.bin", f"state_{LAST:08d}_00000.bin"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


# Data


@pytest.mark.parametrize("flag", ["id", "iv"])
def test_a_pattern_that_matches_no_shard_is_named_with_its_flag(
    flag: str, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    said = refused(capsys, tmp_path / "out", data, **{flag: tmp_path / "none_*.bin"})
    assert f"-{flag} {tmp_path}/none_*.bin: no shard matches" in said
    assert "sparkprep tokenize" in said
    assert names(tmp_path / "out") == set()


@pytest.mark.parametrize("flag", ["id", "iv"])
def test_a_shard_shorter_than_a_micro_batch_is_named(flag: str, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [700, 32])
    said = refused(capsys, tmp_path / "out", data, **{flag: pattern})
    assert "t_train_000001.bin: 32 tokens are fewer than the 33 of one micro-batch (-b 2 times -t 16, plus one)" in said
    assert f"leave this shard out of -{flag}" in said


def test_a_shard_of_just_one_micro_batch_is_enough(data: Path, tmp_path: Path) -> None:
    pattern = write_shards(tmp_path / "data", [33])
    assert main(words(tmp_path / "out", data, id=pattern, x=1, n=0)) == 0


def test_a_shard_of_another_magic_is_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [700, 700])
    flip(tmp_path / "data" / "t_train_000001.bin", 0)
    said = refused(capsys, tmp_path / "out", data, id=pattern)
    assert "t_train_000001.bin: not a token shard" in said
    assert names(tmp_path / "out") == set()


def test_a_shard_cut_short_is_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [700, 700])
    truncate(tmp_path / "data" / "t_train_000000.bin")
    assert "t_train_000000.bin: cut short: 2,324 bytes" in refused(capsys, tmp_path / "out", data, id=pattern)


def bad_token(path: Path, at: int) -> str:
    """A shard of 700 tokens with one that GPT-2 does not have."""
    tokens = np.full(700, 11, "<u2")
    tokens[at] = 60000
    path.write_bytes(shard.header_bytes(700) + tokens.tobytes())
    return str(path)


def test_a_token_out_of_the_vocabulary_stops_training_at_its_place_and_leaves_the_checkpoints(
    data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    folder = tmp_path / "out"
    # Of 21 windows two are drawn a step, so that it is met in the first epoch, of ten steps and a half.
    said = refused(capsys, folder, data, id=bad_token(tmp_path / "bad.bin", 123), n=1)
    assert f"{tmp_path}/bad.bin: the token at position 123 is 60,000" in said
    for step in steps(folder):
        model_file.open_model(str(folder / f"model_{step:08d}.bin"))
    assert len(steps(folder)) == max(steps(folder), default=0)


@pytest.mark.parametrize("options", [{"m": -1}, {"-val-tokens": 656}], ids=["batches", "tokens"])
def test_a_token_out_of_the_vocabulary_in_validation_data_is_named(
    options: dict[str, object], data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    said = refused(capsys, tmp_path / "out", data, iv=bad_token(tmp_path / "bad.bin", 600), v=1, **options)
    assert f"{tmp_path}/bad.bin: the token at position 600 is 60,000" in said


def test_more_validation_tokens_than_there_are_is_refused_with_what_there_is(
    data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    said = refused(capsys, tmp_path / "out", data, **{"-val-tokens": 208})
    assert "--val-tokens 208: the validation shards hold 192 in rows of 16; give --val-tokens 192" in said


def test_an_update_larger_than_the_data_is_refused_for_one_epoch(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert "-x -1: the training shards hold 1,530 tokens" in refused(capsys, tmp_path / "out", data, x=-1, d=2048)


@pytest.mark.parametrize("flag", ["es", "ss"])
def test_a_step_beyond_one_epoch_is_refused(flag: str, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    said = refused(capsys, tmp_path / "out", data, x=-1, **{flag: 24})
    assert f"-{flag} 24 lies beyond the 23 steps of one epoch" in said


# Flags that do not go together, or with the machine


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"d": 80}, "-b 2 times -t 16 does not divide -d 80"),
        ({"es": 13}, "-es 13 lies beyond -x 12"),
        ({"ss": 13}, "-ss 13 lies beyond -x 12"),
    ],
)
def test_values_that_do_not_go_together_begin_no_run(
    options: dict[str, object], said: str, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    assert said in refused(capsys, tmp_path / "out", data, **options)
    assert names(tmp_path / "out") == set()


def test_rows_longer_than_a_new_models_positions_are_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "data", [1100])
    said = refused(capsys, tmp_path / "out", data, id=pattern, iv=pattern, b=1, t=1040, d=-1)
    assert "-t 1040: a new model has 1024 positions; give -t 1024 or less" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_cuda_that_is_not_there_is_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    said = refused(capsys, tmp_path / "out", data, **{"-device": "cuda"})
    assert "--device cuda: CUDA is not there" in said
    assert "--device cpu" in said


# The model to start from


def test_a_model_file_that_is_not_there_is_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    said = refused(capsys, tmp_path / "out", data, e=tmp_path / "none.bin")
    assert f"{tmp_path}/none.bin: cannot be read" in said


def test_a_model_whose_checkpoint_has_lost_it_is_named(out: Path, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    (out / "model_00000008.bin").unlink()  # its .json is still there
    said = refused(capsys, tmp_path / "new", data, e=out / "model_00000008.bin")
    assert "model_00000008.bin: cannot be read" in said


def test_a_model_file_of_another_ending_is_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert "neither a .bin file nor one of d12" in refused(capsys, tmp_path / "out", data, e="model.safetensors")


@pytest.mark.parametrize(
    ("damage", "said"),
    [(truncate, "cut short: "), (put_nan, "damaged: value 5,000 of its weights is nan")],
    ids=["cut", "nan"],
)
def test_a_damaged_model_file_is_named(
    damage: Callable[[Path], None], said: str, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    path = seed_model(tmp_path / "seed.bin")
    damage(path)
    assert f"{path}: {said}" in refused(capsys, tmp_path / "out", data, e=path)


def test_a_model_of_a_checkpoint_with_one_bit_changed_is_refused(
    out: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    path = out / "model_00000008.bin"
    flip(path, 0.5, bit=0)  # a value that no other test would notice
    said = refused(capsys, tmp_path / "new", data, e=path)
    assert f"{path}: damaged: its SHA-256 is" in said


def test_shape_flags_that_contradict_the_model_file_are_named(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin")
    said = refused(capsys, tmp_path / "out", data, e=path, **{"1d": 2, "1c": 16})
    assert f"{path}: does not fit -1d 2 (it has 1), -1c 16 (it has 8)" in said
    assert "leave these flags out" in said


def test_rows_longer_than_the_models_positions_are_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin", shape=Shape(1, 1, 8, max_seq_len=32))
    said = refused(capsys, tmp_path / "out", data, e=path, t=48, d=96)
    assert f"-t 48: {path} has 32 positions; give -t 32 or less" in said


def test_a_model_with_few_positions_is_trained_and_sampled_within_them(
    data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    path = seed_model(tmp_path / "seed.bin", shape=Shape(1, 1, 8, max_seq_len=32))
    assert main(words(tmp_path / "out", data, e=path, t=32, x=2, s=1, g=64)) == 0
    out, err = capsys.readouterr()
    assert out.count("generating:") == 2
    assert "shorter than the model's" not in err
    assert model_file.read_header(str(tmp_path / "out" / "model_00000002.bin")).shape.max_seq_len == 32


def test_a_model_of_a_smaller_vocabulary_is_refused(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin", shape=Shape(1, 1, 8, vocab_size=300))
    said = refused(capsys, tmp_path / "out", data, e=path)
    assert f"{path}: its vocabulary has 300 tokens, and the shards' 50,257" in said


# Losses that are no numbers, memory and disks that are full


def finite_checkpoints(folder: Path) -> list[int]:
    """The steps of the checkpoints, all of which can be read."""
    for step in steps(folder):
        model_file.open_model(str(folder / f"model_{step:08d}.bin"))
    return steps(folder)


def test_a_loss_that_is_no_number_stops_the_run(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    path = seed_model(tmp_path / "seed.bin", scale=1e30)
    said = refused(capsys, tmp_path / "out", data, e=path, n=1)
    assert "step 0: the loss is" in said
    assert "no checkpoint has been written yet" in said
    assert "--on-nan skip" in said
    assert steps(tmp_path / "out") == []


def test_a_run_that_explodes_names_its_last_good_checkpoint(out: Path, data: Path, capsys: Capsys) -> None:
    said = refused(capsys, out, data, y=1, l=1e30)
    assert "step 9: the loss is nan" in said
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
    assert f"interrupted at step 8; the last good checkpoint is {out}/model_00000008.bin\n" in said
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
    assert "Free space" in said
    assert "-y 1" in said
    assert steps(out) == [4, 8]
    assert before.items() <= content(out).items()
    assert not [name for name in names(out) if "partial" in name]
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)
    assert log_values(whole).items() <= log_values(out).items()


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
        "from gpt2.folder import held\n"
        f"with held({str(out)!r}): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert f"another run (process {other.pid})" in refused(capsys, out, data, y=1)
        other.kill()
    assert main(words(out, data, y=1, es=8)) == 0


# Going on


def started_from(capsys: Capsys) -> str:
    """What the table of parameters says of the weights."""
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| weight init method"))
    return Path(line.split("|")[2].strip()).name


def test_a_run_that_goes_on_ends_as_one_that_never_stopped(out: Path, whole: Path, data: Path) -> None:
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)
    assert log_values(whole).items() <= log_values(out).items()  # it validated at 8 too


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "model cut short": ("model_00000008.bin", truncate),
    "model missing": ("model_00000008.bin", Path.unlink),
    "bit in the model's header": ("model_00000008.bin", lambda path: flip(path, 0)),
    "bit in the model": ("model_00000008.bin", lambda path: flip(path, 0.5, 0)),
    "state cut short": ("state_00000008_00000.bin", truncate),
    "state missing": ("state_00000008_00000.bin", Path.unlink),
    "bit in the state": ("state_00000008_00000.bin", lambda path: flip(path, 0.9, 0)),
    "last bit of the state": ("state_00000008_00000.bin", lambda path: flip(path, 1, 0)),
    "json cut short": ("checkpoint_00000008.json", truncate),
    "json empty": ("checkpoint_00000008.json", lambda path: path.write_text("")),
    "json of something else": ("checkpoint_00000008.json", lambda path: path.write_text('{"files": [1]}')),
    "bit in the json": ("checkpoint_00000008.json", lambda path: flip(path, 0, 7)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_checkpoint_the_one_before_is_taken_with_a_warning(
    damage: str, out: Path, data: Path, capsys: Capsys
) -> None:
    name, do = DAMAGES[damage]
    do(out / name)
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    captured = capsys.readouterr()
    warnings = [line for line in captured.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"warning: {out / name}: ")
    assert "this checkpoint is left out" in warnings[0]
    assert f"{out}/model_00000004.bin" in captured.out


def test_a_run_that_fell_back_ends_alike_and_mends_the_damaged_checkpoint(
    out: Path, half: Path, whole: Path, data: Path
) -> None:
    flip(out / "state_00000008_00000.bin", 0.5)
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)
    assert (out / "state_00000008_00000.bin").read_bytes() == (half / "state_00000008_00000.bin").read_bytes()


def test_where_no_checkpoint_is_sound_nothing_is_begun(out: Path, data: Path, capsys: Capsys) -> None:
    truncate(out / "model_00000004.bin")
    truncate(out / "model_00000008.bin")
    before = content(out)
    said = refused(capsys, out, data, y=1)
    assert f"{out}: none of its checkpoints (steps 8, 4) is sound" in said
    assert "in another folder (-o)" in said
    assert content(out).keys() == before.keys()
    assert content(out)["main.log"] == before["main.log"]


def test_a_checkpoint_without_our_json_is_gone_on_from(out: Path, whole: Path, data: Path) -> None:
    for path in out.glob("checkpoint_*.json"):
        path.unlink()
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)


@pytest.mark.parametrize("name", ["model_00000008.bin", "state_00000008_00000.bin"])
def test_a_nan_in_a_checkpoint_without_our_json_is_refused(name: str, out: Path, data: Path, capsys: Capsys) -> None:
    (out / "checkpoint_00000008.json").unlink()
    put_nan(out / name)
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    captured = capsys.readouterr()
    assert f"warning: {out / name}: damaged: value 5,000 of its" in captured.err
    assert "model_00000004.bin" in captured.out


def test_a_checkpoint_whose_done_is_missing_does_not_count(out: Path, data: Path, capsys: Capsys) -> None:
    (out / "DONE_00000008").unlink()
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    assert started_from(capsys) == "model_00000004.bin"


def test_a_state_of_another_step_is_not_taken(out: Path, data: Path, capsys: Capsys) -> None:
    (out / "checkpoint_00000008.json").unlink()
    shutil.copy(out / "state_00000004_00000.bin", out / "state_00000008_00000.bin")
    capsys.readouterr()
    assert main(words(out, data, y=1, es=5, n=0)) == 0
    assert "of step 4, not 8; it has been renamed or mixed up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "flag", "before"), [({"b": 4}, "-b 4", "-b 2"), ({"t": 32}, "-t 32", "-t 16")], ids=["b", "t"]
)
def test_a_batch_that_would_change_the_order_of_the_data_is_refused(
    options: dict[str, object], flag: str, before: str, out: Path, data: Path, capsys: Capsys
) -> None:
    earlier = content(out)
    said = refused(capsys, out, data, y=1, **options)
    assert f"{flag}: this run was started with {before}, on which the order of its data depends" in said
    assert f"give {before}" in said
    assert content(out).keys() == earlier.keys()


def test_another_batch_is_refused_without_our_json_too(out: Path, data: Path, capsys: Capsys) -> None:
    for path in out.glob("checkpoint_*.json"):
        path.unlink()
    said = refused(capsys, out, data, y=1, b=4)
    assert "state_00000008_00000.bin: does not fit the training data" in said
    assert "-e" in said


def test_other_settings_may_change_and_are_told(out: Path, data: Path, capsys: Capsys) -> None:
    capsys.readouterr()
    assert main(words(out, data, y=1, l=0.02, d=32, es=9, n=0)) == 0
    err = capsys.readouterr().err
    assert "note: -l was 0.01 and is now 0.02\n" in err
    assert "note: -d was 64 and is now 32\n" in err


@pytest.mark.parametrize("sizes", [[700, 500], [700, 500, 330, 400], [600, 500, 330], [700, 400, 330], [700, 500, 300]])
def test_changed_shards_are_refused(sizes: list[int], out: Path, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "other", sizes)
    earlier = content(out)
    said = refused(capsys, out, data, y=1, id=pattern)
    assert "does not fit the training data" in said
    assert f"-e {out}/model_00000008.bin -ss 8" in said
    assert content(out).keys() == earlier.keys()


def test_shards_of_other_names_are_refused(out: Path, data: Path, tmp_path: Path, capsys: Capsys) -> None:
    pattern = write_shards(tmp_path / "other", [700, 500, 330], "later")
    said = refused(capsys, out, data, y=1, id=pattern)
    assert "t_train_000000.bin with 700 tokens stood where t_later_000000.bin with 700 is now" in said


def test_shards_may_have_moved(out: Path, whole: Path, data: Path, tmp_path: Path) -> None:
    pattern = write_shards(tmp_path / "moved", [700, 500, 330])
    assert main(words(out, data, y=1, id=pattern)) == 0
    same_end(whole, out)


def test_shape_flags_that_contradict_a_checkpoint_are_named_and_not_taken_for_damage(
    out: Path, data: Path, capsys: Capsys
) -> None:
    said = refused(capsys, out, data, y=1, **{"1d": 2})
    assert "model_00000008.bin: does not fit -1d 2 (it has 1)" in said


def test_shuffling_must_not_change(out: Path, data: Path, capsys: Capsys) -> None:
    said = refused(capsys, out, data, y=1, a=1)
    assert "it shuffles and this run does not, or the reverse (-a)" in said


def test_seed_and_first_step_are_ignored_where_there_is_a_checkpoint(
    out: Path, whole: Path, data: Path, tmp_path: Path
) -> None:
    assert main(words(out, data, y=1, e=tmp_path / "none.bin", ss=3)) == 0
    same_end(whole, out)


# Starting: what is in the folder, and what a half-lost command line looks like


def test_a_resume_without_anything_to_resume_from_is_warned_of(data: Path, tmp_path: Path, capsys: Capsys) -> None:
    assert main(words(tmp_path / "out", data, y=1, x=1, n=0)) == 0
    err = capsys.readouterr().err
    assert "RANDOM weights at step 0 with learning rate 0.01" in err
    assert "backslash" in err


@pytest.mark.parametrize("case", ["not asked", "seed", "first step", "checkpoint"])
def test_nothing_is_warned_of_where_the_start_is_meant(
    case: str, data: Path, tmp_path: Path, capsys: Capsys, request: pytest.FixtureRequest
) -> None:
    folder, options = tmp_path / "new", {"x": 2, "n": 0}
    if case == "checkpoint":
        folder, options = request.getfixturevalue("out"), {"es": 8}
    elif case == "seed":
        options["e"] = str(seed_model(tmp_path / "seed.bin"))  # type: ignore[assignment]
    elif case == "first step":
        options["ss"] = 1
    capsys.readouterr()
    assert main(words(folder, data, y=0 if case == "not asked" else 1, **options)) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_new_run_sets_the_earlier_one_aside(out: Path, half: Path, data: Path, capsys: Capsys) -> None:
    capsys.readouterr()
    assert main(words(out, data, y=0, x=4, n=4)) == 0
    assert f"it was moved to {out}/earlier-1\n" in capsys.readouterr().err
    assert content(out / "earlier-1") == {name: b for name, b in content(half).items() if name != ".lock"}
    assert steps(out) == [4]
    assert load_run(str(out)).history.train.steps.tolist() == [0, 1, 2, 3]
    assert main(words(out, data, y=0, x=1, n=0)) == 0
    assert names(out) == {"earlier-1", "earlier-2", "main.log", "run_parameters.txt"}
    assert steps(out / "earlier-2") == [4]


def test_a_new_run_that_is_refused_leaves_the_earlier_one_where_it_was(
    out: Path, whole: Path, data: Path, tmp_path: Path, capsys: Capsys
) -> None:
    (tmp_path / "damaged.bin").write_bytes(b"no such file of llm.c")
    earlier = content(out)
    for options in (
        {"e": tmp_path / "none.bin"},
        {"id": tmp_path / "none_*.bin"},
        {"e": seed_model(tmp_path / "seed.bin"), "1d": 3},
        {"h": 1, "ih": tmp_path / "damaged.bin"},
        {"it": tmp_path / "damaged.bin"},
    ):
        refused(capsys, out, data, y=0, **options)
        assert {**content(out), ".lock": b""} == {**earlier, ".lock": b""}
    assert main(words(out, data, y=1)) == 0
    same_end(whole, out)


def test_a_new_run_may_start_from_a_checkpoint_that_it_sets_aside(out: Path, data: Path, capsys: Capsys) -> None:
    capsys.readouterr()
    assert main(words(out, data, y=0, e=out / "model_00000008.bin", ss=8, es=9, n=0)) == 0
    assert started_from(capsys) == "model_00000008.bin"
    assert steps(out) == []
    assert steps(out / "earlier-1") == [4, 8]


def test_a_new_run_in_a_folder_without_checkpoints_empties_the_log(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for last in (3, 2):
        assert main(words(folder, data, x=last, n=0)) == 0
    assert names(folder) == {"main.log", "run_parameters.txt"}
    lines = (folder / "main.log").read_text().splitlines()
    assert [line.split(":")[1] for line in lines] == ["0 trl", "1 trl", "2 tel"]


def test_what_a_killed_run_had_begun_to_write_is_cleared_away(out: Path, data: Path) -> None:
    (out / ".model_00000012.bin.partial-0123abcd").write_bytes(b"half")
    assert main(words(out, data, y=1, es=8)) == 0
    assert not [name for name in names(out) if "partial" in name]


# Which checkpoints there are


def test_only_the_newest_checkpoint_is_kept_and_multiples_if_asked(data: Path, tmp_path: Path) -> None:
    assert main(words(tmp_path / "newest", data, x=5, n=1, nk=1)) == 0
    assert steps(tmp_path / "newest") == [5]
    assert names(tmp_path / "newest") == {
        *("main.log", "run_parameters.txt", "DONE_00000005"),
        *("model_00000005.bin", "state_00000005_00000.bin", "checkpoint_00000005.json"),
    }
    assert main(words(tmp_path / "multiples", data, x=5, n=1, nk=2, nm=2)) == 0
    assert steps(tmp_path / "multiples") == [2, 4, 5]


def test_no_checkpoint_is_written_where_none_is_asked_for(data: Path, tmp_path: Path) -> None:
    assert main(words(tmp_path / "out", data, x=2, n=0)) == 0
    assert names(tmp_path / "out") == {"main.log", "run_parameters.txt"}


def test_the_checkpoint_that_a_run_goes_on_from_is_not_written_again(out: Path, data: Path) -> None:
    def files() -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in out.glob("*_00000008*")}

    before = files()
    assert len(before) == 4
    assert main(words(out, data, y=1, es=9, n=8)) == 0
    assert files() == before
    assert steps(out) == [4, 8, 9]


# Where a run stops, and on what it trains


def test_a_finished_run_is_evaluated_once_more_and_not_trained(out: Path, data: Path, capsys: Capsys) -> None:
    log = (out / "main.log").read_text()
    earlier = {name: b for name, b in content(out).items() if name.startswith(("model", "state"))}
    capsys.readouterr()
    assert main(words(out, data, y=1, es=8)) == 0
    assert (out / "main.log").read_text() == log + log.splitlines(keepends=True)[-1]
    assert log.splitlines()[-1].startswith("s:8 tel:")
    assert {name: b for name, b in content(out).items() if name.startswith(("model", "state"))} == earlier
    assert "step " not in capsys.readouterr().out


def test_a_run_that_stands_beyond_its_stop_says_so(out: Path, data: Path, capsys: Capsys) -> None:
    capsys.readouterr()
    assert main(words(out, data, y=1, es=6)) == 0
    assert "nothing to do: the run stands at step 8, and was to stop at 6" in capsys.readouterr().out
    assert steps(out) == [4, 8]


def test_a_run_that_stops_early_follows_the_whole_schedule(half: Path, whole: Path) -> None:
    some, all_ = load_run(str(half)).history, load_run(str(whole)).history
    assert some.train.steps.tolist() == list(range(8))
    assert some.lr.tolist() == all_.lr[:8].tolist()
    assert some.train.values.tolist() == all_.train.values[:8].tolist()
    assert some.lr[7] == pytest.approx(0.005 * (1 + math.cos(math.pi * (7 - 3) / (LAST - 3))), abs=1e-6)


def test_overfitting_trains_on_the_first_batch_of_the_validation_data(data: Path, tmp_path: Path) -> None:
    # A rate too small to change a weight: each loss is that of the weights of the start.
    folder = tmp_path / "out"
    options = {"a": 1, "id": tmp_path / "none_*.bin", "d": -1, "m": 1, "l": 1e-30, "c": 0}
    assert main(words(folder, data, x=3, n=0, **options)) == 0
    history = load_run(str(folder)).history
    assert len(history.train) == 3
    assert set(history.train.values.tolist()) == set(history.validation.values.tolist())


def test_minus_one_step_is_one_epoch(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert main(words(folder, data, x=-1, d=256, n=0)) == 0
    run = load_run(str(folder))
    assert run.history.train.steps.tolist() == list(range(1530 // 256))
    assert run.parameters["max_steps"] == "5"


def test_a_run_is_read_back_from_its_log_and_its_table(whole: Path, data: Path) -> None:
    run = load_run(str(whole))
    assert run.missing == ()
    assert run.learning_rate == 0.01
    assert run.num_parameters == Shape(1, 1, 8).num_parameters
    assert run.history.train.steps.tolist() == list(range(LAST))
    assert run.history.validation.steps.tolist() == [LAST]
    assert np.isfinite(run.history.ms).all()
    assert np.isfinite(run.history.norm).all()
    told = {
        "train data pattern": str(data / "t_train_*.bin"),
        "val data pattern": str(data / "t_val_*.bin"),
        "output log dir": str(whole),
        "checkpoint_every": "4",
        "resume": "0",
        "micro batch size B": "2",
        "sequence length T": "16",
        "total batch size": "64",
        "LR scheduler": "cosine",
        "learning rate (LR)": "1.000000e-02",
        "warmup iterations": "3",
        "final LR fraction": "0.000000e+00",
        "weight decay": "1.000000e-01",
        "max_steps": "12",
        "early_stopping_steps": "-1",
        "val_loss_every": "0",
        "val_max_steps": "2",
        "overfit_single_batch": "0",
        "use_master_weights": "enabled",
        "precision": "FP32",
        "weight init method": "random",
        "max_sequence_length T": "1024",
        "vocab_size V": "50257",
        "padded_vocab_size Vp": "50304",
        "num_layers L": "1",
        "num_heads NH": "1",
        "channels C": "8",
        "train_num_batches": "12",
        "val_num_batches": "2",
    }
    assert told.items() <= run.parameters.items()


def test_the_json_of_a_checkpoint_tells_what_was_written(half: Path) -> None:
    told = json.loads((half / "checkpoint_00000008.json").read_text())
    assert told["step"] == 8
    assert {name: each["bytes"] for name, each in told["files"].items()} == {
        name: (half / name).stat().st_size for name in ("model_00000008.bin", "state_00000008_00000.bin")
    }
    assert told["shards"] == [["t_train_000000.bin", 700], ["t_train_000001.bin", 500], ["t_train_000002.bin", 330]]
