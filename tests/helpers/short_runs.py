"""Runs of 12 steps in this process, what a refused one says, and files damaged on purpose."""

import os
from pathlib import Path

import numpy as np
import pytest
from runs_of_training import command

from trainer.checkpoints import model_file
from trainer.commands.train import main
from trainer.models.gpt2 import GPT2, GPT2Shape

LAST = 12
SHAPE = {"1d": 1, "1c": 8, "1h": 1}
SMALL = GPT2Shape(1, 1, 8)
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


def seed_model(path: Path, scale: float = 1.0, shape: GPT2Shape = SMALL) -> Path:
    model = GPT2(shape)
    model.initialise()
    model_file.write(str(path), shape, model.flat * scale, 3)
    return path


def same_end(a: Path, b: Path) -> None:
    for name in (f"model_{LAST:08d}.bin", f"state_{LAST:08d}_00000.bin"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def started_from(capsys: Capsys) -> str:
    """What the table of parameters says of the weights."""
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| weight init method"))
    return Path(line.split("|")[2].strip()).name
