"""The compiled model on a GPU, and runs with --deterministic."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs_of_training import SCRIPT, command, write_shards

from trainer import device
from trainer.models.gpt2 import GPT2Shape

pytestmark = pytest.mark.gpu

SHAPE = GPT2Shape(layers=3, heads=3, channels=192, max_seq_len=128)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
def test_the_compiled_model_is_the_plain_one(dtype: torch.dtype, tolerance: float, gpu: torch.device) -> None:
    model = SHAPE.build(device=gpu, dtype=dtype)
    model.initialise(seed=7)
    with torch.no_grad():
        for parameter in model.parameters():  # biases too, which begin at zero
            parameter += 0.02 * torch.randn_like(parameter)
    ids, targets = torch.randint(0, SHAPE.vocab_size, (2, 5, SHAPE.max_seq_len), device=gpu)
    parameters = list(model.parameters())
    with device.attention_kernels(gpu, deterministic=False):
        plain, compiled = model(ids, targets), torch.compile(model, dynamic=False)(ids, targets)
        wanted, got = torch.autograd.grad(plain, parameters), torch.autograd.grad(compiled, parameters)
    assert abs(plain.item() - compiled.item()) < tolerance
    for a, b in zip(wanted, got, strict=True):
        assert (a - b).norm() <= tolerance * a.norm()


def train(output: Path, data: Path, **options: object) -> None:
    shape = {"1d": 2, "1c": 128, "1h": 2, "b": 8, "t": 128, "d": 2048, "x": 6, "n": 3, "-threads": None}
    words = command(output, data, **{**shape, **options})
    subprocess.run([sys.executable, str(SCRIPT), *words, "--deterministic"], check=True, timeout=300)


def test_a_deterministic_run_ends_alike_with_or_without_a_pause(tmp_path: Path) -> None:
    data, whole, paused = tmp_path / "data", tmp_path / "whole", tmp_path / "paused"
    write_shards(data, [40_000])
    write_shards(data, [4_000], "val")
    train(whole, data)
    train(paused, data, es=3)
    train(paused, data, y=1)
    for name in ("model_00000006.bin", "state_00000006_00000.bin"):
        assert (whole / name).read_bytes() == (paused / name).read_bytes()
