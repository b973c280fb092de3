"""The S-curve, the choice of bands and rows, band keys, and the recall that is estimated from them."""

import doctest
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels import bands as module
from sparkprep.dedup.kernels.band_keys import BAND_BITS, band_keys
from sparkprep.dedup.kernels.bands import (
    MAX_FURTHER_BANDS,
    RECALL,
    SLOTS,
    Banding,
    check_bands,
    choose,
    further,
    in_sequence,
    probability,
)
from sparkprep.dedup.kernels.sketch import sketch
from sparkprep.dedup.report import metrics
from sparkprep.dedup.resolve import outcome
from sparkprep.errors import UserError


def keys_of(signatures: np.ndarray, banding: Banding) -> np.ndarray:
    keys = np.empty((len(signatures), banding.bands), np.uint64)
    band_keys(signatures, banding.slots, keys)
    return keys


def share_found(banding: Banding, jaccard: float, pairs: int, random: np.random.Generator) -> float:
    """Simulated: slots of a pair agree independently with probability `jaccard`."""
    agree = random.random((pairs, SLOTS)) < jaccard
    return float(np.any([agree[:, band].all(axis=1) for band in banding.slots], axis=0).mean())


def area_below(threshold: float, bands: int, rows: int) -> float:
    """Integral of the S-curve from 0 to the threshold, by the midpoint rule."""
    middle = (np.arange(4000) + 0.5) / 4000 * threshold
    return float(np.mean(1.0 - (1.0 - middle**rows) ** bands) * threshold)


