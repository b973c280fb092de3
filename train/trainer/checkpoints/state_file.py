"""llm.c's training state, `state_XXXXXXXX_00000.bin`: AdamW's moments, the masters, and where the data stand.

A header of 256 int32: magic 20240527, version 1, processes, rank, [4] masters, [5] shuffling, [10] step; over two slots
each: [20] and [22] the generator of stochastic rounding, now and before the last update; [30] position in the shard
order, [32] windows used of that shard. Then float32 m, v and, with [4], masters, each as long as the parameters. With
[5]: u64 number of shards, their order (int32), u64 number of windows, their order (int32), the Mersenne Twister.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from sparkprep.errors import UserError
from sparkprep.io.files import open_input
from sparkprep.llmc import header
from trainer.checkpoints import parts
from trainer.checkpoints.parts import Written
from trainer.data.loader import LoaderState
from trainer.data.mersenne import STRUCT_BYTES

MAGIC = 20240527
VERSION = 1
KIND = "a training state"

_MAX_ORDER = 1 << 31


@dataclass(frozen=True)
class StateHeader:
    """What the header tells. rounding, rounding_before: of the generator of stochastic rounding (uint64)."""

    step: int
    masters: bool
    shuffled: bool
    rounding: int
    rounding_before: int
    shard: int
    used: int


@dataclass(frozen=True)
class Moments:
    """Flat float32 buffers as long as the parameters; masters None where the model file holds the weights."""

    m: torch.Tensor
    v: torch.Tensor
    masters: torch.Tensor | None


def write(path: str, head: StateHeader, moments: Moments, loader: LoaderState) -> Written:
    """Write a state file; `head`'s fields about data and masters must be those of `loader` and `moments`."""
    return parts.write(path, _parts(head, moments, loader))


def read_header(path: str) -> StateHeader:
    """Return the header alone. Raises UserError naming the file for another kind or version, and for several ranks."""
    first, _ = header.read_first(path)
    fields = header.unpack(path, first, MAGIC, (VERSION,), KIND)
    if fields[2] != 1 or fields[3] != 0:
        raise UserError(
            f"{path}: written by process {fields[3]} of {fields[2]}, and this trainer is one process; continue it "
            "from its model file instead (-e and -ss)"
        )
    wide = fields.astype("<i4").tobytes()
    rounding, before, shard, used = (int(np.frombuffer(wide, "<u8", 1, 4 * at)[0]) for at in (20, 22, 30, 32))
    return StateHeader(int(fields[10]), bool(fields[4]), bool(fields[5]), rounding, before, shard, used)


def read(path: str, moments: Moments) -> tuple[StateHeader, LoaderState]:
    """Fill `moments` from a state file and give the rest.

    `moments.masters` is filled where the file has masters, else left alone. Raises UserError as `read_header`, for a
    file cut short or too long, for values that are not finite, a negative v, and orders that cannot be.
    """
    head = read_header(path)
    count = moments.m.numel()
    at = header.HEADER_BYTES
    targets = [("first moments", moments.m), ("second moments", moments.v)]
    if head.masters:
        targets.append(("master weights", moments.masters if moments.masters is not None else torch.empty(count)))
    with torch.no_grad():
        for what, values in targets:
            parts.read_into(path, at, values, torch.float32, what)
            at += 4 * count
    if (moments.v < 0).any():
        raise UserError(f"{path}: damaged: a second moment is negative; {parts.AGAIN}")
    with open_input(path) as stream:
        stream.seek(at)
        rest = stream.read()
    loader = _loader(path, head, rest)
    return head, loader


def _parts(head: StateHeader, moments: Moments, loader: LoaderState) -> Iterator[bytes | memoryview]:
    fields = np.zeros(header.HEADER_INTS, "<i4")
    fields[:6] = MAGIC, VERSION, 1, 0, head.masters, head.shuffled
    fields[10] = head.step
    for at, value in ((20, head.rounding), (22, head.rounding_before), (30, head.shard), (32, head.used)):
        fields[at : at + 2] = np.array([value], "<u8").view("<i4")
    yield fields.tobytes()
    yield from parts.as_bytes(moments.m, torch.float32)
    yield from parts.as_bytes(moments.v, torch.float32)
    if head.masters:
        if moments.masters is None:
            raise ValueError("no masters to write")
        yield from parts.as_bytes(moments.masters, torch.float32)
    if head.shuffled:
        for order in (loader.shard_order, loader.sample_order):
            if order is None:
                raise ValueError("no order to write")
            yield np.array([len(order)], "<u8").tobytes() + order.astype("<i4").tobytes()
        yield loader.twister


def _loader(path: str, head: StateHeader, rest: bytes) -> LoaderState:
    """Return where the data stood, from what follows the arrays."""
    if not head.shuffled:
        _check_end(path, len(rest), 0)
        return LoaderState(head.shard, head.used)
    orders, at = [], 0
    for _ in range(2):
        if len(rest) < at + 8:
            raise UserError(f"{path}: cut short: it ends before its order of the data; {parts.AGAIN}")
        length = int(np.frombuffer(rest, "<u8", 1, at)[0])
        at += 8
        if length > _MAX_ORDER or len(rest) < at + 4 * length:
            raise UserError(
                f"{path}: cut short or damaged: an order of {length:,} items does not fit into it; {parts.AGAIN}"
            )
        orders.append(np.frombuffer(rest, "<i4", length, at).astype(np.int32))
        at += 4 * length
    _check_end(path, len(rest), at + STRUCT_BYTES)
    return LoaderState(head.shard, head.used, orders[0], orders[1], rest[at:])


def _check_end(path: str, size: int, expected: int) -> None:
    if size != expected:
        how = "cut short" if size < expected else "too long"
        raise UserError(
            f"{path}: {how}: {size:,} bytes follow its arrays instead of {expected:,} (another shape of model, or "
            f"masters kept by one side alone?); {parts.AGAIN}"
        )
