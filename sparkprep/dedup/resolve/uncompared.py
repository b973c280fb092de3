"""The pairs of kept documents that oversized buckets have left uncompared: how many at most, and how that is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from sparkprep.dedup import wording
from sparkprep.dedup.candidates import CandidateCounts
from sparkprep.dedup.kernels.arrays import I64
from sparkprep.dedup.search_tables import CandidateTables
from sparkprep.documents.addressed import is_among, keys_of
from sparkprep.errors import argument
from sparkprep.spark.tables import Table


def walked(candidates: CandidateTables) -> Table:
    """Return the table of the documents that a search has compared along the keep order only, where it did so."""
    return candidates.still_hot if candidates.still_hot.exists() else candidates.hot


def staying(candidates: CandidateTables, gone: Callable[[int], I64]) -> Iterator[I64]:
    """Yield, a piece at a time, the sorted keys of the `walked` documents that stay; gone: the removed of a piece."""
    table = walked(candidates)
    for piece in table.parts or {}:
        keys = keys_of(table, piece)
        yield keys[~is_among(keys, gone(piece))]


def most_pairs(keys: Iterator[I64], own: int) -> int:
    """Return how many pairs documents can make, but for those of two that were decided on before: keys from `own`."""
    undecided = decided = 0
    for some in keys:
        own_ones = int(np.count_nonzero(some < own))
        undecided, decided = undecided + own_ones, decided + len(some) - own_ones
    return undecided * (undecided - 1) // 2 + undecided * decided


def bound(last: CandidateCounts, pairs: int, compared: int) -> int:
    """Return how many pairs of kept documents in oversized buckets were not compared, at most.

    last: what the last search came to, whose buckets count a pair once for each that it lies in. pairs: `most_pairs`
    of the `staying`; compared: those of them that some search has compared. What earlier searches left out is in
    none of these: the last one went over all documents that stay.
    """
    return max(0, min(last.uncompared_pairs, pairs - compared))


def warning(pairs: int) -> list[str]:
    """Return the warning, if any, that so many pairs were left out."""
    if not pairs:
        return []
    return [
        f"{wording.uncompared(pairs)} were not compared: some of these may be near-duplicates of which both stay; a "
        f"higher {argument('bucket_cap')} or {argument('bucket_leaders')} compares more"
    ]


def recall_without(pairs: int, first: CandidateCounts) -> str | None:
    """Return which pairs an estimate of recall, which knows the banding alone, leaves out; None where none.

    first: what the search of all documents came to.
    """
    if pairs:
        return f"the {wording.uncompared(pairs)} that were not compared"
    if first.uncompared_pairs:
        return "pairs with a removed document that oversized buckets left uncompared"
    return None
