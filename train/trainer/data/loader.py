"""Batches from token shards, in llm.c's order: the same windows, the same shuffle, the same place after a resume.

A window is B*T + 1 tokens from a multiple of B*T; the tail of a shard is not used, and a window is one micro-batch, so
that another B means another order. Shuffling permutes the shards (in place, once an epoch) and the windows of each.
"""

from __future__ import annotations

import glob
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkprep.commands import command
from sparkprep.errors import UserError
from sparkprep.llmc.shard import ShardFile, check_tokens, open_shard
from sparkprep.tokenizer.vocabulary import VOCABULARY_SIZE
from trainer.data.mersenne import MersenneTwister

Window = npt.NDArray[np.uint16]


def open_shards(pattern: str, flag: str) -> list[ShardFile]:
    """Return the shards that a pattern matches, sorted by name, mapped and not loaded.

    Raises UserError naming the flag where there is none, and the file where one is damaged or of another kind.
    """
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise UserError(
            f"{flag} {pattern}: no shard matches; name others with {flag} 'FOLDER/NAME_*.bin' (in quotes), or make "
            f"some: `{command('tokenize', '--input', 'DOCUMENTS', '--output', 'TOKENS', '--shards', 'SHARDS')}`"
        )
    return [open_shard(path) for path in paths]


@dataclass(frozen=True)
class LoaderState:
    """Where a loader stands. shard: position in the shard order; used: windows of that shard already handed out.

    shard_order and sample_order: int32 permutations (None unshuffled); twister: llm.c's struct of the generator.
    """

    shard: int
    used: int
    shard_order: npt.NDArray[np.int32] | None = None
    sample_order: npt.NDArray[np.int32] | None = None
    twister: bytes = b""


class Loader:
    """An endless stream of windows of rows * seq_len + 1 tokens (uint16). Not shuffled without a seed."""

    def __init__(self, shards: Sequence[ShardFile], rows: int, seq_len: int, seed: int | None, flag: str) -> None:
        self.window = rows * seq_len
        self.shards = list(shards)
        for shard in shards:
            if shard.header.tokens <= self.window:
                raise UserError(
                    f"{shard.path}: {shard.header.tokens:,} tokens are fewer than the {self.window + 1:,} of one "
                    f"micro-batch (-b {rows} times -t {seq_len}, plus one); {_way_out(shards, seq_len, flag)}"
                )
        self._twister = None if seed is None else MersenneTwister(seed)
        self._shard_order = np.arange(len(shards), dtype=np.int32)
        self._samples = np.empty(0, np.int32)
        self.reset()

    @property
    def tokens(self) -> int:
        """Of all shards, used or not."""
        return sum(shard.header.tokens for shard in self.shards)

    @property
    def windows(self) -> int:
        """Micro-batches in one epoch."""
        return sum(self._count(shard) for shard in range(len(self.shards)))

    def reset(self) -> None:
        """Begin an epoch: as at the start unshuffled, in a new order otherwise."""
        if self._twister:
            self._twister.shuffle(self._shard_order)
        self._open(0)

    def next(self) -> Window:
        """Return the next window, a view of the mapped shard. Raises UserError for a token that is none of GPT-2's."""
        if self._used >= len(self._samples):
            if self._shard + 1 < len(self.shards):
                self._open(self._shard + 1)
            else:
                self.reset()
        shard = self._current()
        start = int(self._samples[self._used]) * self.window
        tokens = _checked(shard, start, self.window + 1)
        self._used += 1
        self._will_need(shard)
        return tokens

    @property
    def state(self) -> LoaderState:
        """A copy of where it stands, from which `restore` goes on."""
        if not self._twister:
            return LoaderState(self._shard, self._used)
        orders = self._shard_order.copy(), self._samples.copy()
        return LoaderState(self._shard, self._used, *orders, self._twister.pack())

    def restore(self, state: LoaderState) -> None:
        """Go on where `state` was taken. Raises ValueError, to be given a file's name, where it does not fit."""
        if (state.shard_order is not None) != (self._twister is not None):
            raise ValueError("it shuffles and this run does not, or the reverse (-a)")
        if not 0 <= state.shard < len(self.shards):
            raise ValueError(f"it stands in shard {state.shard:,} and there are {len(self.shards):,}")
        if self._twister and state.shard_order is not None:
            _check_permutation(state.shard_order, len(self.shards), "shards")
            self._twister.unpack(state.twister)
            self._shard_order = state.shard_order.astype(np.int32)
        self._shard = state.shard
        count = self._count(int(self._shard_order[state.shard]))
        self._samples = np.arange(count, dtype=np.int32)
        if state.sample_order is not None:
            _check_permutation(state.sample_order, count, f"micro-batches in {self._current().path}")
            self._samples = state.sample_order.astype(np.int32)
        if not 0 <= state.used <= count:
            raise ValueError(f"it has used {state.used:,} of {count:,} micro-batches")
        self._used = state.used

    def _open(self, shard: int) -> None:
        self._shard, self._used = shard, 0
        count = self._count(int(self._shard_order[shard]))
        self._samples = self._twister.permutation(count) if self._twister else np.arange(count, dtype=np.int32)

    def _current(self) -> ShardFile:
        return self.shards[int(self._shard_order[self._shard])]

    def _count(self, shard: int) -> int:
        return (self.shards[shard].header.tokens - 1) // self.window

    def _will_need(self, shard: ShardFile) -> None:
        """Ask the system to read the next window now, while this one is computed with."""
        mapped = getattr(shard.tokens, "_mmap", None)
        if mapped is None or self._used >= len(self._samples) or not hasattr(mmap, "MADV_WILLNEED"):
            return
        ahead = 2 * int(self._samples[self._used]) * self.window
        start = ahead - ahead % mmap.PAGESIZE
        # The mapping begins at the file's first page; header and rounding are covered by the page on either side.
        length = min(len(mapped) - start, 2 * self.window + 2 * mmap.PAGESIZE)
        mapped.madvise(mmap.MADV_WILLNEED, start, length)