@pytest.mark.parametrize(
    "threshold", [0.041, 0.05, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0]
)
def test_the_choice_reaches_the_recall_with_the_least_area_of_all_that_do(threshold: float) -> None:
    bands, rows = choose(threshold)
    assert bands * rows <= SLOTS
    assert 1.0 - (1.0 - threshold**rows) ** bands >= RECALL - 1e-12
    feasible = [
        (b, r)
        for r in range(1, SLOTS + 1)
        for b in range(1, SLOTS // r + 1)
        if 1.0 - (1.0 - threshold**r) ** b >= RECALL
    ]
    assert (bands, rows) in feasible
    least = min(area_below(threshold, b, r) for b, r in feasible)
    assert area_below(threshold, bands, rows) <= least * (1 + 1e-6)


def test_the_choice_at_the_usual_threshold() -> None:
    assert choose(0.8) == (18, 6)
    assert choose(1.0) == (1, SLOTS)  # equal documents: all slots in one band


def test_the_s_curve_is_what_random_signatures_do() -> None:
    random = np.random.default_rng(0)
    for jaccard in (0.3, 0.5, 0.7, 0.8, 0.9):
        expected = float(probability(jaccard, 18, 6))
        assert share_found(in_sequence(18, 6), jaccard, 20_000, random) == pytest.approx(expected, abs=0.015)
    assert probability(np.array([0.0, 1.0]), 18, 6).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("threshold", [0.04, 0.02, 0.003, 1e-3, 1e-9, 1e-300])
def test_a_threshold_too_low_for_the_signature_is_refused_with_the_least_one(threshold: float) -> None:
    with pytest.raises(UserError, match=r"threshold=.* is too low: with 128 slots .* below 0\.995") as refused:
        choose(threshold)
    least = float(re.search(r"can serve is ([0-9.]+)$", str(refused.value))[1])
    choose(least)
    with pytest.raises(UserError):
        choose(least - 0.001)


@pytest.mark.parametrize(("bands", "rows"), [(0, 5), (5, 0), (-1, 3), (3, -1), (0, 0)])
def test_bands_and_rows_below_one_are_refused(bands: int, rows: int) -> None:
    with pytest.raises(UserError, match=f"bands={bands} rows={rows}: both must be at least 1"):
        check_bands(bands, rows)


def test_more_slots_than_a_signature_has_are_refused() -> None:
    check_bands(18, 6)
    check_bands(16, 8)
    check_bands(1, 128)
    check_bands(128, 1)
    with pytest.raises(UserError, match=r"bands=43 rows=3 need 129 slots, a signature has 128"):
        check_bands(43, 3)


def test_bands_in_sequence_use_every_slot_once() -> None:
    banding = in_sequence(16, 8)
    assert (banding.bands, banding.rows) == (16, 8)
    assert banding.slots.reshape(-1).tolist() == list(range(128))


# Further bands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.8, 0.9, 0.95])
def test_further_bands_are_more_selective_and_keep_the_recall(threshold: float) -> None:
    bands, rows = choose(threshold)
    split = further(threshold, rows, seed=1)
    assert split is not None
    assert split.rows > rows
    assert 1 <= split.bands <= MAX_FURTHER_BANDS
    assert all(len(set(band)) == split.rows and 0 <= min(band) <= max(band) < SLOTS for band in split.slots.tolist())
    random = np.random.default_rng(5)
    assert share_found(split, threshold, 20_000, random) == pytest.approx(RECALL, abs=0.004)
    below = threshold - 0.3
    assert share_found(split, below, 20_000, random) < share_found(in_sequence(bands, rows), below, 20_000, random)


def test_further_bands_are_no_more_than_are_needed() -> None:
    """With half of them the recall is clearly missed."""
    split = further(0.8, 6, seed=1)
    fewer = Banding(split.slots[: split.bands // 2])
    assert share_found(fewer, 0.8, 20_000, np.random.default_rng(6)) < RECALL - 0.005


def test_further_bands_are_the_same_for_the_same_seed_only() -> None:
    again = [further.__wrapped__(0.8, 6, seed).slots.tolist() for seed in (1, 1, 2)]
    assert again[0] == again[1]
    assert again[0] != again[2]
    assert again[0] == further(0.8, 6, 1).slots.tolist()


def test_there_are_no_further_bands_where_no_more_rows_can_be_had() -> None:
    assert further(1.0, SLOTS, seed=1) is None
    assert further(0.05, 1, seed=1) is None


# Band keys ------------------------------------------------------------------------------------------------------------

bandings = st.tuples(st.integers(1, 8), st.integers(1, 4)).map(lambda shape: in_sequence(*shape))


@given(bandings, st.sampled_from([np.uint8, np.uint64]), st.integers(0, 2**32), st.integers(1, 3))
def test_keys_are_equal_exactly_where_all_slots_of_a_band_are(banding: Banding, dtype, seed: int, values: int) -> None:
    random = np.random.default_rng(seed)
    signatures = random.integers(0, values, (12, 32)).astype(dtype) * dtype(85)
    keys = keys_of(signatures, banding)
    for b, slots in enumerate(banding.slots):
        for i in range(12):
            for j in range(i):
                assert (keys[i, b] == keys[j, b]) == np.array_equal(signatures[i, slots], signatures[j, slots])


@given(st.integers(0, 2**32))
def test_a_key_carries_its_bands_number_so_that_bands_never_meet(seed: int) -> None:
    signatures = np.random.default_rng(seed).integers(0, 2, (20, SLOTS)).astype(np.uint64)
    keys = keys_of(signatures, in_sequence(SLOTS, 1))
    assert ((keys & np.uint64((1 << BAND_BITS) - 1)) == np.arange(SLOTS, dtype=np.uint64)).all()
    assert (1 << BAND_BITS) > MAX_FURTHER_BANDS + 1


def test_the_order_of_slots_in_a_band_counts() -> None:
    """A band compares slot with slot: values that changed places are no agreement."""
    keys = keys_of(np.array([[1, 2], [2, 1], [1, 1]], np.uint64), in_sequence(1, 2))
    assert len(set(keys[:, 0].tolist())) == 3


def test_any_slots_may_make_a_band() -> None:
    signatures = np.arange(4 * SLOTS, dtype=np.uint64).reshape(4, SLOTS)
    signatures[1, [3, 100]] = signatures[0, [3, 100]]
    keys = keys_of(signatures, Banding(np.array([[3, 100], [3, 101]])))
    assert keys[0, 0] == keys[1, 0]
    assert keys[0, 1] != keys[1, 1]


def test_band_keys_are_the_same_on_every_platform() -> None:
    text = pa.array(["The quick brown fox jumps over the lazy dog."])
    keys = keys_of(sketch(text).signatures, in_sequence(18, 6))
    assert [f"{int(k):016x}" for k in keys[0, :3]] == ["4a86d97a8089cc00", "b67051579a36b801", "9f3ea716dd854802"]


# The recall that a run reports ----------------------------------------------------------------------------------------


def test_the_estimated_recall_is_the_true_one() -> None:
    """Pairs of known similarity, found or not as the bands of random signatures would have it."""
    random = np.random.default_rng(8)
    true = 1.0 - 0.5 * random.random(50_000) ** 0.5  # many close to the threshold of 0.5
    bands, rows = 12, 4  # too few bands on purpose
    found = true[random.random(true.size) < probability(true, bands, rows)]
    figures = metrics.recall(outcome.histogram(found, 0.5), 0, 0.5, bands, rows)
    actual = found.size / true.size
    assert actual < 0.9
    assert figures["pairs"] == found.size
    assert figures["estimate"] == pytest.approx(actual, abs=0.005)
    assert figures["low"] <= figures["estimate"] <= figures["high"]
    assert figures["high"] - figures["low"] < 0.02


def test_exact_copies_count_as_found_with_certainty() -> None:
    none = outcome.histogram(np.empty(0), 0.8)
    assert metrics.recall(none, 0, 0.8, 18, 6)["estimate"] is None
    assert metrics.recall(none, 500, 0.8, 18, 6) == {
        "estimate": 1.0,
        "low": 1.0,
        "high": 1.0,
        "pairs": 500,
        "missed": 0.0,
    }
    near = outcome.histogram(np.full(500, 0.5), 0.5)
    alone, with_copies = (metrics.recall(near, copies, 0.5, 5, 5)["estimate"] for copies in (0, 500))
    assert alone < with_copies < 1.0


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
