"""What every test of the final run may use."""

from collections.abc import Callable
from pathlib import Path

import pytest
from final_runs import OPTIONS, START, STEPS
from runs_of_training import write_shards

from trainer.checkpoints import model_file
from trainer.final.settings import FinalRun
from trainer.models.gpt2 import GPT2, GPT2Shape


@pytest.fixture
def final(tmp_path: Path) -> FinalRun:
    """A final run of a tiny model over enough tokens."""
    write_shards(tmp_path / "shards", [2000, 1500])
    write_shards(tmp_path / "shards", [300], "val")
    model = GPT2(GPT2Shape(1, 2, 16))
    model.initialise()
    seed = str(tmp_path / "seed_model.bin")
    model_file.write(seed, model.shape, model.flat, 5)
    folder = str(tmp_path / "shards")
    return FinalRun(seed, 0.01, folder, str(tmp_path / "out"), START, STEPS, changes=tuple(OPTIONS.items()))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def say(said: list[str]) -> Callable[[str], None]:
    return said.append
