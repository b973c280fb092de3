"""How much of a GPU's memory a run takes, and which micro-batch would fit."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sparkprep.errors import UserError
from trainer.device import largest_batch
from trainer.loop.run import Run
from trainer.models.layout import Model


@contextmanager
def fits_at_the_start() -> Iterator[None]:
    """Turn a lack of memory before there is an update to blame into a UserError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            "CUDA out of memory before the first step; free the GPU (nvidia-smi tells who uses it), or give a smaller "
            "model"
        ) from error


def too_large(run: Run) -> str:
    """Return what to say when the memory was too small, with the -b that fits: one row and two are tried."""
    settings = run.settings
    problem = f"CUDA out of memory at -b {settings.micro_batch}"
    # The failed step's tensors hang on nothing but its traceback; what they took must be free for the trial.
    gc.collect()
    torch.cuda.empty_cache()
    try:
        fixed, per_row = _measure(run.model, settings.seq_len)
        total = torch.cuda.mem_get_info(run.device)[1]
    except (torch.OutOfMemoryError, RuntimeError, AssertionError):
        return (
            f"{problem}, and one row of -t {settings.seq_len} does not fit either; give a smaller -t or a smaller model"
        )
    return advice(problem, fixed, per_row, total, settings.micro_batch, settings.tokens_per_update // settings.seq_len)


def advice(problem: str, fixed: int, per_row: int, total: int, rows: int, rows_an_update: int) -> str:
    """Return `problem`, and the largest -b below `rows` that would do.

    It fits into `total` bytes and divides the rows of an update. fixed, per_row: bytes of no row and of each.
    """
    best = min(largest_batch(fixed, per_row, total), rows - 1)
    while best > 0 and rows_an_update % best:
        best -= 1
    need = fixed + rows * per_row
    message = f"{problem}: it would take about {need / 2**30:.1f} GiB of {total / 2**30:.1f}"
    if best < 1:
        return f"{message}, and not even -b 1 fits; give a smaller -t (now {rows_an_update} rows an update) or model"
    return f"{message}; -b {best} would fit (the order of the data depends on -b: start such a run anew)"


def _measure(model: Model, seq_len: int) -> tuple[int, int]:
    """Return the bytes that do not depend on the rows, and those a row, from the peaks of one row and of two.

    Without torch.compile, which only needs less.
    """
    peaks = []
    for rows in (1, 2):
        torch.cuda.reset_peak_memory_stats(model.device)
        ids = torch.zeros((rows, seq_len), dtype=torch.int64, device=model.device)
        model(ids, ids).backward()  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(model.device)
        peaks.append(torch.cuda.max_memory_allocated(model.device))
    per_row = peaks[1] - peaks[0]
    return peaks[0] - per_row, per_row
