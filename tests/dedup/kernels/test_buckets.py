"""Bucket entries to candidate pairs: against dictionaries, for copies, oversized buckets and repeated identifiers."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sparkprep.dedup.kernels import buckets
from sparkprep.dedup.kernels.band_keys import BAND_BITS
from sparkprep.dedup.kernels.buckets import ID_BAND, BucketContents, Entries, Leaders, Standing, copies, id_entries

# A document is (key, hash of its text); the buckets it lies in follow from the text, so copies share all of them.
documents = st.dictionaries(
    st.integers(0, 2**62), st.integers(0, 9).map(lambda w: w * 0x1C71C71C71C71C71), max_size=25
).map(lambda d: sorted(d.items()))
BANDS = 4


def bucket_of(text: int, band: int, spread: int) -> int:
    """A bucket that several texts share; the band's number in the low bits, and bit 63 set for some."""
    return ((text % 7919 * (band + 3) % spread) * 0x9E3779B97F4A7C15 % 2**64) >> BAND_BITS << BAND_BITS | band


def entries_of(rows: list[tuple[int, int, int]]) -> Entries:
    bucket, key, text_hash = zip(*rows, strict=True) if rows else ((), (), ())
    return Entries(np.array(bucket, np.uint64), np.array(key, np.int64), np.array(text_hash, np.uint64))


