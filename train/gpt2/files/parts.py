"""Writing and reading large arrays in parts, with the SHA-256 of what goes by: what model and state files share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparkprep import storage
from sparkprep.errors import UserError

PART = 1 << 24
"""Elements at a time: 64 MB of float32 bound what lies in memory beside the arrays themselves."""

AGAIN = "copy it anew or take another"


@dataclass(frozen=True)
class Written:
    """A file that was written. bytes: its size. sha256: in hexadecimal."""

    bytes: int
    sha256: str


def write(path: str, parts: Iterable[bytes | memoryview]) -> Written:
    """Write a file that appears whole or not at all, synced. Raises UserError naming it if it cannot be."""
    digest, size = hashlib.sha256(), 0
    with storage.open_whole(path) as stream:
        for part in parts:
            stream.write(part)
            digest.update(part)
            size += len(part)
    return Written(size, digest.hexdigest())


def sha256_of(path: str) -> Written:
    """Size and SHA-256 of a file that is there."""
    digest, size = hashlib.sha256(), 0
    with storage.open_input(path) as stream:
        while part := stream.read(1 << 24):
            digest.update(part)
            size += len(part)
    return Written(size, digest.hexdigest())


def as_bytes(values: Tensor, dtype: torch.dtype) -> Iterator[memoryview]:
    """The little-endian bytes of a flat tensor in another dtype (float32, or bfloat16 rounded to nearest)."""
    for start in range(0, values.numel(), PART):
        part = values[start : start + PART].detach().to(dtype).cpu().contiguous()
        yield part.view(torch.uint8).numpy().data


def read_into(path: str, offset: int, values: Tensor, dtype: torch.dtype, what: str) -> None:
    """Fill a flat tensor from a file's elements of `dtype` that begin at byte `offset`.

    Raises UserError where the file ends before, or a value is not finite; `what` ("weights") is for the message.
    """
    width = dtype.itemsize
    with storage.open_input(path) as stream:
        stream.seek(offset)
        for start in range(0, values.numel(), PART):
            count = min(PART, values.numel() - start)
            raw = stream.read(count * width)
            if len(raw) != count * width:
                raise UserError(f"{path}: cut short: it ends within its {what}; {AGAIN}")
            part = torch.frombuffer(bytearray(raw), dtype=dtype).float()
            finite = torch.isfinite(part)
            if not finite.all():
                at = start + int(np.flatnonzero(~finite.numpy())[0])
                raise UserError(
                    f"{path}: damaged: value {at:,} of its {what} is {part[at - start].item()}, not a finite number; "
                    f"{AGAIN}"
                )
            values[start : start + count].copy_(part)
