"""Band keys to candidate pairs inside one Spark task: kernels on plain arrays, no Spark.

An entry says that a document lies in a bucket. Entries travel as packed blobs of many thousand, since a Spark row for
each would cost more than everything done with it. Documents with the same normalised text stand in a bucket as one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from numba import njit

from sparkprep.dedup.kernels import KEPT
from sparkprep.dedup.kernels.arrays import I64, U64, run_starts
from sparkprep.dedup.kernels.band_keys import BAND_BITS
from sparkprep.dedup.kernels.hashing import K0, fold

ID_BAND = (1 << BAND_BITS) - 1
"""The band number of entries that look for equal identifiers rather than equal slots; their `text_hash` is a count."""

PART_PAIRS = 2_000_000
"""Pairs that a task holds at once, 16 bytes each, about: more where one bucket within its cap makes more."""


_SLOTS_PER_ENTRY = 4
"""Bytes, for each entry, of the table in which buckets that two entries share are looked for, at least."""
_FEW = 24
"""Entries that are sorted faster by insertion."""


@njit(cache=KEPT)
def _by_task(bucket, key, text_hash, tasks):
    """Return the entries as `Entries.pack` has them, and where those of each task begin and end.

    (uint64 of three times the entries, int64 of tasks + 1): task i's are packed[3 * ends[i] : 3 * ends[i + 1]].
    """
    task = np.empty(bucket.size, np.int32)
    ends = np.zeros(tasks + 1, np.int64)
    for i in range(bucket.size):
        task[i] = (bucket[i] >> np.uint64(32)) % np.uint64(tasks)
        ends[task[i] + 1] += 1
    ends = np.cumsum(ends)
    packed, place = np.empty(3 * bucket.size, np.uint64), 3 * ends[:-1]
    for i in range(bucket.size):
        at, size = place[task[i]], ends[task[i] + 1] - ends[task[i]]
        packed[at], packed[at + size], packed[at + 2 * size] = bucket[i], np.uint64(key[i]), text_hash[i]
        place[task[i]] += 1
    return packed, ends


@dataclass(frozen=True)
class Entries:
    """Bucket entries, three columns of equal length."""

    bucket: U64
    key: I64
    text_hash: U64
    """hash of the document's normalised text"""

    def pack(self, tasks: int) -> list[bytes]:
        """Return the entries for each of `tasks` tasks, their three columns one after another, 24 bytes an entry.

        All entries of a bucket go to one task.
        """
        packed, ends = _by_task(self.bucket, self.key, self.text_hash, tasks)
        return [packed[3 * start : 3 * end].tobytes() for start, end in pairwise(ends.tolist())]

    @staticmethod
    def unpack(blob: bytes) -> "Entries":
        """Return the entries of a blob that `pack` made, without a copy."""
        bucket, key, text_hash = np.frombuffer(blob, np.uint64).reshape(3, -1)
        return Entries(bucket, key.view(np.int64), text_hash)

    @staticmethod
    def joined(parts: "Sequence[Entries]") -> "Entries":
        """Return the entries of all parts in one."""
        columns = zip(*((part.bucket, part.key, part.text_hash) for part in parts or [_NO_ENTRIES]), strict=True)
        return Entries(*(np.concatenate(column) for column in columns))

    def take(self, where: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Entries":
        """Return the entries at these positions, or where the mask is true."""
        return Entries(self.bucket[where], self.key[where], self.text_hash[where])


_NO_ENTRIES = Entries(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint64))

NOBODY = (1 << 63) - 1
"""A key behind those of all documents."""


@dataclass(frozen=True)
class Standing:
    """What keys tell of documents: those from `own` on were decided on before, and from `removed` on, removed then.

    Without such, all keys are below both.
    """

    own: int = NOBODY
    removed: int = NOBODY


NOTHING_DECIDED = Standing()


def copies(key: I64, text_hash: U64) -> tuple[I64, I64]:
    """Return (positions of the first document of each text, first key of every document's text), both int64.

    key, text_hash: of documents, by the hash of the normalised text. "First" is the least key.
    """
    order = np.lexsort((key, text_hash))
    starts = run_starts(text_hash[order])
    first = order[starts]
    original = np.empty_like(key)
    original[order] = np.repeat(key[first], np.diff(starts, append=order.size))
    return first, original


