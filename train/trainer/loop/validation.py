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
from trainer.progress import Advance, unwatched
from trainer.settings import TrainSettings

Loss = Callable[[Tensor, Tensor], Tensor]
"""(ids, targets), both (rows, T) -> the mean loss, a scalar."""


def validate_batches(
    loss: Loss, loader: Loader, rows: int, batches: int, device: torch.device, advance: Advance = unwatched
) -> float:
    """Return the mean of the means of the first `batches` micro-batches of an unshuffled loader; -1 for all.

    advance: is told of each, in tokens.
    """
    loader.reset()
    count = loader.windows if batches == -1 else batches
    total = torch.zeros((), device=device)
    with torch.no_grad():
        for _ in range(count):
            total += loss(*to_device(loader.next(), rows, device))
            advance(loader.window)
    return total.item() / count


def validate_tokens(
    loss: Loss,
    shards: Sequence[ShardFile],
    tokens: int,
    rows: int,
    seq_len: int,
    device: torch.device,
    advance: Advance = unwatched,
) -> float:
    """Return the mean loss of the first `tokens` tokens, in rows of seq_len: the same set for any `rows` at a time.

    advance: is told of each group of rows, in tokens.
    """
    total, count = torch.zeros((), dtype=torch.float64, device=device), 0
    with torch.no_grad():
        windows = rows_from_start(shards, tokens, seq_len)
        while group := list(islice(windows, rows)):
            ids = copy_to_device(np.stack(group).astype(np.int64), device)
            total += loss(ids[:, :-1].contiguous(), ids[:, 1:].contiguous()).double() * len(group)
            count += len(group)
            advance(len(group) * seq_len)
    return total.item() / count


def tokens_read(settings: TrainSettings, shards: Sequence[ShardFile]) -> int:
    """Return the tokens of one validation: --val-tokens, or -m micro-batches, with -1 all that the shards hold."""
    if settings.val_tokens is not None:
        return settings.val_tokens
    window = settings.micro_batch * settings.seq_len
    batches = settings.val_batches
    if batches == -1:
        batches = sum((shard.header.tokens - 1) // window for shard in shards)
    return batches * window


def check_val_tokens(shards: Sequence[ShardFile], tokens: int, seq_len: int) -> None:
    """Raise UserError where the shards hold fewer rows than a validation of so many tokens wants."""
    have = sum((shard.header.tokens - 1) // seq_len for shard in shards) * seq_len
    if have < tokens:
        raise UserError(
            f"--val-tokens {tokens}: the validation shards hold {have:,} in rows of {seq_len}; give --val-tokens {have}"
            if have
            else f"--val-tokens {tokens}: no validation shard holds a row of -t {seq_len} tokens; give a smaller -t"
        )
