"""Windows of tokens as the tensors that a model takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainer.data.loader import Window
from trainer.device import copy_to_device


def to_device(window: Window, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and targets, (rows, T) int64, of a window of rows * T + 1 tokens."""
    tokens = copy_to_device(window.astype(np.int64), device)
    return tokens[:-1].view(rows, -1), tokens[1:].view(rows, -1)