def id_entries(key: I64, id_hash: U64) -> Entries:
    """Return one entry for each distinct identifier, with the number of its documents in place of a text's hash."""
    order = np.lexsort((key, id_hash))
    starts = run_starts(id_hash[order])
    counts = np.diff(starts, append=order.size).astype(np.uint64)
    return Entries(id_hash[order[starts]] | np.uint64(ID_BAND), key[order[starts]], counts)


@dataclass(frozen=True)
class BucketContents:
    """What the buckets of one task hold."""

    pairs: I64
    """(n, 2) candidate pairs, lesser key first; a pair may come from several buckets"""
    exact: I64
    """(n, 2) (least key with this normalised text, another key with it); of documents decided before, one at most"""
    hot: I64
    """(n, 2) (bucket as int64, key) for the members of buckets over the cap"""
    hot_buckets: I64
    """(n, 2) (bucket as int64, its documents) of the buckets over the cap"""
    duplicate_ids: I64
    """(n, 2) (a key, how many further documents bear its identifier)"""


@njit(cache=KEPT)
def _pair_up(keys, own, removed, fill, pairs, n):
    """Count the pairs of keys after n others, of which one is below `own` and none from `removed` on; write them."""
    for i in range(keys.size):
        for j in range(i + 1, keys.size):
            low, high = min(keys[i], keys[j]), max(keys[i], keys[j])
            if low < own and high < removed:
                if fill:
                    pairs[n, 0] = low
                    pairs[n, 1] = high
                n += 1
    return n


@njit(cache=KEPT)
def _walk(bucket, key, text_hash, cap, own, removed, fill, pairs, exact, hot, hot_buckets, same_id):
    """Go once over entries sorted by (bucket, text_hash, key); count the rows, and with `fill` write them."""
    n_pairs, n_exact, n_hot, n_hot_buckets, n_same = 0, 0, 0, 0, 0
    band_mask = np.uint64(ID_BAND)
    firsts = np.empty(bucket.size, np.int64)
    start = 0
    while start < bucket.size:
        end = start
        while end < bucket.size and bucket[end] == bucket[start]:
            end += 1
        band = bucket[start] & band_mask
        if band == band_mask:
            total = np.uint64(0)
            for i in range(start, end):
                total += text_hash[i]
            if total > 1:
                if fill:
                    same_id[n_same, 0] = key[start]
                    same_id[n_same, 1] = np.int64(total) - 1
                n_same += 1
            start = end
            continue
        size, undecided, first = 0, 0, key[start]
        for i in range(start, end):
            if i > start and text_hash[i] == text_hash[i - 1]:
                if key[i - 1] < own:
                    if band == 0:  # every document has one entry in band 0, so a copy is reported once
                        if fill:
                            exact[n_exact, 0] = first
                            exact[n_exact, 1] = key[i]
                        n_exact += 1
                    if key[i] >= own:  # one that was decided on before stands for the text
                        firsts[size - 1] = key[i]
                        undecided -= 1
            else:
                firsts[size] = first = key[i]
                size += 1
                undecided += key[i] < own
        if undecided == 0:
            start = end
            continue
        if size > cap:
            for i in range(size):
                if firsts[i] < removed:
                    if fill:
                        hot[n_hot, 0] = np.int64(bucket[start])
                        hot[n_hot, 1] = firsts[i]
                    n_hot += 1
            if fill:
                hot_buckets[n_hot_buckets, 0] = np.int64(bucket[start])
                hot_buckets[n_hot_buckets, 1] = size
            n_hot_buckets += 1
        else:
            n_pairs = _pair_up(firsts[:size], own, removed, fill, pairs, n_pairs)
        start = end
    return n_pairs, n_exact, n_hot, n_hot_buckets, n_same