def search(
    entries: Entries, cap: int, budget: int | None = None, standing: Standing = buckets.NOTHING_DECIDED
) -> BucketContents:
    """All that the buckets hold, its parts put together."""
    parts = [vars(part) for part in buckets.search(entries.pack(3), cap, budget, standing)]
    assert parts
    return BucketContents(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def as_set(table: np.ndarray) -> set[tuple[int, int]]:
    """The rows of a table that must have no row twice."""
    rows = [tuple(row) for row in table.tolist()]
    assert len(rows) == len(set(rows))
    return set(rows)


def sorted_rows(table: np.ndarray) -> list[list[int]]:
    return sorted(table.tolist())


@given(documents, st.integers(1, 4), st.integers(2, 6), st.randoms(use_true_random=False))
def test_pairs_copies_and_oversized_buckets_are_those_of_a_dictionary(docs, spread: int, cap: int, random) -> None:
    rows = [(bucket_of(text_hash, band, spread), key, text_hash) for key, text_hash in docs for band in range(BANDS)]
    random.shuffle(rows)
    found = search(entries_of(rows), cap)

    held: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for bucket, key, text_hash in rows:
        held[bucket][text_hash].append(key)
    pairs, hot, hot_buckets = [], [], []
    for bucket, texts in held.items():
        firsts = sorted(min(keys) for keys in texts.values())
        signed = bucket - 2**64 if bucket >= 2**63 else bucket
        if len(firsts) > cap:
            hot += [[signed, key] for key in firsts]
            hot_buckets.append([signed, len(firsts)])
        else:
            pairs += [list(pair) for pair in combinations(firsts, 2)]
    by_text = defaultdict(list)
    for key, text_hash in docs:
        by_text[text_hash].append(key)
    exact = [[min(keys), key] for keys in by_text.values() for key in keys if key != min(keys)]

    assert sorted_rows(found.pairs) == sorted(pairs)
    assert sorted_rows(found.exact) == sorted(exact)
    assert sorted_rows(found.hot) == sorted(hot)
    assert sorted_rows(found.hot_buckets) == sorted(hot_buckets)
    assert not len(found.duplicate_ids)


def test_a_bucket_at_the_cap_is_paired_and_one_above_it_is_hot() -> None:
    rows = [(5 << BAND_BITS, key, 100 + key) for key in range(6)]
    at_cap, over = search(entries_of(rows[:5]), 5), search(entries_of(rows), 5)
    assert (len(at_cap.pairs), len(at_cap.hot)) == (10, 0)
    assert (len(over.pairs), len(over.hot)) == (0, 6)


def test_thousands_of_copies_fill_no_bucket() -> None:
    rows = [(1 << BAND_BITS | band, key, 77) for key in range(1500) for band in (0, 1)]
    found = search(entries_of(rows), 200)
    assert found.exact.tolist() == [[0, key] for key in range(1, 1500)]
    assert not len(found.pairs)
    assert not len(found.hot)


@given(documents, st.integers(1, 4), st.integers(2, 12), st.integers(0, 200))
def test_pairs_keep_to_the_cap_and_to_a_budget_that_goes_to_the_smallest_buckets(docs, spread, cap, budget) -> None:
    """No more than (cap - 1) / 2 pairs for each entry, nor than the budget; what is not paired is said to be hot."""
    rows = [(bucket_of(text_hash, band, spread), key, text_hash) for key, text_hash in docs for band in range(BANDS)]
    texts: dict[int, set[int]] = defaultdict(set)
    for bucket, _, text_hash in rows:
        texts[bucket].add(text_hash)
    sizes = sorted(len(held) for held in texts.values())
    whole, cut = search(entries_of(rows), cap), search(entries_of(rows), cap, budget)
    assert len(whole.pairs) <= len(rows) * (cap - 1) / 2
    assert len(cut.pairs) <= budget
    least_hot = min((size for _, size in cut.hot_buckets.tolist()), default=cap + 1)
    assert len(cut.pairs) == sum(size * (size - 1) // 2 for size in sizes if size < least_hot)
    assert len(cut.hot) == sum(size for size in sizes if size >= least_hot)
    affordable = sum(size * (size - 1) // 2 for size in sizes if size <= least_hot)
    assert least_hot > cap or affordable > budget


@given(documents, st.integers(1, 3), st.integers(1, 20))
def test_pairs_come_in_parts_of_a_few_buckets_and_are_the_same(docs, spread: int, part: int) -> None:
    rows = [(bucket_of(text_hash, band, spread), key, text_hash) for key, text_hash in docs for band in range(BANDS)]
    whole = search(entries_of(rows), 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "PART_PAIRS", part)
        parts = list(buckets.search(entries_of(rows).pack(1), 5))
    for name, table in vars(whole).items():
        assert np.concatenate([getattr(each, name) for each in parts]).tolist() == table.tolist()
    assert all(len(each.pairs) < part + 5 * 4 // 2 for each in parts)


def test_what_shares_no_bucket_makes_nothing() -> None:
    for rows in ([], [(1 << BAND_BITS, 1, 1)], [(n << BAND_BITS, n, 1) for n in range(10)]):
        found = search(entries_of(rows), 10)
        assert [len(t) for t in (found.pairs, found.exact, found.hot, found.duplicate_ids)] == [0, 0, 0, 0]
        assert found.pairs.shape == (0, 2)


@given(
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 5)), max_size=40, unique_by=lambda row: row[0]), st.data()
)
def test_repeated_identifiers_are_counted_over_all_batches(rows, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    parts = []
    for part in (rows[:cut], rows[cut:]):
        key = np.array([k for k, _ in part], np.int64)
        parts.append(id_entries(key, np.array([h * 0x2492492492492492 for _, h in part], np.uint64)))
    joined = Entries.joined(parts)
    found = search(joined, 2).duplicate_ids.tolist()
    bearers = defaultdict(list)
    for key, h in rows:
        bearers[h].append(key)
    assert sorted(n for _, n in found) == sorted(len(keys) - 1 for keys in bearers.values() if len(keys) > 1)
    assert all(any(key in keys and len(keys) == n + 1 for keys in bearers.values()) for key, n in found)
    assert len({key for key, _ in found}) == len(found)


def test_identifiers_and_texts_do_not_disturb_each_other() -> None:
    """Three documents of one identifier, one pair, one copy: each is reported as what it is."""
    rows = [(9 << BAND_BITS, 1, 50), (9 << BAND_BITS, 2, 51), (9 << BAND_BITS, 3, 51)]
    ids = id_entries(np.array([1, 2, 3]), np.array([9 << BAND_BITS] * 3, np.uint64))
    found = search(Entries.joined([entries_of(rows), ids]), 10)
    assert found.pairs.tolist() == [[1, 2]]
    assert found.exact.tolist() == [[2, 3]]
    assert found.duplicate_ids.tolist() == [[1, 2]]


@given(documents, st.integers(1, 5))
def test_packed_entries_come_out_as_they_went_in_those_of_a_bucket_together(docs, tasks: int) -> None:
    entries = entries_of([(w ^ 2**63, key, w) for key, w in docs])
    parts = [Entries.unpack(blob) for blob in entries.pack(tasks)]
    assert len(parts) == tasks
    joined = Entries.joined(parts)
    for name, dtype in (("bucket", np.uint64), ("key", np.int64), ("text_hash", np.uint64)):
        assert getattr(joined, name).dtype == dtype
    rows = list(zip(joined.bucket.tolist(), joined.key.tolist(), joined.text_hash.tolist(), strict=True))
    assert sorted(rows) == sorted((w ^ 2**63, key, w) for key, w in docs)
    places = [set(part.bucket.tolist()) for part in parts]
    assert sum(map(len, places)) == len(set().union(*places)), "no bucket is in two parts"


def test_entries_are_taken_row_by_row() -> None:
    entries = entries_of([(1, 10, 100), (2, 20, 200), (3, 30, 300)])
    taken = entries.take(np.array([2, 0]))
    assert (taken.bucket.tolist(), taken.key.tolist(), taken.text_hash.tolist()) == ([3, 1], [30, 10], [300, 100])
    assert entries.take(np.array([False, True, False])).key.tolist() == [20]


@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 6)), max_size=30, unique_by=lambda row: row[0]))
def test_copies_are_laid_to_the_least_key_of_their_text(rows) -> None:
    key = np.array([k for k, _ in rows], np.int64)
    text_hash = np.array([w for _, w in rows], np.uint64)
    first, original = copies(key, text_hash)
    least = {w: min(k for k, v in rows if v == w) for _, w in rows}
    assert original.tolist() == [least[w] for _, w in rows]
    assert sorted(key[first].tolist()) == sorted(least.values())


