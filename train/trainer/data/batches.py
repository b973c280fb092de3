"""Windows of tokens as the tensors that a model takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainer.data.loader import Window


def to_device(window: Window, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids and targets, (rows, T) int64, of a window of rows * T + 1 tokens.

    The copy to a GPU runs beside its work.
    """
    tokens = torch.from_numpy(window.astype(np.int64))
    if device.type == "cuda":
        tokens = tokens.pin_memory().to(device, non_blocking=True)
    return tokens[:-1].view(rows, -1), tokens[1:].view(rows, -1)