def search(
    blobs: Sequence[bytes], cap: int, budget: int | None = None, standing: Standing = NOTHING_DECIDED
) -> Iterator[BucketContents]:
    """Yield all candidate pairs, exact copies, hot buckets and repeated identifiers among packed entries of one task.

    But for those among documents alone that were decided on before, and pairs with one that was removed then. They come
    in parts of about PART_PAIRS pairs, each of whole buckets. budget: pairs at most; the cap is lowered until it
    suffices, so that the smallest buckets, which tell most, come first.
    """
    together = _sorted_by_bucket(_without_lone([Entries.unpack(blob) for blob in blobs]))
    starts, sizes = _bucket_sizes(together)
    if budget is not None:
        cap = _affordable_cap(sizes, cap, budget)
    # A bucket may be larger than a part: its members then make none of the pairs, being over the cap, or cap squared.
    part = np.cumsum(np.where(sizes <= cap, sizes * (sizes - 1) // 2, 0)) // PART_PAIRS
    cuts = np.append(starts[run_starts(part)], len(together.bucket)) if len(starts) else np.zeros(2, np.int64)
    no_rows, limits = np.empty((0, 2), np.int64), (cap, standing.own, standing.removed)
    for start, end in pairwise(cuts.tolist()):
        columns = (together.bucket[start:end], together.key[start:end], together.text_hash[start:end])
        counts = _walk(*columns, *limits, False, no_rows, no_rows, no_rows, no_rows, no_rows)
        tables = [np.empty((n, 2), np.int64) for n in counts]
        _walk(*columns, *limits, True, *tables)
        yield BucketContents(*tables)


def _without_lone(parts: Sequence[Entries]) -> Entries:
    """Return all entries but for most of those that say nothing: of buckets of one entry, as most buckets are.

    So the copying and sorting is for the few others.
    """
    number = sum(len(part.bucket) for part in parts)
    seen = np.zeros(1 << (_SLOTS_PER_ENTRY * number).bit_length(), np.uint8)
    for part in parts:
        _note(part.bucket, seen)
    return Entries.joined([part.take(_met_again(part.bucket, part.text_hash, seen)) for part in parts])


@njit(cache=KEPT)
def _note(bucket, seen):
    """Count, up to two, the entries in each slot of `seen`, uint8 (a power of two)."""
    last = np.uint64(seen.size - 1)
    for i in range(bucket.size):
        slot = fold(bucket[i], K0) & last
        if seen[slot] < 2:
            seen[slot] += 1


@njit(cache=KEPT)
def _met_again(bucket, count, seen):
    """Return a mask of the entries that share their slot of `seen` with another.

    Also of an identifier's entries (ID_BAND) whose `count` is more than one.
    """
    last, band_mask = np.uint64(seen.size - 1), np.uint64(ID_BAND)
    found = np.empty(bucket.size, np.bool_)
    for i in range(bucket.size):
        is_many = bucket[i] & band_mask == band_mask and count[i] > 1
        found[i] = is_many or seen[fold(bucket[i], K0) & last] > 1
    return found


def _sorted_by_bucket(entries: Entries) -> Entries:
    """Return the entries sorted by (bucket, text_hash, key)."""
    order = np.argsort(entries.bucket)
    _sort_in_buckets(entries.bucket, entries.text_hash, entries.key, order)
    return entries.take(order)


@njit(cache=KEPT)
def _sort_in_buckets(bucket, text_hash, key, order):
    """Sort positions `order`, which are sorted by bucket, by text_hash and key within each."""
    start = 0
    while start < order.size:
        end = start + 1
        while end < order.size and bucket[order[end]] == bucket[order[start]]:
            end += 1
        if end - start <= _FEW:
            for i in range(start + 1, end):
                at, j = order[i], i
                while j > start and (
                    text_hash[order[j - 1]] > text_hash[at]
                    or (text_hash[order[j - 1]] == text_hash[at] and key[order[j - 1]] > key[at])
                ):
                    order[j] = order[j - 1]
                    j -= 1
                order[j] = at
        else:
            run = order[start:end]
            run = run[np.argsort(key[run])]
            order[start:end] = run[np.argsort(text_hash[run], kind="mergesort")]  # stable
        start = end


def _bucket_sizes(entries: Entries) -> tuple[I64, I64]:
    """Return where the buckets begin, and how many texts each holds, of entries sorted by (bucket, text_hash, key)."""
    starts = run_starts(entries.bucket)
    if not len(starts):
        return starts, starts
    is_new = np.append(True, entries.text_hash[1:] != entries.text_hash[:-1])
    is_new[starts] = True
    return starts, np.add.reduceat(is_new.astype(np.int64), starts)


def _affordable_cap(sizes: I64, cap: int, budget: int) -> int:
    """Return the largest cap, at most `cap`, at which buckets of these sizes make no more pairs than the budget."""
    number = np.bincount(sizes[sizes <= cap], minlength=cap + 1)
    size = np.arange(cap + 1)
    pairs = np.cumsum(number * (size * (size - 1) // 2))
    return max(1, int(np.searchsorted(pairs, budget, side="right")) - 1)


@njit(cache=KEPT)
def _meet(tiny, key, most, leaders, leader_keys, count, near, likely, sure, out):
    """Compare one batch for `Leaders.meet`; return (number of pairs, number of leaders after it).

    tiny uint8 (n, slots), key int64 (n) and most int64 (n) of the documents; leaders uint8 (limit, slots) and
    leader_keys int64 (limit), the first `count` in use; out int64 (sum of most + 2 n, 2) gets the pairs' keys.
    """
    n, slots = tiny.shape
    same = np.empty(leaders.shape[0], np.int64)
    having = np.empty(slots + 1, np.int64)
    pairs = 0
    for d in range(n):
        having[:] = 0
        for k in range(count):
            agreeing = np.int32(0)  # a variable of its own, that the loop be vectorised
            for s in range(slots):
                agreeing += np.int32(leaders[k, s] == tiny[d, s])
            same[k] = agreeing
            having[agreeing] += 1
        # The most similar leaders: all that agree in more than `least` slots, and the first of those that agree in just
        # as many, `most` in all.
        least, above = slots, 0
        while least > 0 and least - 1 >= near and above + having[least] <= most[d]:
            above += having[least]
            least -= 1
        equal = most[d] - above
        best = 0
        likely_met, sure_met = False, False
        for k in range(count):
            if same[k] == least and same[k] >= near:
                equal -= 1
            chosen = same[k] >= near and (same[k] > least or (same[k] == least and equal >= 0))
            # The first in keep order that is similar is the one that stays, and most others go for it.
            chosen = chosen or (same[k] >= likely and not likely_met) or (same[k] >= sure and not sure_met)
            likely_met, sure_met = likely_met or same[k] >= likely, sure_met or same[k] >= sure
            best = max(best, same[k])
            if chosen:
                out[pairs, 0] = leader_keys[k]
                out[pairs, 1] = key[d]
                pairs += 1
        if best < sure and count < leaders.shape[0]:
            leaders[count] = tiny[d]
            leader_keys[count] = key[d]
            count += 1
    return pairs, count


class Leaders:
    """The documents of one oversized bucket met so far, in keep order, as far as later ones must be compared with them.

    A document makes candidate pairs with leaders that agree with it in at least `near` slots, so many as it may: with
    the most similar, and of equals the first. It makes two more with the first that agrees in at least `likely`, and
    with the first that does in `sure` slots. One that agrees with none in `sure` slots becomes a leader itself,
    while there are fewer than `limit`. Signatures only choose here what is worth an exact check.
    """

    def __init__(self, bucket: int, limit: int, own: int = NOBODY) -> None:
        self.bucket, self._own = bucket, own
        self._tiny: npt.NDArray[np.uint8] | None = None
        self._keys = np.empty(limit, np.int64)
        self._limit, self._count = limit, 0
        self._undecided = self._decided = self._pairs = 0

    def meet(self, key: I64, tiny: npt.NDArray[np.uint8], most: I64, near: float, likely: float, sure: float) -> I64:
        """Return the candidate pairs, (n, 2) keys with the lesser first, that the next documents of the bucket make.

        But for those of two documents that were decided on before (`Standing`), whose keys are `own` or more.
        key, tiny (documents, slots), most: of these documents, the last being how many pairs each may make.
        """
        if self._tiny is None:
            self._tiny = np.empty((self._limit, tiny.shape[1]), np.uint8)
        out = np.empty((int(most.sum()) + 2 * len(key), 2), np.int64)
        pairs, self._count = _meet(tiny, key, most, self._tiny, self._keys, self._count, near, likely, sure, out)
        undecided = int((key < self._own).sum())
        self._undecided += undecided
        self._decided += len(key) - undecided
        found = np.sort(out[:pairs], axis=1)
        found = found[found[:, 0] < self._own]
        self._pairs += len(found)
        return found

    @property
    def uncompared(self) -> int:
        """Pairs of documents of this bucket that were not made candidates here."""
        pairs = self._undecided * (self._undecided - 1) // 2 + self._undecided * self._decided
        return pairs - self._pairs