def test_the_number_of_the_identifiers_band_is_no_bands() -> None:
    assert ID_BAND == 2**BAND_BITS - 1
    assert id_entries(np.array([4]), np.array([0], np.uint64)).bucket.tolist() == [ID_BAND]


# Oversized buckets, along the keep order ------------------------------------------------------------------------------

SLOTS = 128
NEAR, LIKELY, SURE = 90.0, 102.4, 110.0


def make_signatures(families: int, members: int, noise: int, seed: int) -> np.ndarray:
    """(families * members, SLOTS): the members of a family differ from it in up to `noise` slots; in mixed order."""
    random = np.random.default_rng(seed)
    made = np.repeat(random.integers(0, 256, (families, SLOTS)), members, axis=0)
    for row in made:
        row[random.permutation(SLOTS)[: random.integers(0, noise + 1)]] = random.integers(0, 256)
    return random.permutation(made).astype(np.uint8)


def most_of(key: int) -> int:
    """How many pairs a document may make."""
    return 1 + key % 5


def meet_all(leaders: Leaders, keys: np.ndarray, signatures: np.ndarray, cuts: list[int]) -> list[list[int]]:
    pairs = []
    for start, end in zip([0, *cuts], [*cuts, len(keys)], strict=True):
        most = np.array([most_of(key) for key in keys[start:end].tolist()], np.int64)
        pairs += leaders.meet(keys[start:end], signatures[start:end], most, NEAR, LIKELY, SURE).tolist()
    return pairs


def in_plain_python(keys: np.ndarray, signatures: np.ndarray, limit: int) -> list[list[int]]:
    leaders: list[int] = []
    pairs = []
    for d in range(len(keys)):
        same = [int((signatures[k] == signatures[d]).sum()) for k in leaders]
        near = sorted((place for place, n in enumerate(same) if n >= NEAR), key=lambda place: (-same[place], place))
        first = [next((place for place, n in enumerate(same) if n >= least), None) for least in (LIKELY, SURE)]
        chosen = sorted({*near[: most_of(int(keys[d]))], *first} - {None})
        pairs += [sorted([int(keys[leaders[place]]), int(keys[d])]) for place in chosen]
        if max(same, default=0) < SURE and len(leaders) < limit:
            leaders.append(d)
    return pairs


@hypothesis_settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([1, 3, 100]), st.data())
def test_leaders_pair_as_defined_however_the_documents_are_cut(seed: int, families: int, limit: int, data) -> None:
    signatures = make_signatures(families, 10, 45, seed)
    keys = np.random.default_rng(seed).permutation(1000)[: len(signatures)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(keys)), max_size=4)))
    expected = in_plain_python(keys, signatures, limit)
    leaders = Leaders(7, limit)
    assert meet_all(leaders, keys, signatures, cuts) == expected
    assert leaders.uncompared == len(keys) * (len(keys) - 1) // 2 - len(expected)


def test_documents_with_one_signature_all_pair_with_the_first() -> None:
    leaders = Leaders(0, 1000)
    keys = np.arange(500)[::-1].copy()
    pairs = meet_all(leaders, keys, np.full((500, SLOTS), 9, np.uint8), [100, 101])
    assert pairs == [[key, 499] for key in keys[1:].tolist()]
    assert leaders.uncompared == 500 * 499 // 2 - 499


