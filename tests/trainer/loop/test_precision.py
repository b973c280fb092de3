"""The machine decides what is computed in, not the file: float32 on a CPU, and checkpoints in what is computed in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from llmc_files import read_model
from short_runs import SMALL, same_end, words

from trainer.checkpoints import model_file
from trainer.checkpoints.checkpoint import Checkpoint
from trainer.commands.train import main
from trainer.device import choose_dtype
from trainer.final.cost import checkpoint_bytes
from trainer.loop.start import begin
from trainer.models.gpt2 import GPT2
from trainer.settings import parse

VERSIONS = {"auto": 3, "fp32": 3, "bf16": 5}
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file in bfloat16."""
    model = GPT2(SMALL)
    model.initialise()
    path = tmp_path_factory.mktemp("seed") / "seed.bin"
    model_file.write(str(path), SMALL, model.flat, 5)
    return path


def test_a_gpu_computes_in_bfloat16_and_a_cpu_in_float32_unless_told_otherwise() -> None:
    assert [choose_dtype("auto", device) for device in (GPU, CPU)] == [torch.bfloat16, torch.float32]
    assert [choose_dtype("bf16", device) for device in (GPU, CPU)] == [torch.bfloat16] * 2
    assert [choose_dtype("fp32", device) for device in (GPU, CPU)] == [torch.float32] * 2


@pytest.mark.parametrize("precision", VERSIONS)
def test_the_format_of_a_checkpoint_is_that_of_the_computing(
    precision: str, seed: Path, data: Path, tmp_path: Path
) -> None:
    options = {"e": seed, "1d": None, "1c": None, "1h": None, "x": 2, "n": 2, "-precision": precision}
    assert main(words(tmp_path / "out", data, **options)) == 0
    written = Checkpoint(str(tmp_path / "out"), 2)
    version, _, _ = read_model(Path(written.model))
    assert version == VERSIONS[precision]
    told = checkpoint_bytes(parse(words(tmp_path / "out", data, **options)))
    size = Path(written.model).stat().st_size + Path(written.state).stat().st_size
    assert 0 < size - told < 10_000  # two headers, and the order of the data


@pytest.mark.parametrize("masters", [0, 1])
def test_a_run_from_a_bfloat16_file_goes_on_bit_for_bit(masters: int, seed: Path, data: Path, tmp_path: Path) -> None:
    options = {"e": seed, "1d": None, "1c": None, "1h": None, "w": masters}
    assert main(words(tmp_path / "whole", data, **options)) == 0
    assert main(words(tmp_path / "parts", data, **options, es=8)) == 0
    assert main(words(tmp_path / "parts", data, **options, y=1)) == 0
    same_end(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("masters", [0, 1])
def test_a_checkpoint_in_bfloat16_goes_on_from_its_masters_or_without_them_from_its_weights(
    masters: int, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert main(words(folder, data, es=4, **{"-precision": "bf16"})) == 0
    settings = replace(parse(words(folder, data, y=1, w=masters)), output=str(folder))
    flat = begin(settings, str(folder)).model.flat
    stored = model_file.open_model(str(folder / "model_00000004.bin")).flat
    assert np.array_equal(flat.numpy(), stored.numpy()) != bool(masters)
    assert torch.equal(flat.to(torch.bfloat16), stored.to(torch.bfloat16))
