"""Validation loss: llm.c's over a number of micro-batches, and one over so many tokens whatever the -b."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from sparkprep.errors import UserError
from sparkprep.llmc.shard import ShardFile
from trainer.data.batches import to_device
from trainer.data.loader import Loader, rows_from_start
from trainer.device import copy_to_device

Loss = Callable[[Tensor, Tensor], Tensor]
"""(ids, targets), both (rows, T) -> the mean loss, a scalar."""


def validate_batches(loss: Loss, loader: Loader, rows: int, batches: int, device: torch.device) -> float:
    """Return the mean of the means of the first `batches` micro-batches of an unshuffled loader; -1 for all."""
    loader.reset()
    count = loader.windows if batches == -1 else batches
    total = torch.zeros((), device=device)
    with torch.no_grad():
        for _ in range(count):
            total += loss(*to_device(loader.next(), rows, device))
    return total.item() / count


def validate_tokens(
    loss: Loss, shards: Sequence[ShardFile], tokens: int, rows: int, seq_len: int, device: torch.device
) -> float:
    """Return the mean loss of the first `tokens` tokens, in rows of seq_len: the same set for any `rows` at a time."""
    total, count = torch.zeros((), dtype=torch.float64, device=device), 0
    with torch.no_grad():
        windows = rows_from_start(shards, tokens, seq_len)
        while group := list(islice(windows, rows)):
            ids = copy_to_device(np.stack(group).astype(np.int64), device)
            total += loss(ids[:, :-1].contiguous(), ids[:, 1:].contiguous()).double() * len(group)
            count += len(group)
    return total.item() / count


def check_val_tokens(shards: Sequence[ShardFile], tokens: int, seq_len: int) -> None:
    """Raise UserError where the shards hold fewer rows than a validation of so many tokens wants."""
    have = sum((shard.header.tokens - 1) // seq_len for shard in shards) * seq_len
    if have < tokens:
        raise UserError(
            f"--val-tokens {tokens}: the validation shards hold {have:,} in rows of {seq_len}; give --val-tokens {have}"
            if have
            else f"--val-tokens {tokens}: no validation shard holds a row of -t {seq_len} tokens; give a smaller -t"
        )
