"""The exact check at its edge: a pair whose similarity is the threshold itself is a pair, whatever its sizes."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.columns import TEXTS
from sparkprep.dedup.verify import compare_groups
from sparkprep.documents.keys import KEY

WIDTH = 5


def words(first: int, shingles: int) -> list[str]:
    """So many consecutive shingles, each another one, of a text without end."""
    return [f"w{n}" for n in range(first, first + shingles + WIDTH - 1)] if shingles else []


def pairs_of(texts: Sequence[Sequence[str]]) -> dict[tuple[int, int], float]:
    """{(a, b): Jaccard} of all pairs of texts, as the stage finds it; each pair travels in a group of its own."""
    pairs = list(combinations(range(len(texts)), 2))
    rows = [
        {KEY: key, "group": group, "partners": partners, "text": " ".join(texts[key])}
        for group, (a, b) in enumerate(pairs)
        for key, partners in ((a, []), (b, [a]))
    ]
    table = pa.Table.from_pylist(rows, TEXTS)
    found = compare_groups(table.to_batches(max_chunksize=7), WIDTH)
    return {(row["a"], row["b"]): row["jaccard"] for batch in found for row in batch.to_pylist()}


@pytest.mark.parametrize("percent", range(1, 101))
def test_similarities_of_two_digits_are_exactly_what_such_a_threshold_is(percent: int) -> None:
    threshold, exact = percent / 100, Fraction(percent, 100)
    for times in (1, 2, 3, 7):
        union, shared = exact.denominator * times, exact.numerator * times
        whole = words(0, union)
        inside = words((union - shared) // 2, shared)
        assert pairs_of([whole, inside]) == {(0, 1): threshold}, "one text contains the other"
        assert pairs_of([inside, whole]) == {(0, 1): threshold}
        left = (union - shared) // 3
        overlapping = [words(0, left + shared), words(left, union - left)]
        assert pairs_of(overlapping) == {(0, 1): threshold}
        if union > shared + 1 and shared > 1:
            assert pairs_of([whole, words(0, shared - 1)])[0, 1] < threshold, "one shingle less is too few"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), min_size=2, max_size=6))
def test_every_pair_has_its_similarity_as_a_fraction_however_little_it_is(spans: list[tuple[int, int]]) -> None:
    found = pairs_of([words(*span) for span in spans])
    sets = [set(range(first, first + number)) for first, number in spans]
    similarity = {
        (a, b): Fraction(len(sets[a] & sets[b]), len(sets[a] | sets[b])) for a, b in combinations(range(len(sets)), 2)
    }
    assert found == {pair: float(j) for pair, j in similarity.items()}


def test_a_text_without_words_is_near_to_nothing() -> None:
    assert pairs_of([[], words(0, 3)]) == {(0, 1): 0.0}