def test_unlike_documents_make_no_pairs_and_the_limit_bounds_the_leaders() -> None:
    signatures = make_signatures(60, 1, 0, 1)
    nothing = Leaders(0, 1000)
    assert meet_all(nothing, np.arange(60), signatures, []) == []
    assert nothing.uncompared == 60 * 59 // 2
    few = Leaders(0, 5)
    again = np.concatenate([signatures, signatures])
    assert meet_all(few, np.arange(120), again, [60]) == [[i, 60 + i] for i in range(5)]


@pytest.mark.parametrize(
    ("closer", "farther", "expected"), [(40, 24, 64), (40, 25, 64), (3, 5, 8), (64, 9, 64), (0, 70, 64), (70, 3, 64)]
)
def test_a_document_is_compared_with_the_most_similar_leaders_up_to_a_bound(
    closer: int, farther: int, expected: int
) -> None:
    """Leaders that agree with one document in 100 or 95 slots: near it, not surely the same, unlike each other."""
    most = np.array([64])
    around = np.zeros((closer + farther, SLOTS), np.uint8)
    for i, row in enumerate(around[::-1]):  # the less similar ones come last
        row[np.random.default_rng(i).permutation(SLOTS)[: 33 if i < farther else 28]] = i + 1
    keys = np.arange(len(around))
    leaders = Leaders(0, 1000)
    assert len(leaders.meet(keys, around, np.repeat(most, len(keys)), NEAR, LIKELY, SURE)) == 0
    pairs = leaders.meet(np.array([999]), np.zeros((1, SLOTS), np.uint8), most, NEAR, LIKELY, SURE)
    assert pairs.tolist() == [[i, 999] for i in range(expected)]


@pytest.mark.parametrize("limit", [1, 4])
def test_no_documents_leave_nothing_uncompared(limit: int) -> None:
    leaders = Leaders(3, limit)
    nothing = np.empty(0, np.int64)
    assert leaders.meet(nothing, np.empty((0, SLOTS), np.uint8), nothing, NEAR, LIKELY, SURE).shape == (0, 2)
    assert leaders.uncompared == 0


@given(documents, st.integers(1, 4), st.integers(2, 6), st.data())
def test_of_documents_decided_before_only_what_meets_new_ones_is_found(docs, spread: int, cap: int, data) -> None:
    keys = [key for key, _ in docs]
    own = data.draw(st.sampled_from([0, *keys, 2**62]))
    removed = data.draw(st.sampled_from([own, *(key for key in keys if key >= own), 2**62]))
    rows = [(bucket_of(text_hash, band, spread), key, text_hash) for key, text_hash in docs for band in range(BANDS)]
    found = search(entries_of(rows), cap, standing=Standing(own, removed))

    pairs, hot, exact, hot_buckets = [], [], [], []
    held: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for bucket, key, text_hash in rows:
        held[bucket][text_hash].append(key)
    for bucket, texts in held.items():
        signed = bucket - 2**64 if bucket >= 2**63 else bucket
        stand_for = []
        for same in map(sorted, texts.values()):
            new, old = [key for key in same if key < own], [key for key in same if key >= own]
            stand_for.append(old[0] if old else new[0])
            if bucket & ID_BAND == 0 and new:
                exact += [[new[0], key] for key in [*new[1:], *old[:1]]]
        if all(key >= own for key in stand_for):
            continue
        if len(stand_for) > cap:
            hot += [[signed, key] for key in stand_for if key < removed]
            hot_buckets.append([signed, len(stand_for)])
        else:
            pairs += [[a, b] for a, b in combinations(sorted(stand_for), 2) if a < own and b < removed]
    assert sorted_rows(found.pairs) == sorted(pairs)
    assert sorted_rows(found.exact) == sorted(exact)
    assert sorted_rows(found.hot) == sorted(hot)
    assert sorted_rows(found.hot_buckets) == sorted(hot_buckets)


def test_pairs_that_an_oversized_bucket_leaves_uncompared_have_a_new_document() -> None:
    rng = np.random.default_rng(3)
    tiny = rng.integers(0, 256, (40, 128), np.uint8)
    keys = np.arange(40)
    leaders = Leaders(7, 10, own=30)
    most = np.full(40, 64)
    assert not len(leaders.meet(keys[30:], tiny[30:], most[30:], 60.0, 90.0, 100.0)), "the old ones alone are no pair"
    assert leaders.uncompared == 0
    pairs = leaders.meet(keys[:30], tiny[:30], most[:30], 60.0, 90.0, 100.0)
    assert leaders.uncompared == 30 * 29 // 2 + 30 * 10 - len(pairs)
