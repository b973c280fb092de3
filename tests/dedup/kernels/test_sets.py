"""Shingle sets in one array: each is its text's, however many there are, and each similarity that of two sets."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.kernels.sets import ShingleSets
from sparkprep.dedup.kernels.shingles import shingle_set

WIDTH = 2
texts = st.lists(
    st.lists(st.sampled_from(["one", "two", "three", "four", "five", "six"]), max_size=30).map(" ".join), max_size=12
)


def filled(some: list[str], sets: ShingleSets) -> ShingleSets:
    """These texts' sets, every other one given as such."""
    for number, text in enumerate(some):
        if number % 2:
            sets.add_set(shingle_set(text, WIDTH))
        else:
            data = np.frombuffer(f"before {text} after".encode(), np.uint8)
            sets.add_text(data, len(b"before "), data.size - len(b" after"))
    return sets


@given(texts, texts)
def test_sets_lie_one_behind_the_other_and_earlier_ones_are_forgotten(earlier: list[str], some: list[str]) -> None:
    sets = filled(earlier, ShingleSets(WIDTH))
    sets.clear()
    values, ends = filled(some, sets).runs
    found = [values[start:end].tolist() for start, end in itertools.pairwise(ends)]
    assert found == [shingle_set(text, WIDTH).tolist() for text in some]


@given(texts.filter(bool), st.data())
def test_the_last_set_is_compared_with_the_partners_that_are_asked_for(some: list[str], data: st.DataObject) -> None:
    some = [text or "word" for text in some]
    keys = np.array(sorted(data.draw(st.sets(st.integers(0, 10**9), min_size=len(some), max_size=len(some)))))
    places = data.draw(st.lists(st.integers(0, len(some) - 1), max_size=5))
    found = np.empty(len(places))
    filled(some, ShingleSets(WIDTH)).compare_last(keys, np.array(keys[places], np.int64), found)
    sets = [set(shingle_set(text, WIDTH).tolist()) for text in some]
    assert found.tolist() == [len(sets[-1] & sets[p]) / len(sets[-1] | sets[p]) for p in places]


@pytest.mark.parametrize("number", [1_500, 5_000])
def test_many_sets_and_long_texts_find_room(number: int) -> None:
    words = " ".join(f"w{n}" for n in range(40_000))
    some = [words, *(f"{n} is a number" for n in range(number)), words[: len(words) // 2]]
    values, ends = filled(some, ShingleSets(WIDTH)).runs
    assert np.diff(ends).tolist() == [shingle_set(text, WIDTH).size for text in some]
    assert values[-1] == shingle_set(some[-1], WIDTH)[-1]
