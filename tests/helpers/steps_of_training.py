"""Steps of a small run, and llm.c's formulas for them in NumPy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from bounds import likely, loss_roundings
from llmc_files import Sizes, tensor_shapes
from runs_of_training import command

from trainer.data.batches import to_device
from trainer.data.loader import Loader, open_shards
from trainer.loop.loop import Trainer
from trainer.loop.start import begin
from trainer.models.gpt2 import GPT2, GPT2Shape
from trainer.optim.adamw import AdamW
from trainer.runs.log import RunLog
from trainer.settings import parse

SIZES = Sizes(max_seq_len=1024, vocab=50257, layers=2, heads=2, channels=8)


DECAYED = {"wte", "wpe", "qkvw", "attprojw", "fcw", "fcprojw"}


CPU = torch.device("cpu")


Values = npt.NDArray[np.float64]


TINY = float(np.finfo(np.float32).tiny)  # below it a float32 loses its digits


LOSSES_APART = 2 * likely(loss_roundings(GPT2Shape(2, 2, 8), length=16))
"""Between the mean losses of the same rows from products of different shapes."""


def words(folder: Path, data: Path, **options: object) -> list[str]:
    return command(folder, data, **{"1d": 2, "1c": 8, "1h": 2, "n": 0, "v": 0, **options})


@contextmanager
def trainer(folder: Path, data: Path, **options: object) -> Iterator[Trainer]:
    """A run that has begun and waits for its first update."""
    folder.mkdir(exist_ok=True)
    settings = parse(words(folder, data, **options))
    run = begin(replace(settings, output=str(folder)), str(folder))
    with RunLog(str(folder), resume=False) as log:
        yield Trainer(run, log, peak=1.0)


def decayed(sizes: Sizes) -> npt.NDArray[np.bool_]:
    """Of each parameter, whether weight decay applies."""
    return np.concatenate([np.full(int(np.prod(shape)), name in DECAYED) for name, shape in tensor_shapes(sizes)])


def updated(
    p: Values, g: Values, m: Values, v: Values, t: int, rate: float, decay: float | Values
) -> tuple[Values, Values, Values]:
    """p, m and v after llm.c's update number t, counted from 1, in float64."""
    norm = np.sqrt((g**2).sum())
    if norm > 1:
        g = g / norm  # without 1e-6 beside the norm, as PyTorch's clipping has it
    m = 0.9 * m + 0.1 * g
    v = 0.95 * v + 0.05 * g**2
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.95**t)
    return p - rate * (m_hat / (np.sqrt(v_hat) + 1e-8) + decay * p), m, v


def float64(values: torch.Tensor) -> Values:
    return values.detach().numpy().astype(np.float64)


def first_gradient(data: Path, rows: int, micro_steps: int) -> tuple[Values, Values]:
    """(weights, gradient) of a random model on the first micro-batches of the shuffled data."""
    model = GPT2(GPT2Shape(2, 2, 8))
    model.initialise()
    optimizer = AdamW(model, 0.0)
    loader = Loader(open_shards(str(data / "t_train_*.bin"), "-id"), rows, 16, 42, "-id")
    for _ in range(micro_steps):
        (model(*to_device(loader.next(), rows, CPU)) / micro_steps).backward()
    return float64(model.flat), float64(optimizer.gradients)
