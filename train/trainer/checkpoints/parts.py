"""Writing and reading large arrays in parts, with the SHA-256 of what goes by: what model and state files share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparkprep.errors import UserError
from sparkprep.io.files import open_input, open_whole

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
    with open_whole(path) as stream:
        for part in parts:
            stream.write(part)
            digest.update(part)
            size += len(part)
    return Written(size, digest.hexdigest())


def as_bytes(values: Tensor, dtype: torch.dtype) -> Iterator[memoryview]:
    """Yield the little-endian bytes of a flat tensor in another dtype (float32, or bfloat16 rounded to nearest)."""
    for start in range(0, values.numel(), PART):
        part = values[start : start + PART].detach().to(dtype).cpu().contiguous()
        yield part.view(torch.uint8).numpy().data


def read_into(path: str, offset: int, values: Tensor, dtype: torch.dtype, what: str) -> None:
    """Fill a flat tensor from a file's elements of `dtype` that begin at byte `offset`.

    Raises UserError where the file ends before, or a value is not finite; `what` ("weights") is for the message.
    """
    staging = torch.empty(min(PART, values.numel()), dtype=dtype)
    opened: Any = open_input(path)  # PyArrow's streams can `readinto`, which their declared type leaves out
    with opened as stream:
        stream.seek(offset)
        for start in range(0, values.numel(), PART):
            target = values[start : start + PART]
            # Where nothing is to be converted, the file is read to where it belongs.
            direct = values.dtype == dtype and values.device.type == "cpu"
            part = target if direct else staging[: target.numel()]
            raw = part.view(torch.uint8).numpy().data
            if stream.readinto(raw) != len(raw):
                raise UserError(f"{path}: cut short: it ends within its {what}; {AGAIN}")
            _check_finite(path, part, start, what)
            if not direct:
                target.copy_(part)


def _check_finite(path: str, part: Tensor, start: int, what: str) -> None:
    """Raise UserError for the first value that is not finite; `start` is the place of part[0]."""
    if torch.isfinite(part.sum(dtype=torch.float32)):  # one cheap pass; a large sum of finite values may overflow
        return
    odd = torch.nonzero(~torch.isfinite(part)).flatten()
    if len(odd):
        at = int(odd[0])
        raise UserError(
            f"{path}: damaged: value {start + at:,} of its {what} is {part[at].item()}, not a finite number; {AGAIN}"
        )
