"""Which token goes into which shard: settled from a table of counts before any shard is written.

Documents stand in the order of a seeded 64-bit hash of their identifier, so the order does not depend on how the rows
are stored. Its leading bits cut the documents into buckets of some thousands; the counts of the buckets say where each
begins in the stream of all tokens, and so which buckets a shard needs. No list of documents is ever held.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from sparkprep.errors import UserError, argument
from sparkprep.tokens.settings import ShardSettings

BUCKETS_PER_SHARD = 64
MOST_BUCKET_BITS = 16
"""So that the driver's table stays below a megabyte."""


@dataclass(frozen=True)
class Shard:
    """Tokens first..first + tokens - 1 of the stream."""

    index: int
    split: str
    file: str
    first: int
    tokens: int


@dataclass(frozen=True)
class ShardPlan:
    """Which tokens of the stream each shard holds, and which buckets they come from.

    bucket_starts: int64, 2**bucket_bits + 1 positions in the stream: each bucket's first token, the end of all.
    fingerprint: SHA-256 of all that the shards' content depends on.
    """

    bucket_bits: int
    bucket_starts: npt.NDArray[np.int64]
    documents: int
    shards: tuple[Shard, ...]
    fingerprint: str

    @property
    def tokens(self) -> int:
        return int(self.bucket_starts[-1])

    def span_of(self, shard: Shard) -> tuple[int, int]:
        """Return where the stream of the shard's buckets begins and ends: around the shard, if not with it."""
        first, last = self.buckets_of(shard)
        return int(self.bucket_starts[first]), int(self.bucket_starts[last + 1])

    def buckets_of(self, shard: Shard) -> tuple[int, int]:
        """Return the (first, last) bucket that holds tokens of the shard; empty buckets between do no harm."""
        first = int(np.searchsorted(self.bucket_starts, shard.first, side="right")) - 1
        last = int(np.searchsorted(self.bucket_starts, shard.first + shard.tokens, side="left")) - 1
        return first, last


def bucket_bits(tokens_about: int, shard_tokens: int) -> int:
    """Return how many leading bits of the hash make a bucket, for about so many tokens in all."""
    buckets = BUCKETS_PER_SHARD * max(1, tokens_about // shard_tokens)
    return min(MOST_BUCKET_BITS, max(6, int(buckets - 1).bit_length()))


def buckets_at(places: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    """Return the bucket of each hash: its leading bits, the sign turned over, so that buckets sort as hashes do."""
    unsigned = places.view(np.uint64) ^ np.uint64(1 << 63)
    return (unsigned >> np.uint64(64 - bits)).astype(np.int64)


def make(counts: npt.NDArray[np.int64], documents: int, settings: ShardSettings, source: object) -> ShardPlan:
    """Return the plan for buckets of these token counts, int64 (2**bits,), end-of-text included.

    source: what tells one input from another, as JSON holds it. Raises UserError where there is no document, or no
    token would be left to train on.
    """
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    total = int(starts[-1])
    if not documents:
        raise UserError("the token rows hold no document: there is nothing to write")
    val = settings.val_tokens or max(1, min(settings.shard_tokens, total // 100))
    if val >= total:
        raise UserError(
            f"{argument('val_tokens', val)}: there are {total:,} tokens in all, so that none would be left to train "
            "on; take fewer, or tokenize more documents"
        )
    shards = [Shard(0, "val", f"{settings.name}_val_000000.bin", 0, val)]
    for index, first in enumerate(range(val, total, settings.shard_tokens), 1):
        tokens = min(settings.shard_tokens, total - first)
        shards.append(Shard(index, "train", f"{settings.name}_train_{index:06d}.bin", first, tokens))
    content = json.dumps([asdict(settings), source, documents, [asdict(shard) for shard in shards]], sort_keys=True)
    fingerprint = hashlib.sha256(content.encode() + starts.astype("<i8").tobytes()).hexdigest()
    return ShardPlan(int(len(counts) - 1).bit_length(), starts, documents, tuple(shards), fingerprint)


@dataclass(frozen=True)
class Targets:
    """Which shards the rows of each bucket go to.

    Rows of bucket b go to places[first[b]:first[b + 1]] of a list of shards. first: int64 (buckets + 1,); places:
    int32.
    """

    first: npt.NDArray[np.int64]
    places: npt.NDArray[np.int32]

    @staticmethod
    def of(plan: ShardPlan, shards: Sequence[Shard]) -> Targets:
        """Return the targets for a list of shards of a plan."""
        ranges = [plan.buckets_of(shard) for shard in shards]
        buckets = np.concatenate([np.arange(first, last + 1) for first, last in ranges])
        places = np.concatenate([np.full(last + 1 - first, at, np.int32) for at, (first, last) in enumerate(ranges)])
        order = np.argsort(buckets, kind="stable")
        first = np.searchsorted(buckets[order], np.arange(len(plan.bucket_starts)))
        return Targets(first, places[order])

    def of_rows(self, buckets: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]:
        """Yield (rows, the place of each one's shard in the list) for rows of these buckets, int64 (rows,).

        A row that goes to several shards is in as many of what is yielded, so that none holds more than the rows given.
        """
        first, count = self.first[buckets], self.first[buckets + 1] - self.first[buckets]
        for copy in range(int(count.max(initial=0))):
            rows = np.flatnonzero(count > copy)
            yield rows, self.places[first[rows] + copy]
