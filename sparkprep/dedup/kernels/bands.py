"""Which slots of a signature make a band: the S-curve, and the choice of (bands, rows).

Two documents become a candidate pair where all `rows` slots of at least one of `bands` bands agree (Leskovec,
Rajaraman, Ullman, Mining of Massive Datasets, section 3.4). With Jaccard similarity J the
probability of that is 1 - (1 - J**rows)**bands.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from sparkprep.errors import UserError, argument

SLOTS = 128
"""Slots of a signature."""
RECALL = 0.995
"""Least probability of finding a pair that lies exactly at the threshold."""
MAX_FURTHER_BANDS = 256


def probability(jaccard: float | npt.NDArray[np.float64], bands: int, rows: int) -> npt.NDArray[np.float64]:
    """Return the S-curve: the probability that a pair of this similarity becomes a candidate."""
    return 1.0 - (1.0 - np.asarray(jaccard, np.float64) ** rows) ** bands


@dataclass(frozen=True)
class Banding:
    """Which slots of a signature make which band: `bands` sets of `rows` slots."""

    slots: npt.NDArray[np.int64]
    """(bands, rows) slot numbers"""

    @property
    def bands(self) -> int:
        return int(self.slots.shape[0])

    @property
    def rows(self) -> int:
        return int(self.slots.shape[1])


def in_sequence(bands: int, rows: int) -> Banding:
    """Return the usual banding: band b takes the slots b * rows to (b + 1) * rows - 1."""
    return Banding(np.arange(bands * rows, dtype=np.int64).reshape(bands, rows))


def choose(threshold: float, slots: int = SLOTS, recall: float = RECALL) -> tuple[int, int]:
    """Return (bands, rows) that find a pair at the threshold with probability >= recall at the fewest candidates.

    The expected number of needless candidates is taken as the area under the S-curve below the threshold, that is,
    pairs spread evenly over all similarities. Raises UserError where even single slots, the most generous bands, find
    too few.

    >>> choose(0.8)
    (18, 6)
    """
    best: tuple[float, int, int] | None = None
    below = np.linspace(0.0, threshold, 1001)
    for rows in range(1, slots + 1):
        most = slots // rows
        if probability(threshold, most, rows) < recall:
            continue
        hit = threshold**rows
        bands = 1 if hit >= 1.0 else min(most, max(1, math.ceil(math.log1p(-recall) / math.log1p(-hit))))
        cost = float(np.trapezoid(probability(below, bands, rows), below))
        if best is None or cost < best[0]:
            best = cost, bands, rows
    if best is None:
        least = 1.0 - (1.0 - recall) ** (1.0 / slots)
        raise UserError(
            f"{argument('threshold', threshold)} is too low: with {slots} slots a pair at the threshold would be found "
            f"with a probability below {recall}; the least threshold that {slots} slots can serve is "
            f"{math.ceil(least * 1000) / 1000:g}"
        )
    return best[1], best[2]


def check_bands(bands: int, rows: int, slots: int = SLOTS) -> None:
    """Refuse bands and rows that a signature cannot feed."""
    if bands < 1 or rows < 1:
        raise UserError(f"{argument('bands', bands)} {argument('rows', rows)}: both must be at least 1")
    if bands * rows > slots:
        raise UserError(
            f"{argument('bands', bands)} {argument('rows', rows)} need {bands * rows} slots, a signature has {slots}: "
            f"choose bands * rows <= {slots}"
        )


@cache
def _hit(agreeing: int, rows: int, slots: int) -> float:
    """Return the probability that `rows` slots drawn without replacement all lie among the agreeing ones."""
    return math.comb(agreeing, rows) / math.comb(slots, rows)


def _probability_by_draws(threshold: float, bands: int, rows: int, slots: int) -> float:
    """Return `probability` for bands that are independent draws of slots and so share some of them."""
    return sum(
        math.comb(slots, m)
        * threshold**m
        * (1.0 - threshold) ** (slots - m)
        * (1.0 - (1.0 - _hit(m, rows, slots)) ** bands)
        for m in range(slots + 1)
    )


@cache
def further(threshold: float, rows: int, seed: int, slots: int = SLOTS) -> Banding | None:
    """Return a more selective banding over the whole signature, to split buckets that grew too large under `rows` rows.

    Its bands are random draws of slots, of the largest number of rows with which at most MAX_FURTHER_BANDS bands still
    find a pair at the threshold with probability >= RECALL. None where no number of rows above `rows` allows that.
    """
    for more in range(min(4 * rows, slots), rows, -1):
        if _probability_by_draws(threshold, MAX_FURTHER_BANDS, more, slots) < RECALL:
            continue
        low, high = 1, MAX_FURTHER_BANDS
        while low < high:
            middle = (low + high) // 2
            if _probability_by_draws(threshold, middle, more, slots) >= RECALL:
                high = middle
            else:
                low = middle + 1
        random = np.random.default_rng([seed, more])
        return Banding(np.stack([np.sort(random.permutation(slots)[:more]) for _ in range(low)]).astype(np.int64))
    return None