def _way_out(shards: Sequence[ShardFile], seq_len: int, flag: str) -> str:
    """Return what to give where a shard does not hold a micro-batch: a -b that all shards of a flag hold, if any."""
    rows = min(shard.header.tokens - 1 for shard in shards) // seq_len
    # Powers of two divide the usual -d.
    ways = [f"give -b {1 << (rows.bit_length() - 1)} or less" if rows >= 1 else "give a smaller -t"]
    if flag == "-iv" and rows >= 1:
        have = sum((shard.header.tokens - 1) // seq_len for shard in shards) * seq_len
        ways.append(f"--val-tokens {have} or less, which goes with any -b")
    return ", ".join([*ways, f"or leave this shard out of {flag}"])


def rows_from_start(shards: Sequence[ShardFile], tokens: int, seq_len: int) -> Iterator[Window]:
    """Yield the first `tokens` tokens (a multiple of seq_len) of the shards as rows of seq_len + 1, in file order.

    What a validation reads that does not depend on the micro-batch; ends early where the shards do. Raises UserError
    for a token that is none of GPT-2's.
    """
    left = tokens // seq_len
    for shard in shards:
        for row in range(min(left, (shard.header.tokens - 1) // seq_len)):
            yield _checked(shard, row * seq_len, seq_len + 1)
            left -= 1


def _checked(shard: ShardFile, start: int, count: int) -> Window:
    """Return tokens of a shard as a view; the whole shard is searched only for the place of one that cannot be."""
    tokens = shard.tokens[start : start + count]
    if tokens.max() >= VOCABULARY_SIZE:
        check_tokens(shard.path, shard.tokens)
    return tokens


def _check_permutation(order: npt.NDArray[np.int32], count: int, what: str) -> None:
    if len(order) != count:
        raise ValueError(f"it knows {len(order):,} {what} and there are {count:,}")
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise ValueError(f"its order of {what} is no permutation")
