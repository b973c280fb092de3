"""What every test of the trainer runs under."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from runs_of_training import write_shards
from short_runs import words

from trainer.commands.train import main


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on several, and much slower beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_shards(folder, [700, 500, 330])
    write_shards(folder, [200], "val")
    return folder


@pytest.fixture(scope="session")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed; not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    assert main(words(folder, data)) == 0
    return folder


@pytest.fixture(scope="session")
def half(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was to stop at 8 of 12; not to be changed."""
    folder = tmp_path_factory.mktemp("half") / "out"
    assert main(words(folder, data, es=8)) == 0
    return folder


@pytest.fixture
def out(half: Path, tmp_path: Path) -> Path:
    """A copy of the half-way run, to be damaged and gone on with."""
    return Path(shutil.copytree(half, tmp_path / "out"))
